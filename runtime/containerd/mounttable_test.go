//go:build linux

package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
	"github.com/fardel-io/fardel/task"
)

// mountsOf reads what an OCI runtime has mounted for a container on a machine of the name's cgroups, as its mount table was
// when it was created, with some of the lines changed.
func mountsOf(t *testing.T, name string, change func(lines []string) []string) []*mountinfo.Info {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/mountinfo", name))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if change != nil {
		lines = change(lines)
	}
	table, err := mountinfo.GetMountsFromReader(strings.NewReader(strings.Join(lines, "\n")), nil)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// specOf is what the containers of the tables were asked to be.
func specOf(t *testing.T, name string) *specs.Spec {
	t.Helper()
	c := runtime.ContainerSpec{ID: "c", SandboxID: "s", Command: []string{"/guest"}}
	switch kind := name[strings.LastIndex(name, "-")+1:]; kind {
	case "privileged":
		c.Privileged = true
	case "terminal":
		c.Terminal = true
	case "readonly":
		c.ReadonlyRootfs = true
	case "volumes":
		c.Mounts = []runtime.Mount{
			{Source: "/volume/a", Destination: "/a/b"}, {Source: "/volume/b", Destination: "/within"}, {Source: "/host", Destination: "/h"},
			{Source: "/host/f", Destination: "/etc/hosts", ReadOnly: true}, {Source: "/host", Destination: "/root x"},
			{Source: "/volume/a", Destination: "/dev/shm"},
		}
		c.Tmpfs = []task.Tmpfs{{ContainerPath: "/tmpf", Size: 1}, {ContainerPath: "/dev/hugo", Size: 1}, {ContainerPath: "/run", Size: 1}}
	}
	spec, err := oci.Spec(c, runtime.SandboxSpec{ID: "s"}, runtime.Image{}, oci.Options{
		RootfsPath: "rootfs", CgroupsPath: "/fardel/o/s/c", CgroupV2: strings.Contains(name, "-v2-"),
		Devices: func(string) ([]specs.LinuxDevice, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if spec.Linux.ReadonlyPaths != nil { // what came after the tables were taken
		spec.Linux.MaskedPaths = []string{
			"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware",
		}
		spec.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	}
	return spec
}

// checkOf is a check on the machine that the tables were taken on.
func checkOf(t *testing.T, name string, change func([]string) []string) mountCheck {
	c := mountCheck{spec: specOf(t, name), table: mountsOf(t, name, change), sources: map[string]location{
		"/dev/null": {0, 6, "/null"}, "/dev/zero": {0, 6, "/zero"}, "/host": {254, 0, "/host"}, "/host/f": {254, 0, "/host/f"},
		"/volume/a": {254, 0, "/var/lib/c/sandboxes/s/volumes/a/data"}, "/volume/b": {254, 0, "/var/lib/c/sandboxes/s/volumes/b/data"},
	}}
	if strings.HasPrefix(name, "crun") {
		c.sources["/volume/a"], c.sources["/volume/b"] = c.sources["/host"], c.sources["/host"]
	}
	c.host = func(name string) bool {
		return !slices.Contains([]string{"/proc/asound", "/proc/kcore", "/proc/sysrq-trigger"}, name)
	}
	return c
}

func TestMountsOfOCIRuntimes(t *testing.T) {
	files, err := os.ReadDir("testdata/mountinfo")
	if err != nil || len(files) < 14 {
		t.Fatalf("%d tables, %v", len(files), err)
	}
	for _, f := range files {
		if err := checkMounts(checkOf(t, f.Name(), nil)); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
}

// with replaces the line of a mount point, or adds one.
func with(point, line string) func([]string) []string {
	return func(lines []string) []string {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.Fields(l)[4] == point })
		switch {
		case i < 0:
			return append(lines, line)
		case line == "":
			return slices.Delete(lines, i, i+1)
		}
		lines[i] = line
		return lines
	}
}

func also(line string) func([]string) []string {
	return func(lines []string) []string { return append(lines, line) }
}

func TestMountsThatAreRefused(t *testing.T) {
	const (
		onDisk = " rw,relatime - ext4 /dev/vda rw"
		ofProc = " rw,nosuid,nodev,noexec,relatime - proc proc rw"
	)
	for _, tt := range []struct {
		name, table string
		change      func([]string) []string
		want        string
	}{
		{"a mask that shows core_pattern (CVE-2025-31133)", "runc-1.1-v1-plain",
			with("/proc/keys", "1 1 0:42 /sys/kernel/core_pattern /proc/keys"+ofProc), "mask of /proc/keys is /sys/kernel/core_pattern"},
		{"a mask of a volume", "runc-1.1-v1-plain",
			with("/proc/keys", "1 1 254:0 /var/lib/c/sandboxes/s/volumes/a/data/null /proc/keys"+onDisk), "mask of /proc/keys"},
		{"a mask of another tmpfs", "runc-1.1-v1-plain", with("/proc/keys", "1 1 0:99 /null /proc/keys rw - tmpfs tmpfs rw"), "mask of /proc/keys"},
		{"a mask that is full of files", "runc-1.1-v1-plain", with("/sys/firmware", "1 1 0:99 / /sys/firmware rw - tmpfs tmpfs rw"), "mask of /sys/firmware"},
		{"a mask that is missing", "runc-1.5-v1-plain", with("/proc/timer_list", ""), "/proc/timer_list is not masked"},
		{"a mask of crun's that shows core_pattern", "crun-1.8-v2-plain",
			with("/proc/keys", "1 1 0:40 /sys/kernel/core_pattern /proc/keys ro - proc proc rw"), "mask of /proc/keys"},
		{"a console that is core_pattern (CVE-2025-52565)", "runc-1.1-v1-terminal",
			with("/dev/console", "1 1 0:42 /sys/kernel/core_pattern /dev/console"+ofProc), "/dev/console"},
		{"a console of the host", "runc-1.5-v2-terminal", with("/dev/console", "1 1 0:24 /3 /dev/console rw - devpts devpts rw"), "/dev/console"},
		{"a console of devpts that is no terminal", "runc-1.5-v2-terminal",
			func(lines []string) []string {
				for i := range lines {
					lines[i] = strings.Replace(lines[i], " /0 /dev/console", " /ptmx /dev/console", 1)
				}
				return lines
			}, "/dev/console is /ptmx"},
		{"a console that nobody asked for", "runc-1.5-v2-plain", also("1 1 0:48 /0 /dev/console rw - devpts devpts rw"), "no terminal was asked for"},
		{"a volume at /dev", "runc-1.1-v1-plain", with("/dev", "1 1 254:0 /v /dev"+onDisk), "/dev is no tmpfs of its own"},
		{"a volume over /dev", "runc-1.1-v1-plain", also("1 1 254:0 /v /dev" + onDisk), "nobody asked for what is mounted at /dev"},
		{"a volume over the pseudo-terminals", "runc-1.1-v1-plain", also("1 1 254:0 /v /dev/pts" + onDisk), "/dev/pts"},
		{"a volume over the null device", "crun-1.8-v2-plain", also("1 1 254:0 /v /dev/null" + onDisk), "/dev/null"},
		{"a volume over a part of /proc", "runc-1.5-v1-plain", also("1 1 254:0 /v /proc/sys/net" + onDisk), "/proc/sys/net"},
		{"/proc of another mount", "runc-1.5-v1-plain", with("/proc", "1 1 254:0 /v /proc"+onDisk), "/proc is no proc of its own"},
		{"a part of /proc at /proc", "runc-1.5-v1-plain", with("/proc", "1 1 0:83 /1 /proc"+ofProc), "/proc is no proc"},
		{"a writable /sys", "runc-1.5-v1-plain", with("/sys", "1 1 0:22 / /sys rw - sysfs sysfs rw"), "/sys is writable"},
		{"a writable /proc/sys", "runc-1.5-v1-plain", with("/proc/sys", "1 1 0:83 /sys /proc/sys rw - proc proc rw"), "/proc/sys is not read-only"},
		{"/proc/sys without protection", "crun-1.8-v2-plain", with("/proc/sys", ""), "/proc/sys is not read-only"},
		{"another part of /proc for /proc/sys", "runc-1.5-v1-plain", with("/proc/sys", "1 1 0:83 /bus /proc/sys ro - proc proc rw"), "/proc/sys"},
		{"a volume that a link led to /dev", "runc-1.5-v1-volumes",
			with("/real/a", "1 1 254:0 /var/lib/c/sandboxes/s/volumes/b/data /dev"+onDisk), "mount at /within: a link of the image or of a volume leads to /dev"},
		{"a volume that a link led below /dev", "runc-1.1-v1-volumes",
			with("/real/a", "1 1 254:0 /var/lib/c/sandboxes/s/volumes/b/data /dev/x"+onDisk), "leads to /dev/x"},
		{"a tmpfs that a link led to /sys", "runc-1.1-v1-volumes", with("/tmpf", "1 1 0:99 / /sys/fs rw - tmpfs tmpfs rw"), "mount at /tmpf: a link"},
		{"a directory of the host instead of a volume (CVE-2021-30465)", "runc-1.1-v1-volumes",
			with("/real/a", "1 1 254:0 /etc /real/a"+onDisk), "what was to be mounted at /within is not there"},
		{"a directory of the host, too", "runc-1.1-v1-volumes", also("1 1 254:0 /etc /x" + onDisk), "nobody asked for what is mounted at /x"},
		{"a volume twice", "runc-1.1-v1-volumes", also("1 1 254:0 /var/lib/c/sandboxes/s/volumes/b/data /x" + onDisk), "nobody asked for what is mounted at /x"},
		{"a volume that lets be written to", "runc-1.1-v1-volumes", with("/etc/hosts", "1 1 254:0 /host/f /etc/hosts"+onDisk), "/etc/hosts is writable"},
		{"a volume that is not there", "crun-1.8-v2-volumes", with("/h", ""), "is not there"},
		{"a root that lets be written to", "crun-1.8-v2-readonly", with("/", "1 1 254:0 /r /"+onDisk), "the root file system is writable"},
		{"two roots", "runc-1.1-v1-plain", also("1 1 254:0 / /" + onDisk), "nobody asked for what is mounted at /"},
		{"a device of the host at the place of another", "runc-1.5-v2-plain", also("1 1 0:6 /mem /dev/zero rw - devtmpfs devtmpfs rw"), "/dev/zero"},
		{"a controller that can be written to", "runc-1.1-v1-plain",
			func(lines []string) []string {
				for i := range lines {
					lines[i] = strings.Replace(lines[i], "/sys/fs/cgroup/devices ro", "/sys/fs/cgroup/devices rw", 1)
				}
				return lines
			}, "/sys/fs/cgroup/devices"},
	} {
		err := checkMounts(checkOf(t, tt.table, tt.change))
		if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestMountsThatComeAlong has file systems in a directory of the host, device nodes that are bound, and hierarchies of
// cgroups that are mounted once more to be read-only.
func TestMountsThatComeAlong(t *testing.T) {
	c := checkOf(t, "runc-1.1-v1-volumes", func(lines []string) []string {
		host := lines[slices.IndexFunc(lines, func(l string) bool { return strings.Fields(l)[4] == "/h" })]
		id := strings.Fields(host)[0]
		return append(lines, "9001 "+id+" 8:1 / /h/disk rw - ext4 /dev/sda1 rw", "9002 9001 8:2 / /h/disk/in rw - ext4 /dev/sda2 rw",
			"9003 1 0:6 /zero /dev/zero rw - devtmpfs devtmpfs rw")
	})
	if err := checkMounts(c); err != nil {
		t.Error(err)
	}
	c = checkOf(t, "runc-1.1-v1-plain", func(lines []string) []string {
		var again []string
		for _, l := range lines {
			f := strings.Fields(l)
			switch {
			case f[4] == "/sys/fs/cgroup":
				f[0], f[1], f[5] = "9000", f[0], "ro,nosuid,nodev,noexec,relatime"
			case strings.HasPrefix(f[4], "/sys/fs/cgroup/"):
				f[0], f[1] = "8"+f[0], "9000"
			default:
				continue
			}
			again = append(again, strings.Join(f, " "))
		}
		return append(lines, again...)
	})
	c.spec.Linux.ReadonlyPaths = append(c.spec.Linux.ReadonlyPaths, "/sys/fs/cgroup")
	if err := checkMounts(c); err != nil {
		t.Error(err)
	}
}
