package runtimetest

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

var volumeChecks = []namedCheck{
	{"BadMounts", badMounts},
	{"Volumes", volumes},
	{"PopulatedVolumes", populatedVolumes},
	{"PopulatedSource", populatedSource},
	{"MountOrder", mountOrder},
	{"MountRoot", mountRoot},
	{"Storage", storage},
	{"Snapshotters", snapshotters},
	{"StorageReport", storageReport},
}

func badMounts(c *check) {
	s := c.sandbox()
	for _, m := range []runtime.Mount{
		{Destination: "/x"},
		{Destination: "/x", Source: "/tmp", Volume: "v"},
		{Destination: "/x", Volume: "../v"},
		{Destination: "/x", Volume: strings.Repeat("v", 256)},
		{Destination: "x", Volume: "v"},
		{Destination: "/x", Source: "tmp"},
		{Destination: "/x", Volume: "v", Root: "/tmp"},
		{Destination: "/x", Source: "/", Root: "tmp"},
		{Destination: "/x", Source: "/", Root: "/tmp", Populate: true},
		{Destination: "/dev", Volume: "v"},
		{Destination: "/x/../dev/pts", Volume: "v"},
		{Destination: "/dev/console", Source: "/", Root: "/tmp"},
		{Destination: "/proc/sys", Volume: "v"},
		{Destination: "/sys/fs/cgroup", Volume: "v"},
	} {
		spec := c.spec(s, "exit 0")
		spec.Mounts = []runtime.Mount{m}
		c.want("CreateContainer", c.Driver.CreateContainer(c.ctx, spec), runtime.ErrInvalid)
	}
}

// with adds mounts to a container.
func with(mounts ...runtime.Mount) func(*runtime.ContainerSpec) {
	return func(spec *runtime.ContainerSpec) { spec.Mounts = mounts }
}

func volumes(c *check) {
	c.need(Kernel)
	s, other := c.sandbox(), c.sandbox()
	data := runtime.Mount{Volume: "data", Destination: "/a/deep/path"}
	c.equal("a new volume", c.output(s, with(data), "stat /a/deep/path", "write /a/deep/path/x"), "755 0 0\nwritten\n")
	shared := data
	shared.Destination, shared.ReadOnly = "/b", true
	c.equal("another container", c.output(s, with(shared), "read /b/x", "write /b/y"), "guest\nwrite: open /b/y: read-only file system\n")
	c.equal("another sandbox", c.output(other, with(data), "exists /a/deep/path/x"),
		"exists: stat /a/deep/path/x: no such file or directory\n")
	both := runtime.Mount{Volume: "more", Destination: "/c"}
	c.equal("two places", c.output(s, with(both, runtime.Mount{Volume: "more", Destination: "/d"}), "write /c/z", "read /d/z"), "written\nguest\n")
}

func populatedVolumes(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	etc := runtime.Mount{Volume: "etc", Destination: "/etc", Populate: true}
	passwd := c.output(s, nil, "read /etc/passwd")
	c.equal("the image's content", c.output(s, with(etc), "read /etc/passwd", "stat /etc/passwd", "remove /etc/passwd", "write /etc/new"),
		passwd+"644 0 0\nremoved\nwritten\n")
	c.equal("what is there stays", c.output(s, with(etc), "exists /etc/passwd", "read /etc/new"),
		"exists: stat /etc/passwd: no such file or directory\nguest\n")
	c.equal("owner and mode", c.output(s, with(runtime.Mount{Volume: "tmp", Destination: "/tmp", Populate: true}), "stat /tmp"), "1777 0 0\n")
	c.equal("not asked for", c.output(s, with(runtime.Mount{Volume: "bare", Destination: "/etc"}), "exists /etc/passwd"),
		"exists: stat /etc/passwd: no such file or directory\n")
	late := runtime.Mount{Volume: "late", Destination: "/not/in/image", Populate: true}
	c.output(s, with(late), "exit 0")
	late.Destination = "/etc"
	c.equal("empty until the second container", c.output(s, with(late), "read /etc/passwd"), passwd)
}

func populatedSource(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	dir := filepath.Join(c.t.TempDir(), "etc")
	if err := os.Mkdir(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.output(s, with(runtime.Mount{Source: dir, Destination: "/etc", Populate: true}), "read /etc/passwd")
	if _, err := os.Stat(filepath.Join(dir, "passwd")); err != nil {
		c.t.Error(err)
	}
	if rest, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(rest) != 1 {
		c.t.Errorf("beside the directory there is %v, %v", rest, err)
	}
}

func mountOrder(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	got := c.output(s, with(
		runtime.Mount{Volume: "inner", Destination: "/work/in"},
		runtime.Mount{Volume: "outer", Destination: "/work"},
	), "write /work/in/x", "write /work/y")
	c.equal("both", got, "written\nwritten\n")
	got = c.output(s, with(runtime.Mount{Volume: "outer", Destination: "/o"}, runtime.Mount{Volume: "inner", Destination: "/i"}),
		"read /i/x", "read /o/y", "exists /o/in/x")
	c.equal("which is in which", got, "guest\nguest\nexists: stat /o/in/x: no such file or directory\n")
}

// mountRoot wants that no symbolic link leads out of a root.
func mountRoot(c *check) {
	c.need(Kernel)
	s := c.sandbox()
	top := c.t.TempDir()
	root := filepath.Join(top, "root")
	for _, dir := range []string{"root/data", "outside", "root/outside"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"up": "../outside", "absolute": filepath.Join(top, "outside"), "within": "/data"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			c.t.Fatal(err)
		}
	}
	at := func(source string) runtime.Mount {
		return runtime.Mount{Root: root, Source: source, Destination: "/m"}
	}
	c.equal("within", c.output(s, with(at("/within")), "write /m/x"), "written\n")
	c.equal("upwards", c.output(s, with(at("/up")), "write /m/y"), "written\n")
	c.equal("dots", c.output(s, with(at("/../../outside")), "read /m/y"), "guest\n")
	for _, want := range []string{"root/data/x", "root/outside/y"} {
		if _, err := os.Stat(filepath.Join(top, want)); err != nil {
			c.t.Error(err)
		}
	}
	if rest, err := os.ReadDir(filepath.Join(top, "outside")); err != nil || len(rest) > 0 {
		c.t.Errorf("outside of the root there is %v, %v", rest, err)
	}
	spec := c.spec(s, "exit 0")
	spec.Mounts = []runtime.Mount{at("/absolute")}
	if err := c.Driver.CreateContainer(c.ctx, spec); err == nil || !strings.Contains(err.Error(), "/absolute") {
		c.t.Errorf("an absolute link out of the root: got %v, want an error that names it", err)
	}
}

