package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/task"
)

// routerOf returns the log router of a definition, nil if it has none.
func routerOf(def *task.TaskDefinition) *task.ContainerDefinition {
	for i := range def.ContainerDefinitions {
		if def.ContainerDefinitions[i].FirelensConfiguration != nil {
			return &def.ContainerDefinitions[i]
		}
	}
	return nil
}

// sends reports whether a container logs through the log router of its task.
func sends(c *task.ContainerDefinition) bool {
	return c.LogConfiguration != nil && c.LogConfiguration.LogDriver == task.LogDriverAWSFirelens
}

// withRouter has containers that log through the log router start after it, and hence end before it, as the ECS agent
// does: unless the router itself waits for a container.
func withRouter(def *task.TaskDefinition) *task.TaskDefinition {
	router := routerOf(def)
	if router == nil || len(router.DependsOn) > 0 {
		return def
	}
	out := *def
	out.ContainerDefinitions = slices.Clone(def.ContainerDefinitions)
	for i := range out.ContainerDefinitions {
		c := &out.ContainerDefinitions[i]
		named := slices.ContainsFunc(c.DependsOn, func(d task.ContainerDependency) bool { return d.ContainerName == router.Name })
		if sends(c) && c.Name != router.Name && !named {
			c.DependsOn = append(slices.Clone(c.DependsOn), task.ContainerDependency{ContainerName: router.Name, Condition: task.ConditionStart})
		}
	}
	return &out
}

// senders are the containers whose output is on its way to the log router.
func (w *worker) senders() []*container {
	var cs []*container
	for _, c := range w.containers {
		if sends(c.def) && c.delivered != nil {
			cs = append(cs, c)
		}
	}
	return cs
}

func (w *worker) routerDir() string { return filepath.Join(w.e.taskDir(w.id), "firelens") }

// routerSocketDir is the one directory of the log router that it writes to.
func (w *worker) routerSocketDir() string {
	if dir := w.scratchDir(); dir != "" {
		return filepath.Join(dir, "socket")
	}
	return filepath.Join(w.routerDir(), "socket")
}

// routerSocket is the log router's socket on this host, "" where there are no files.
func (w *worker) routerSocket() string {
	if w.e.cfg.Dir == "" || routerOf(w.def) == nil {
		return ""
	}
	return filepath.Join(w.routerSocketDir(), logs.RouterSocketName)
}

// routerConfig is what the log router is configured with.
func (w *worker) routerConfig(router *task.ContainerDefinition) logs.RouterConfig {
	info := w.logInfo(w.container(router.Name))
	options := router.FirelensConfiguration.Options
	c := logs.RouterConfig{
		Type: router.FirelensConfiguration.Type, Memory: router.MemoryReservation,
		Metadata: options["enable-ecs-log-metadata"] != "false", // the agent's default is true
		Cluster:  info.Cluster, TaskARN: info.TaskARN, TaskDefinition: info.TaskDefinition,
		Outputs: map[string]map[string]string{},
	}
	if c.Memory == 0 {
		c.Memory = router.Memory
	}
	switch options["config-file-type"] {
	case "file":
		c.Include = options["config-file-value"]
	case "s3":
		c.Include = c.ExternalPath()
	}
	for i := range w.def.ContainerDefinitions {
		if sender := &w.def.ContainerDefinitions[i]; sends(sender) {
			c.Outputs[sender.Name] = routerOptions(sender, i, c.Type)
		}
	}
	return c
}

// routerOptions are the options of a container that logs through the log router. Secret ones are variables of the router's
// environment, as its configuration can be read by others.
func routerOptions(c *task.ContainerDefinition, i int, kind task.FirelensType) map[string]string {
	options := map[string]string{}
	for k, v := range c.LogConfiguration.Options {
		options[k] = v
	}
	for _, s := range c.LogConfiguration.SecretOptions {
		form := "${%s}"
		if kind == task.FirelensFluentd {
			form = `"#{ENV['%s']}"`
		}
		options[s.Name] = fmt.Sprintf(form, secretOptionVariable(s.Name, i))
	}
	return options
}

