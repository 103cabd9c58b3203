package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/secrets"
)

// sealed is what is in no definition: the values of secrets and of environment files. It is held in memory only; a process
// that adopts a task asks for it again when it needs it.
type sealed[T any] struct {
	mu    sync.Mutex // held while it is had
	known bool
	value T // does not change once known is set
}

// unseal returns the value, and asks for it if this process has not had it yet.
func (s *sealed[T]) unseal(ask func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s.value, nil
	}
	value, err := ask()
	if err == nil {
		s.value, s.known = value, true
	}
	return value, err
}

// unsealAll has every value that the containers' start needs, side by side, and asks whether they may log.
func (w *worker) unsealAll(ctx context.Context) error {
	var unseals []func(context.Context) error
	for _, c := range w.containers {
		if c.def.LogConfiguration != nil {
			unseals = append(unseals, func(ctx context.Context) error { return w.checkLog(ctx, c) })
		}
		if len(c.def.Secrets)+len(c.def.EnvironmentFiles) > 0 || c.def.FirelensConfiguration != nil {
			unseals = append(unseals, func(ctx context.Context) error {
				_, err := w.unseal(ctx, c)
				return err
			})
		}
	}
	return together(ctx, unseals...)
}

// unseal returns a container's secret variables.
func (w *worker) unseal(ctx context.Context, c *container) (runtime.Secrets, error) {
	return c.sealed.unseal(func() (runtime.Secrets, error) { return w.secretVariables(ctx, c) })
}

func (w *worker) secretVariables(ctx context.Context, c *container) (runtime.Secrets, error) {
	var env runtime.Secrets
	set := make([]string, 0, len(c.def.Environment)+len(c.def.Secrets))
	for _, kv := range c.def.Environment {
		set = append(set, kv.Name)
	}
	for _, s := range c.def.Secrets {
		value, err := w.secret(ctx, s.ValueFrom)
		if err != nil {
			return nil, &startError{task.ErrorResourceInitialization, c.def.Name, err}
		}
		set, env = append(set, s.Name), append(env, s.Name+"="+value)
	}
	files, err := w.environmentFiles(ctx, c)
	if err != nil {
		return nil, &startError{task.ErrorResourceInitialization, c.def.Name, fmt.Errorf("failed to download env files: %w", err)}
	}
	for _, kv := range secrets.Merge(set, files...) {
		env = append(env, kv.Name+"="+kv.Value)
	}
	if c.def.FirelensConfiguration != nil {
		options, err := w.routerSecrets(ctx)
		if err != nil {
			return nil, err
		}
		env = append(env, options...)
	}
	return env, nil
}

// secretSources are how ECS names the services in its errors.
var secretSources = map[secrets.Service]string{
	secrets.SecretsManager: "unable to retrieve secret from asm", secrets.ParameterStore: "unable to retrieve secrets from ssm",
}

// secret returns the value behind a valueFrom, in the name of the execution role.
func (w *worker) secret(ctx context.Context, valueFrom string) (string, error) {
	value := ""
	r, err := secrets.ParseReference(valueFrom)
	if err == nil {
		err = w.mayRead(ctx, r)
	}
	if err == nil {
		value, err = secrets.Value(ctx, w.e.cfg.Secrets, r)
	}
	if err != nil {
		return "", fmt.Errorf("unable to pull secrets or registry auth: execution resource retrieval failed: %s: %w", secretSources[r.Service], err)
	}
	return value, nil
}

// registryLogin returns the credentials that repositoryCredentials names.
func (w *worker) registryLogin(ctx context.Context, parameter string) (runtime.Credentials, error) {
	login, err := w.lookUpLogin(ctx, parameter)
	if err != nil {
		return runtime.Credentials{}, fmt.Errorf(
			"unable to pull secrets or registry auth: execution resource retrieval failed: unable to get registry auth from asm: %w", err)
	}
	return login, nil
}

