//go:build linux

package local_test

import (
	"strings"
	"testing"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// TestContainerFields asks a container what became of each field of its definition.
func TestContainerFields(t *testing.T) {
	c := open(t)
	def := define([]string{
		"app", "id", "dir", "args", "nofile", "caps", "pid", "write /x", "write /scratch/x", "disk /scratch", "size",
		"read /proc/sys/net/core/somaxconn", "read /proc/sys/kernel/msgmax", "read /proc/mounts", "out up", "cat",
	})
	app := &def.ContainerDefinitions[0]
	app.User, app.WorkingDirectory = "1234:5678", "/proc"
	app.ReadonlyRootFilesystem, app.Interactive = true, true
	app.Ulimits = []task.Ulimit{{Name: "nofile", SoftLimit: 100, HardLimit: 222}}
	app.SystemControls = []task.SystemControl{{Namespace: "net.core.somaxconn", Value: "777"}, {Namespace: "kernel.msgmax", Value: "4321"}}
	app.LinuxParameters = &task.LinuxParameters{
		InitProcessEnabled: true,
		Capabilities:       &task.KernelCapabilities{Drop: []string{"ALL"}},
		Tmpfs:              []task.Tmpfs{{ContainerPath: "/scratch", Size: 3, MountOptions: []string{"mode=1777"}}},
	}
	run := start(t, c, def, scheduler.RunOptions{})
	awaitOutput(t, run, "app", "up")
	out := output(t, run, "app")
	for what, want := range map[string]string{
		"user": "1234 5678 [5678]\n", "workingDirectory": "\n/proc\n", "command": "\nargs\nnofile\n", "ulimits": "\n222\n",
		"capabilities": "\n0000000000000000\n", "readonlyRootFilesystem": "write: open /x: read-only file system\n", "tmpfs": "\nwritten\n0 GiB\n",
		"pseudoTerminal": "\nnone\n", "systemControls, net": "\n777\n", "systemControls, ipc": "\n4321\n", "tmpfs size": "size=3072k",
		"sharedMemorySize": "size=65536k",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s: no %q in\n%s", what, want, out)
		}
	}
	if strings.Contains(out, "\n1\nwrite:") {
		t.Errorf("initProcessEnabled: the program is process 1:\n%s", out)
	}
	if got := running(t, run); got.Containers[0].LastStatus != task.ContainerRunning { // cat waits for what never comes
		t.Errorf("interactive: %+v", got.Containers[0])
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}

// TestContainerFieldsOfEC2 are those that Fargate refuses.
func TestContainerFieldsOfEC2(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "size", "read /proc/mounts", "stat /dev/mine", "exit 0"})
	def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
	app := &def.ContainerDefinitions[0]
	app.PseudoTerminal = true
	app.LinuxParameters = &task.LinuxParameters{
		SharedMemorySize: 17, Devices: []task.Device{{HostPath: "/dev/null", ContainerPath: "/dev/mine", Permissions: []string{"read"}}},
	}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	stopped := wait(t, run)
	out := output(t, run, "app")
	for what, want := range map[string]string{"pseudoTerminal": "0x0", "sharedMemorySize": "size=17408k", "devices": "666 0 0"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s: no %q in\n%s\n%s", what, want, out, stopped.StoppedReason)
		}
	}
}