// secretOptionVariable is the agent's name of the variable with a secret option of the container at place i.
func secretOptionVariable(option string, i int) string { return fmt.Sprintf("%s_%d", option, i) }

// routerSecrets are the variables with the secret options of those who log through the task's log router.
func (w *worker) routerSecrets(ctx context.Context) (runtime.Secrets, error) {
	var env runtime.Secrets
	for i, c := range w.containers {
		if !sends(c.def) {
			continue
		}
		options, err := w.secretOptions(ctx, c)
		if err != nil {
			return nil, err
		}
		for _, s := range c.def.LogConfiguration.SecretOptions {
			env = append(env, secretOptionVariable(s.Name, i)+"="+options[s.Name])
		}
	}
	return env, nil
}

// routerObject is the ARN of the object of S3 that a log router's configuration includes, "" for none.
func routerObject(c *task.ContainerDefinition) string {
	if f := c.FirelensConfiguration; f != nil && f.Options["config-file-type"] == "s3" {
		return f.Options["config-file-value"]
	}
	return ""
}

// writeRouterObject has the object of S3 that the log router's configuration includes, as the agent does, in the name of
// the execution role.
func (w *worker) writeRouterObject(ctx context.Context, router *task.ContainerDefinition) error {
	arn := routerObject(router)
	if arn == "" {
		return nil
	}
	data, err := w.object(ctx, arn)
	if err != nil {
		return fmt.Errorf("unable to download firelens s3 config file: %s: %w", arn, err)
	}
	if w.e.cfg.Dir == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(w.routerDir(), "external.conf"), data, 0o644); err != nil {
		return fmt.Errorf("write configuration of log router: %w", err)
	}
	return nil
}

// writeRouter makes the configuration of the task's log router and the directory of its socket.
func (w *worker) writeRouter(ctx context.Context) error {
	router := routerOf(w.def)
	if router == nil {
		return nil
	}
	text, err := w.routerConfig(router).Text()
	if err != nil {
		return err
	}
	if w.e.cfg.Dir == "" {
		return w.writeRouterObject(ctx, router)
	}
	socket := w.routerSocketDir()
	for _, dir := range []string{w.routerDir(), socket} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory of log router: %w", err)
		}
	}
	// The router may run as any user. On the host the directory is out of the reach of others with Config.Dir.
	if err := os.Chmod(socket, 0o777); err != nil {
		return fmt.Errorf("make directory of log router: %w", err)
	}
	if err := os.WriteFile(filepath.Join(w.routerDir(), "fluent.conf"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write configuration of log router: %w", err)
	}
	return w.writeRouterObject(ctx, router)
}

// firelens gives the log router its files, and those who log through it its address in the task, for those that log
// themselves.
func (w *worker) firelens(s *runtime.ContainerSpec, c *container) {
	if sends(c.def) && !s.NoNetwork {
		s.Env = append(s.Env, "FLUENT_HOST=127.0.0.1", "FLUENT_PORT=24224")
	}
	f := c.def.FirelensConfiguration
	if f == nil {
		return
	}
	if f.Type == task.FirelensFluentd && !slices.ContainsFunc(s.Env, func(kv string) bool { return strings.HasPrefix(kv, "FLUENT_UID=") }) {
		s.Env = append(s.Env, "FLUENT_UID=0") // so that it may write to the socket's directory
	}
	if w.e.cfg.Dir == "" {
		return
	}
	config := w.routerConfig(c.def)
	s.Mounts = append(s.Mounts,
		runtime.Mount{Source: filepath.Join(w.routerDir(), "fluent.conf"), Destination: config.Path(), ReadOnly: true},
		runtime.Mount{Source: w.routerSocketDir(), Destination: logs.RouterSocketDir},
	)
	if routerObject(c.def) != "" {
		s.Mounts = append(s.Mounts,
			runtime.Mount{Source: filepath.Join(w.routerDir(), "external.conf"), Destination: config.ExternalPath(), ReadOnly: true})
	}
}