func (w *worker) lookUpLogin(ctx context.Context, parameter string) (runtime.Credentials, error) {
	if w.e.cfg.Credentials != nil {
		return w.e.cfg.Credentials(ctx, parameter)
	}
	if w.e.cfg.Secrets == nil { // accepted by a process that had them
		return runtime.Credentials{}, errors.New("the cluster was opened without Config.Secrets")
	}
	r, err := secrets.ParseCredentialsParameter(parameter)
	if err != nil {
		return runtime.Credentials{}, err
	}
	if err := w.mayRead(ctx, r); err != nil {
		return runtime.Credentials{}, err
	}
	user, password, err := secrets.Login(ctx, w.e.cfg.Secrets, r)
	return runtime.Credentials{Username: user, Password: password}, err
}

// mayRead asks whether the execution role may read a secret.
func (w *worker) mayRead(ctx context.Context, r secrets.Reference) error {
	if w.e.cfg.Secrets == nil {
		return errors.New("the cluster was opened without Config.Secrets")
	}
	at, err := task.ParseARN(w.arn)
	if err != nil {
		return err
	}
	return w.authorize(ctx, r.Action(), r.Resource(at.Partition, at.Region, at.Account))
}

func (w *worker) authorize(ctx context.Context, action, resource string) error {
	if w.e.cfg.Authorize == nil {
		return nil
	}
	if w.def.ExecutionRoleARN == "" { // and not in the name of the host program
		return fmt.Errorf("%s on %s needs an executionRoleArn in the task definition", action, resource)
	}
	return w.e.cfg.Authorize(ctx, w.arn, w.def.ExecutionRoleARN, action, resource)
}

// environmentFiles are the variables of a container's environment files, file by file.
func (w *worker) environmentFiles(ctx context.Context, c *container) ([][]task.KeyValuePair, error) {
	var files [][]task.KeyValuePair
	for _, f := range c.def.EnvironmentFiles {
		vars, err := w.environmentFile(ctx, f.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Value, err)
		}
		files = append(files, vars)
	}
	return files, nil
}

func (w *worker) environmentFile(ctx context.Context, arn string) ([]task.KeyValuePair, error) {
	data, err := w.object(ctx, arn)
	if err != nil {
		return nil, err
	}
	return secrets.ParseEnvironmentFile(data)
}

// object returns what an object of S3 holds, in the name of the execution role.
func (w *worker) object(ctx context.Context, arn string) ([]byte, error) {
	if w.e.cfg.EnvironmentFiles == nil {
		return nil, errors.New("the cluster was opened without Config.EnvironmentFiles")
	}
	bucket, key, err := secrets.SplitObjectARN(arn)
	if err != nil {
		return nil, err
	}
	if err := w.authorize(ctx, "s3:GetObject", arn); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, secrets.DownloadTimeout)
	defer cancel()
	return w.e.cfg.EnvironmentFiles.Object(ctx, bucket, key)
}

// unsupportedSecrets refuses what there is no provider for.
func (e *Engine) unsupportedSecrets(u *unsupported, at string, c *task.ContainerDefinition) {
	u.when(len(c.Secrets) > 0 && e.cfg.Secrets == nil, at+"secrets", "the cluster was opened without Config.Secrets")
	u.when(c.LogConfiguration != nil && len(c.LogConfiguration.SecretOptions) > 0 && e.cfg.Secrets == nil,
		at+"logConfiguration.secretOptions", "the cluster was opened without Config.Secrets")
	u.when(len(c.EnvironmentFiles) > 0 && e.cfg.EnvironmentFiles == nil, at+"environmentFiles",
		"the cluster was opened without Config.EnvironmentFiles")
	u.when(routerObject(c) != "" && e.cfg.EnvironmentFiles == nil, at+"firelensConfiguration.options.config-file-type",
		"the cluster was opened without Config.EnvironmentFiles, which s3 is read from")
	u.when(c.RepositoryCredentials != nil && e.cfg.Credentials == nil && e.cfg.Secrets == nil, at+"repositoryCredentials",
		"the cluster was opened without Config.Secrets or Config.RegistryCredentials")
}
