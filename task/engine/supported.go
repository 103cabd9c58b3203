package engine

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/task"
)

// Unsupported lists what a valid definition asks for and this engine does not do, each with its path: better refused
// than left out without a word. It is empty for a definition that can be run.
func Unsupported(d *task.TaskDefinition) []task.Problem {
	var u unsupported
	u.network(d.NetworkMode)
	u.when(d.PIDMode == task.PIDModeHost, "pidMode", "host")
	u.when(d.IPCMode != "" && d.IPCMode != task.IPCModeNone, "ipcMode", "only private IPC namespaces")
	u.when(d.IsWindows(), "runtimePlatform.operatingSystemFamily", "only Linux")
	u.when(d.ProxyConfiguration != nil, "proxyConfiguration", "no traffic is sent through a proxy")
	u.when(len(d.InferenceAccelerators) > 0, "inferenceAccelerators", "ECS has them no more")
	u.when(len(d.PlacementConstraints) > 0, "placementConstraints", "")
	for i := range d.Volumes {
		u.volume(fmt.Sprintf("volumes[%d].", i), &d.Volumes[i])
	}
	for i := range d.ContainerDefinitions {
		at := fmt.Sprintf("containerDefinitions[%d].", i)
		u.container(at, &d.ContainerDefinitions[i])
		u.mounts(at, d, &d.ContainerDefinitions[i])
	}
	return u
}

type unsupported []task.Problem

func (u *unsupported) when(asked bool, path, detail string) {
	if !asked {
		return
	}
	reason := "not supported"
	if detail != "" {
		reason += ": " + detail
	}
	*u = append(*u, task.Problem{Path: path, Reason: reason})
}

// network refuses the modes in which ports or interfaces of the host are handed out.
func (u *unsupported) network(mode task.NetworkMode) {
	switch mode {
	case task.NetworkModeAWSVPC, task.NetworkModeNone:
	case task.NetworkModeHost:
		u.when(true, "networkMode", "host: tasks get an interface of their own (awsvpc) or none, never the host's")
	default:
		u.when(true, "networkMode", fmt.Sprintf("%s: tasks get an interface of their own (awsvpc) or none; there is no Docker bridge",
			cmp.Or(mode, task.NetworkModeBridge)))
	}
}

// volume refuses what a Docker volume of one task can ask for beyond a directory. Shared ones are a provider's.
func (u *unsupported) volume(at string, v *task.Volume) {
	c := v.DockerVolumeConfiguration
	if c == nil || provided(v) {
		return
	}
	u.when(c.Driver != "" && c.Driver != "local", at+"dockerVolumeConfiguration.driver", c.Driver)
	u.when(len(c.DriverOpts) > 0, at+"dockerVolumeConfiguration.driverOpts", "")
}

func (u *unsupported) container(at string, c *task.ContainerDefinition) {
	u.when(len(c.ResourceRequirements) > 0, at+"resourceRequirements", "no GPU or other accelerator is handed to containers")
	u.when(len(c.CredentialSpecs) > 0, at+"credentialSpecs", "they are for Active Directory on Windows")
	u.when(len(c.Links) > 0, at+"links", "they take the network mode bridge")
	for i, h := range c.ExtraHosts {
		u.when(h.IPAddress == "host-gateway", fmt.Sprintf("%sextraHosts[%d].ipAddress", at, i), "host-gateway is of the network mode bridge")
	}
	for i, o := range c.DockerSecurityOptions {
		_, profile := appArmorProfile([]string{o}) // a driver's to say
		u.when(!noNewPrivileges([]string{o}) && !profile, fmt.Sprintf("%sdockerSecurityOptions[%d]", at, i), o)
	}
	u.logs(at, c.LogConfiguration)
}

// mounts refuses what would be at or over the kernel's file systems of a container. Host paths are the operator's, who may
// give more. What volumesFrom brings along is at the path that another container has it at, and refused there.
func (u *unsupported) mounts(at string, d *task.TaskDefinition, c *task.ContainerDefinition) {
	for i, m := range c.MountPoints {
		v := d.Volume(m.SourceVolume)
		if v == nil {
			continue
		}
		path, ofHost := fmt.Sprintf("%smountPoints[%d].containerPath", at, i), sourcePath(v) != ""
		u.when(ofHost && !runtime.MayMountHostPath(m.ContainerPath), path, m.ContainerPath+" is the kernel's")
		u.when(!ofHost && runtime.IsKernelPath(m.ContainerPath), path,
			fmt.Sprintf("%s: a volume cannot be in /dev, /proc or /sys, but for /dev/shm and /dev/mqueue", m.ContainerPath))
	}
	if c.LinuxParameters == nil {
		return
	}
	for i, t := range c.LinuxParameters.Tmpfs {
		u.when(!runtime.MayMountTmpfs(t.ContainerPath), fmt.Sprintf("%slinuxParameters.tmpfs[%d].containerPath", at, i),
			t.ContainerPath+" is the kernel's")
	}
}

// logs refuses drivers that are not here and options that one does not take, in ECS's words.
func (u *unsupported) logs(at string, l *task.LogConfiguration) {
	if l == nil {
		return
	}
	for i, s := range l.SecretOptions {
		u.when(s.Name == "mode" || s.Name == "max-buffer-size", fmt.Sprintf("%slogConfiguration.secretOptions[%d]", at, i),
			s.Name+" is not kept secret: give it in options")
	}
	for _, p := range logs.Check(l) {
		path := at + "logConfiguration"
		switch {
		case p.Option != "":
			path += ".options." + p.Option
		case !strings.HasPrefix(p.Reason, "Log driver "):
			path += ".logDriver"
		default:
			path += ".options"
		}
		*u = append(*u, task.Problem{Path: path, Reason: p.Reason})
	}
}
