package runtimetest

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

var kernelChecks = []namedCheck{
	{"User", user},
	{"Capabilities", capabilities},
	{"ReadonlyRootfs", readonlyRootfs},
	{"WritableLayer", writableLayer},
	{"OpenFiles", openFiles},
	{"Mounts", mounts},
	{"Tmpfs", tmpfs},
	{"Sysctls", sysctls},
	{"HiddenPaths", hiddenPaths},
}

func user(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	for _, tt := range []struct{ user, want string }{
		{"", "0 0 [0]"},
		{"root", "0 0 [0]"},
		{"app", "1000 1000 [29 1000]"},
		{"1000", "1000 1000 [29 1000]"},
		{"app:audio", "1000 29 [29]"},
		{"app:7", "1000 7 [7]"},
		{"4242:4343", "4242 4343 [4343]"},
	} {
		c.equal("user "+tt.user, c.output(s, func(spec *runtime.ContainerSpec) { spec.User = tt.user }, "id"), tt.want+"\n")
	}
	image := c.addImage("fardel.test/guest:user", runtime.Image{Entrypoint: []string{"/guest"}, User: "app"})
	c.equal("the image's user", c.output(s, func(spec *runtime.ContainerSpec) { spec.Image = image.Ref }, "id"), "1000 1000 [29 1000]\n")
}

func capabilities(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	for _, tt := range []struct {
		what   string
		change func(*runtime.ContainerSpec)
		want   string
	}{
		{"default", nil, "00000000a80425fb"},
		{"without NET_RAW", func(spec *runtime.ContainerSpec) { spec.CapDrop = []string{"NET_RAW"} }, "00000000a80405fb"},
		{"with SYS_PTRACE", func(spec *runtime.ContainerSpec) { spec.CapAdd = []string{"SYS_PTRACE"} }, "00000000a80c25fb"},
		{"none", func(spec *runtime.ContainerSpec) { spec.CapDrop = []string{"ALL"} }, "0000000000000000"},
		{"only KILL", func(spec *runtime.ContainerSpec) { spec.CapDrop, spec.CapAdd = []string{"ALL"}, []string{"KILL"} }, "0000000000000020"},
		{"of a user", func(spec *runtime.ContainerSpec) { spec.User = "app" }, "0000000000000000"},
	} {
		c.equal("capabilities, "+tt.what, c.output(s, tt.change, "caps"), tt.want+"\n")
	}
}

func readonlyRootfs(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	got := c.output(s, func(spec *runtime.ContainerSpec) {
		spec.ReadonlyRootfs = true
		spec.Tmpfs = []task.Tmpfs{{ContainerPath: "/tmp", Size: 1}}
	}, "write /work/x", "write /dev/shm/x", "write /tmp/x")
	c.equal("read-only root", got, "write: open /work/x: read-only file system\nwritten\nwritten\n")
}

// writableLayer wants that what a container writes is its own.
func writableLayer(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	c.equal("first", c.output(s, nil, "write /work/x", "read /work/x"), "written\nguest\n")
	c.equal("second", c.output(s, nil, "read /work/x"), "read: open /work/x: no such file or directory\n")
}

func openFiles(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	most := c.output(s, nil, "nofile")
	if got := strings.TrimSpace(most); got != "65535" && len(got) > 5 {
		c.t.Errorf("open files: got %s, want 65535 or what the machine allows if that is less", got)
	}
	c.equal("a ulimit", c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Ulimits = []task.Ulimit{{Name: "nofile", SoftLimit: 100, HardLimit: 200}}
	}, "nofile"), "200\n")
}

func mounts(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	dir := c.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("from the host\n"), 0o644); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o777); err != nil {
		c.t.Fatal(err)
	}
	got := c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Mounts = []runtime.Mount{
			{Source: filepath.Join(dir, "data"), Destination: "/volume/data"},
			{Source: dir, Destination: "/volume/all", ReadOnly: true},
			{Source: filepath.Join(dir, "hosts"), Destination: "/etc/hosts", ReadOnly: true},
		}
	}, "read /etc/hosts", "write /etc/hosts", "write /volume/data/x", "read /volume/all/data/x", "write /volume/all/y")
	c.equal("mounts", got, "from the host\nwrite: open /etc/hosts: read-only file system\nwritten\nguest\n"+
		"write: open /volume/all/y: read-only file system\n")
	if content, err := os.ReadFile(filepath.Join(dir, "data", "x")); err != nil || string(content) != "guest\n" {
		c.t.Errorf("on the host: %q, %v", content, err)
	}

	spec := c.spec(s, "exit 0")
	spec.Mounts = []runtime.Mount{{Source: filepath.Join(dir, "none"), Destination: "/none"}}
	if err := c.Driver.CreateContainer(c.ctx, spec); err == nil || !strings.Contains(err.Error(), "none") {
		c.t.Errorf("a mount of what is not there: got %v, want an error that names it", err)
	}
}

func tmpfs(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	got := c.output(s, func(spec *runtime.ContainerSpec) {
		spec.SharedMemory = 8
		spec.Tmpfs = []task.Tmpfs{{ContainerPath: "/scratch", Size: 4, MountOptions: []string{"mode=0700", "exec"}}}
	}, "read /proc/mounts")
	for _, want := range []struct{ at, option string }{{"/scratch", "size=4096k"}, {"/scratch", "700"}, {"/dev/shm", "size=8192k"}} {
		found := false
		for line := range strings.Lines(got) {
			fields := strings.Fields(line)
			found = found || len(fields) > 3 && fields[1] == want.at && strings.Contains(fields[3], want.option)
		}
		if !found {
			c.t.Errorf("no %s with %s in %s", want.at, want.option, got)
		}
	}
}

func sysctls(c *check) {
	c.need(Kernel, Sysctls)
	s := c.sandbox()
	c.equal("system control", c.output(s, func(spec *runtime.ContainerSpec) {
		spec.Sysctls = map[string]string{"kernel.msgmax": "4242"}
	}, "read /proc/sys/kernel/msgmax"), "4242\n")
	spec := c.spec(s, "exit 0")
	spec.Sysctls = map[string]string{"kernel.panic": "1"}
	c.want("a system control of the host", c.Driver.CreateContainer(c.ctx, spec), runtime.ErrInvalid)
}

func hiddenPaths(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	got := c.output(s, nil, "read /proc/timer_list", "read /proc/vmallocinfo", "read /proc/slabinfo", "write /proc/sys/kernel/panic", "write /proc/sysrq-trigger", "write /sys/x")
	for _, word := range []string{"written", "cpu", "0x", "slabdata"} {
		if strings.Contains(got, word) {
			c.t.Errorf("the kernel's files are open: %s", got)
		}
	}
}