// storage wants a disk that is full when it is, for its sandbox only, and that is gone with it.
func storage(c *check) {
	c.need(Kernel, Storage)
	s, other := c.sandbox(func(s *runtime.SandboxSpec) { s.Storage = 48 }), c.sandbox()
	data := with(runtime.Mount{Volume: "data", Destination: "/data"})
	const full = "no space left on device"
	c.equal("within", c.output(s, data, "fill /work/x 8", "fill /data/y 8", "stat /", "read /etc/group"), "filled\nfilled\n755 0 0\n"+
		strings.TrimSuffix(c.output(other, nil, "read /etc/group"), "\n")+"\n")
	c.equal("the root file system", c.output(s, data, "fill /work/x 64", "remove /work/x"), "fill: write /work/x: "+full+"\nremoved\n")
	c.equal("a volume", c.output(s, data, "fill /data/x 64", "fill /work/x 1"), "fill: write /data/x: "+full+"\nfill: write /work/x: "+full+"\n")
	c.equal("another sandbox", c.output(other, data, "fill /data/x 64"), "filled\n")
	if c.Reopen != nil {
		c.Driver = c.Reopen(c.t)
	}
	c.equal("after a restart", c.output(s, data, "stat /data/y", "fill /data/z 1"), "644 0 0\nfill: write /data/z: "+full+"\n")
}

// snapshotters wants a name for each container that there is, and no size of a disk that there is not.
func snapshotters(c *check) {
	s := c.sandbox()
	first := c.start(c.spec(s, "hang"))
	c.start(c.spec(c.sandbox(), "hang"))
	got := c.storage(s.ID)
	if got.Size != 0 || got.Free != 0 || len(got.Snapshotters) != 1 || got.Snapshotters[first.ID] == "" {
		c.t.Errorf("without a disk: %+v", got)
	}
	c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, first.ID))
	if got := c.storage(s.ID); len(got.Snapshotters) != 0 {
		c.t.Errorf("after the container was removed: %+v", got)
	}
}

// storageReport wants what is told of a disk to follow what is written to it, and to agree with when it is full.
func storageReport(c *check) {
	c.need(Kernel, Storage)
	const mib = 1 << 20
	s := c.sandbox(func(s *runtime.SandboxSpec) { s.Storage = 64 })
	data := with(runtime.Mount{Volume: "data", Destination: "/data"})
	empty := c.storage(s.ID)
	if empty.Size != 64*mib || empty.Free > empty.Size || empty.Free < 40*mib || len(empty.Snapshotters) != 0 {
		c.t.Errorf("an empty disk of 64 MiB: %+v", empty)
	}
	for i, statement := range []string{"fill /work/x 16", "fill /data/y 16"} {
		spec := c.spec(s, statement, "hang")
		data(&spec)
		c.start(spec)
		c.awaitLog(spec.Log, "filled")
		got := c.storage(s.ID)
		written := int64(empty.Free) - int64(got.Free)
		if least := int64(i+1) * 16 * mib; written < least || written > least+4*mib {
			c.t.Errorf("%s: %d bytes less are free than on the empty disk, want a little more than %d", statement, written, least)
		}
		if got.Size != empty.Size || len(got.Snapshotters) != i+1 || got.Snapshotters[spec.ID] == "" {
			c.t.Errorf("%s: %+v", statement, got)
		}
	}
	if c.Reopen != nil {
		before := c.storage(s.ID)
		c.Driver = c.Reopen(c.t)
		if after := c.storage(s.ID); !reflect.DeepEqual(after, before) {
			c.t.Errorf("after a restart of the driver: %+v, before it %+v", after, before)
		}
	}
	c.output(s, data, "fill /data/z 64")
	if full := c.storage(s.ID); full.Free > 2*mib { // what is left is for the kernel's own use
		c.t.Errorf("on a full disk %d bytes are free", full.Free)
	}
}

// storage skips the check if the driver cannot tell.
func (c *check) storage(sandbox string) runtime.Storage {
	c.t.Helper()
	driver, ok := c.Driver.(runtime.StorageReporter)
	if !ok {
		c.t.Skip("this driver is no StorageReporter")
	}
	got, err := driver.Storage(c.ctx, sandbox)
	c.ok("Storage", err)
	return got
}
