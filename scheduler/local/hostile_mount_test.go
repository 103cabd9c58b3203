//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// TestHostileMountPaths asks for volumes and file systems where the kernel's are, which Run refuses.
func TestHostileMountPaths(t *testing.T) {
	c := open(t)
	for _, at := range []string{
		"/dev", "/dev/", "/dev/pts", "/dev/console", "/dev/null", "/dev/fd", "/proc", "/proc/sys/kernel", "/sys", "/sys/fs/cgroup", "/x/../dev",
	} {
		for kind, change := range map[string]func(*task.ContainerDefinition){
			"volume": func(d *task.ContainerDefinition) {
				d.MountPoints = []task.MountPoint{{SourceVolume: "v", ContainerPath: at}}
			},
			"tmpfs": func(d *task.ContainerDefinition) {
				d.LinuxParameters = &task.LinuxParameters{Tmpfs: []task.Tmpfs{{ContainerPath: at, Size: 1}}}
			},
		} {
			def := define([]string{"app", "exit 0"})
			def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
			def.Volumes = []task.Volume{{Name: "v"}}
			change(&def.ContainerDefinitions[0])
			_, err := c.Run(t.Context(), def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
			var refused *scheduler.UnsupportedError
			clear := errors.As(err, &refused) && strings.Contains(err.Error(), ".containerPath: not supported: "+at)
			hostiletest.Report(t, kind+" at "+at, !clear, fmt.Sprintf("%q", fmt.Sprint(err)))
		}
	}
}

// TestHostileMountImage runs tasks of images whose links lead volumes to where the kernel's file systems are.
func TestHostileMountImage(t *testing.T) {
	c := open(t)
	link := func(name, target string) image.File {
		return image.File{Name: name, Mode: fs.ModeSymlink, Link: target}
	}
	const core = "/proc/sys/kernel/core_pattern"
	for i, tt := range []struct {
		name  string
		files []image.File
	}{
		{"a volume at a link to /dev, with core_pattern as its null device", []image.File{link("/data", "/dev"), link("/dev/null", core)}},
		{"a volume at a link to /dev/pts", []image.File{link("/data", "/dev/pts"), link("/dev/pts/0", core)}},
		{"a volume at a link to /sys", []image.File{link("/data", "../sys")}},
		{"a volume at a link to /proc", []image.File{link("/data", "/proc")}},
		{"/etc is a link to /dev", []image.File{link("/etc", "/dev")}},
		{"/dev is a link to the host's /tmp", []image.File{link("/dev", "/tmp")}},
	} {
		ref := fmt.Sprintf("hostile:%d", i)
		img, err := image.New(image.Config{Ref: ref, Env: []string{guestVar + "=1"}, Entrypoint: []string{"/guest"}},
			image.Files(append(tt.files, image.File{Name: "/guest", Path: "/proc/self/exe", Mode: 0o755})...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AddImage(t.Context(), img); err != nil {
			t.Fatal(err)
		}
		def := define([]string{"app", "read /proc/keys", "read /proc/timer_list"})
		def.ContainerDefinitions[0].Image = ref
		def.ContainerDefinitions[0].PseudoTerminal = i%2 == 1
		def.Volumes = []task.Volume{{Name: "v"}}
		def.ContainerDefinitions[0].MountPoints = []task.MountPoint{{SourceVolume: "v", ContainerPath: "/data"}}
		run := start(t, c, def, scheduler.RunOptions{})
		stopped := wait(t, run)
		reason := stopped.StoppedReason
		if !strings.Contains(reason, "link") || stopped.Containers[0].ExitCode != nil {
			t.Errorf("%s: the reason is not clear: %q, %+v", tt.name, reason, stopped.Containers[0])
		}
		out, _ := run.Output(t.Context(), "app") // there may be no log of a container that was never made
		hostiletest.Report(t, tt.name, len(out) > 0, fmt.Sprintf("%q %q", out, reason))
	}
}

// growLimit is more than anything that a container can grow without a limit of its own may hold.
const growLimit = 80 << 20

// grow writes as much as it can to each thing that is mounted, and says of what that is more than growLimit.
func grow() int {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return outcome(err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		point := strings.ReplaceAll(f[4], `\040`, " ")
		n, err := growAt(point)
		verdict := "bounded"
		if n >= growLimit {
			verdict = "UNBOUNDED"
		}
		fmt.Printf("%s: %s: %d bytes, %v\n", verdict, point, n, err)
	}
	fmt.Println("looked at everything")
	return 0
}

func growAt(point string) (int, error) {
	info, err := os.Stat(point)
	switch {
	case err != nil:
		return 0, err
	case info.Mode()&fs.ModeDevice != 0:
		return 0, errors.New("a device")
	case info.IsDir():
		point = filepath.Join(point, "fardel-grow")
		defer os.Remove(point)
	}
	out, err := os.OpenFile(point, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	n, block := 0, make([]byte, 1<<20)
	for n < growLimit && err == nil {
		var more int
		more, err = out.Write(block)
		n += more
	}
	return n, errors.Join(err, syscall.Ftruncate(int(out.Fd()), info.Size()*int64(btoi(!info.IsDir()))))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestHostileMountGrowth has containers write to everything that is mounted in them.
func TestHostileMountGrowth(t *testing.T) {
	c := open(t)
	for _, tt := range []struct {
		name   string
		change func(*task.TaskDefinition)
		grows  []string // places on the disk of Config.Dir, which a task without a disk of its own shares with all others
	}{
		{"a root that is read-only", func(d *task.TaskDefinition) { d.ContainerDefinitions[0].ReadonlyRootFilesystem = true }, nil},
		{"a root that can be written to", func(*task.TaskDefinition) {}, []string{"/"}},
		{"files of its own", func(d *task.TaskDefinition) {
			d.ContainerDefinitions[0].DNSServers = []string{"127.0.0.1"}
			d.ContainerDefinitions[0].LinuxParameters = &task.LinuxParameters{Tmpfs: []task.Tmpfs{{ContainerPath: "/scratch", Size: 2}}}
			d.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
		}, []string{"/"}},
	} {
		def := define([]string{"app", "grow"})
		tt.change(def)
		run := start(t, c, def, scheduler.RunOptions{LaunchType: def.RequiresCompatibilities[0]})
		wait(t, run)
		out := output(t, run, "app")
		if !strings.Contains(out, "looked at everything") || !strings.Contains(out, ": /etc/hosts: ") {
			t.Errorf("%s: %q", tt.name, out)
		}
		for line := range strings.Lines(out) {
			verdict, rest, _ := strings.Cut(strings.TrimSpace(line), ": ")
			point, _, ok := strings.Cut(rest, ": ")
			if ok && !slices.Contains(tt.grows, point) {
				hostiletest.Report(t, tt.name+": growing "+point, verdict != "bounded", line)
			}
		}
	}
}

// TestHostileMountRouterSocket has a log router write to the directory of its socket, which is the host's.
func TestHostileMountRouterSocket(t *testing.T) {
	c := open(t)
	def := define([]string{"router", "fill /var/run/x 8", "out done", "hang"}, []string{"app", "out x", "hang"})
	def.ContainerDefinitions[0].FirelensConfiguration = &task.FirelensConfiguration{Type: task.FirelensFluentBit}
	def.ContainerDefinitions[1].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverAWSFirelens}
	run := start(t, c, def, scheduler.RunOptions{})
	awaitOutput(t, run, "router", "done")
	out := output(t, run, "router")
	hostiletest.Report(t, "filling the directory of the socket", strings.Contains(out, "filled"), out)
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}
