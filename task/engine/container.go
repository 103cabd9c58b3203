package engine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// RuntimeID is the driver's ID of the container that a task's definition lists at place i. It has the form of Fargate's,
// <task id>-<10 digits>, and is the same whenever it is asked for, so that creating a container can be repeated.
func RuntimeID(taskID string, i int) string {
	// Digits that differ between tasks read less like a counter across tasks, and cost nothing.
	seed, _ := strconv.ParseUint(taskID[:min(8, len(taskID))], 16, 32)
	return fmt.Sprintf("%s-%010d", taskID, seed+uint64(i))
}

// containerSpec is what the driver is asked to run, but for its secrets. It depends on nothing but the assignment and the
// image.
func (w *worker) containerSpec(c *container) runtime.ContainerSpec {
	d := c.def
	s := runtime.ContainerSpec{
		ID: c.id, SandboxID: w.id, Name: d.Name, Image: c.image.Ref,
		Entrypoint: d.EntryPoint, Command: d.Command, Env: w.environment(c),
		WorkingDir: d.WorkingDirectory, User: d.User,
		CPUShares: cpuShares(d), Memory: d.Memory, MemoryReservation: d.MemoryReservation,
		ReadonlyRootfs: d.ReadonlyRootFilesystem, Privileged: d.Privileged,
		NoNewPrivileges: noNewPrivileges(d.DockerSecurityOptions),
		Terminal:        d.PseudoTerminal, Stdin: d.Interactive,
		Ulimits: d.Ulimits, Sysctls: sysctls(d.SystemControls),
		NoNetwork: w.offline(d), Hostname: d.Hostname,
		Mounts: append(w.fileMounts(d), w.volumeMounts(c)...),
		Labels: w.labels(d),
	}
	s.AppArmorProfile, _ = appArmorProfile(d.DockerSecurityOptions)
	w.logSpec(&s, d)
	w.firelens(&s, c)
	if lp := d.LinuxParameters; lp != nil {
		linux(&s, lp)
	}
	w.confinement.apply(&s)
	return s
}

// linux adds linuxParameters.
func linux(s *runtime.ContainerSpec, lp *task.LinuxParameters) {
	if caps := lp.Capabilities; caps != nil {
		s.CapAdd, s.CapDrop = caps.Add, caps.Drop
	}
	s.Init = lp.InitProcessEnabled
	s.SharedMemory = lp.SharedMemorySize
	s.Tmpfs = lp.Tmpfs
	s.Devices = lp.Devices
	if lp.MaxSwap != nil {
		s.Swap = *lp.MaxSwap
		if lp.Swappiness != nil { // ECS ignores it without maxSwap
			v := uint64(*lp.Swappiness)
			s.Swappiness = &v
		}
	}
}

// cpuShares is the weight of a container: its cpu, of which 0 and 1 count as 2 (ECS).
func cpuShares(d *task.ContainerDefinition) uint64 { return uint64(max(d.CPU, 2)) }

// environment is the definition's, and over it what ECS tells every container: where its endpoints are.
func (w *worker) environment(c *container) []string {
	env := make([]string, len(c.def.Environment))
	for i, kv := range c.def.Environment {
		env[i] = kv.Name + "=" + kv.Value
	}
	if !w.hasEndpoint() || w.offline(c.def) {
		return env
	}
	told := metadata.ContainerEnvironment{
		TaskID: w.id, ContainerName: c.def.Name, LaunchType: w.rec.LaunchType, Region: w.e.cfg.Region,
		Set: slices.Concat(c.image.Env, env),
	}
	if w.e.cfg.TaskCredentials != nil && w.def.TaskRoleARN != "" {
		told.CredentialsURI = credentialsPath + CredentialsID(w.id)
	}
	return append(env, metadata.Environment(told)...)
}

func noNewPrivileges(options []string) bool {
	for _, o := range options {
		if o == "no-new-privileges" || o == "no-new-privileges:true" {
			return true
		}
	}
	return false
}

// appArmorProfile is the one that the options name.
func appArmorProfile(options []string) (name string, ok bool) {
	for _, o := range options {
		if v, found := strings.CutPrefix(o, "apparmor:"); found {
			name, ok = v, true
		}
	}
	return name, ok
}

func sysctls(controls []task.SystemControl) map[string]string {
	if len(controls) == 0 {
		return nil
	}
	m := make(map[string]string, len(controls))
	for _, c := range controls {
		m[c.Namespace] = c.Value
	}
	return m
}

// labels are the definition's and those that the ECS agent adds.
func (w *worker) labels(d *task.ContainerDefinition) map[string]string {
	const ecs = "com.amazonaws.ecs."
	m := map[string]string{
		ecs + "cluster":        w.rec.ClusterARN[strings.LastIndexByte(w.rec.ClusterARN, '/')+1:],
		ecs + "container-name": d.Name,
		ecs + "task-arn":       w.rec.TaskARN,
	}
	if _, family, ok := strings.Cut(w.rec.TaskDefinitionARN, "task-definition/"); ok {
		name, revision, _ := strings.Cut(family, ":")
		m[ecs+"task-definition-family"] = name
		m[ecs+"task-definition-version"] = revision
	}
	for k, v := range d.DockerLabels {
		m[k] = v
	}
	return m
}

// platform is the definition's runtimePlatform as an image platform, "" when it names none.
func platform(d *task.TaskDefinition) string {
	if d.RuntimePlatform == nil {
		return ""
	}
	switch d.RuntimePlatform.CPUArchitecture {
	case task.CPUArchitectureARM64:
		return "linux/arm64"
	case task.CPUArchitectureX8664:
		return "linux/amd64"
	}
	return ""
}

// taskDir is where the files of a task are kept.
func (e *Engine) taskDir(id string) string { return filepath.Join(e.cfg.Dir, "tasks", id) }
