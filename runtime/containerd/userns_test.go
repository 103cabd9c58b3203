//go:build linux

package containerd

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/runtime/runtimetest"
	"github.com/fardel-io/fardel/task"
)

var (
	withSuite     = flag.Bool("userns", false, "run the suite once more with a user namespace for each sandbox")
	usernsRuntime = flag.String("userns-runtime", "runc", "OCI runtime of the tests of user namespaces")
)

func testIDs() *IDRange { return new(IDRange(userns.Default())) }

// openUserNS opens a driver with user namespaces, or says what is missing for them.
func openUserNS(t testing.TB, dir, owner string, options ...func(*Config)) *Driver {
	t.Helper()
	d, err := Embed(t.Context(), usernsConfig(dir, owner, options))
	if errors.Is(err, runtime.ErrUnsupported) {
		lane.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func usernsConfig(dir, owner string, options []func(*Config)) Config {
	cfg := Config{Owner: owner, Dir: dir, Runtime: *usernsRuntime, UserNamespaces: testIDs()}
	for _, set := range options {
		set(&cfg)
	}
	return cfg
}

// offline is a driver whose containers have a network of their own each where their sandbox has none: the suite's are in the
// machine's, which a user namespace cannot have.
type offline struct{ *Driver }

func (o offline) CreateContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	o.mu.Lock()
	s := o.sandboxes[spec.SandboxID]
	o.mu.Unlock()
	if s != nil && s.spec.NetNS == "" {
		spec.NoNetwork = true
	}
	return o.Driver.CreateContainer(ctx, spec)
}

// connectUserNS is openUserNS for a daemon.
func connectUserNS(t testing.TB, socket, dir, owner string, options ...func(*Config)) *Driver {
	t.Helper()
	d, err := Connect(t.Context(), socket, usernsConfig(dir, owner, options))
	if errors.Is(err, runtime.ErrUnsupported) {
		lane.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestUserNSSuite is the driver's suite with a user namespace for each sandbox.
func TestUserNSSuite(t *testing.T) {
	lane.Root(t)
	needSuite(t)
	usernsSuite(t, openUserNS)
}

// TestUserNSConnectSuite is it with the distribution's daemon, or that of FARDEL_CONTAINERD.
func TestUserNSConnectSuite(t *testing.T) {
	lane.Root(t)
	needSuite(t)
	socket := startDaemon(t, os.Getenv("FARDEL_CONTAINERD"))
	usernsSuite(t, func(t testing.TB, dir, owner string, options ...func(*Config)) *Driver {
		return connectUserNS(t, socket, dir, owner, options...)
	})
}

func needSuite(t *testing.T) {
	t.Helper()
	if !*withSuite {
		t.Skip("needs -userns")
	}
}

func usernsSuite(t *testing.T, open func(t testing.TB, dir, owner string, options ...func(*Config)) *Driver) {
	n := 0
	runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
		n++
		dir, owner := t.TempDir(), fmt.Sprintf("userns-%d-%d", os.Getpid(), n)
		r := newRegistry(t, false)
		d := open(t, dir, owner, named(r))
		netns, link := ownedNetNS(t)
		t.Cleanup(func() { closeEmpty(t, d) })
		return runtimetest.Fixture{
			Driver:   offline{d},
			AddImage: func(ctx context.Context, ref string, config runtime.Image) error { return addGuest(t, d, ref, config) },
			Reopen: func(t *testing.T) runtime.Driver {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = open(t, dir, owner, named(r))
				return offline{d}
			},
			Publish: published(t, r), NetNS: netns, NetNSLink: link,
			Leftovers: func(ctx context.Context) ([]string, error) {
				names, err := leftovers(ctx, d)
				roots, _ := filepath.Glob(d.rootsDir("*"))
				return append(names, roots...), err
			},
		}
	})
}

// TestUserNSConnect runs a container of a daemon's.
func TestUserNSConnect(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	d := connectUserNS(t, startDaemon(t, os.Getenv("FARDEL_CONTAINERD")), dir, fmt.Sprintf("userns-%d", os.Getpid()))
	defer closeEmpty(t, d)
	if err := addGuest(t, d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	first := d.idsOf("s").First
	out := runGuest(t, d, dir, nil, "id", "write /x", "stat /x", "read /proc/self/uid_map")
	if f := strings.Fields(out); len(f) != 10 || f[0]+f[1]+f[2] != "00[0]" || f[4]+f[5]+f[6] != "64400" || f[8] != fmt.Sprint(first) {
		t.Errorf("a container of a daemon's: %q, want IDs from %d", out, first)
	}
}

// ownedNetNS makes a network namespace that belongs to a user namespace of its own.
func ownedNetNS(t *testing.T) (path, link string) {
	t.Helper()
	path = netNSOf(t, testIDs().First)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("net:[%d]", st.Ino)
}

// netNSOf makes one whose user namespace begins with an ID of the machine.
func netNSOf(t *testing.T, first uint32) string {
	t.Helper()
	ns, err := userns.NewNet(first)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	path := filepath.Join(t.TempDir(), "netns")
	if err := pin(ns, path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unpin(path); err != nil {
			t.Error(err)
		}
	})
	return path
}

// childUserNS gives a child's sandboxes user namespaces.
const childUserNS = "FARDEL_TEST_CHILD_USERNS"

func childIDs() *IDRange {
	if os.Getenv(childUserNS) == "" {
		return nil
	}
	return testIDs()
}

// TestUserNSRefused opens drivers that lack one thing each.
func TestUserNSRefused(t *testing.T) {
	lane.Root(t)
	if !reexecs.Load() {
		t.Fatal("no Reexec")
	}
	old := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho '{\"linux\":{\"namespaces\":[\"user\"]}}'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	silent := filepath.Join(t.TempDir(), "silent")
	if err := os.WriteFile(silent, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	gvisor := filepath.Join(t.TempDir(), gVisor)
	if err := os.Symlink(old, gvisor); err != nil {
		t.Fatal(err)
	}
	// Neither overlays nor other owners: nothing can be mounted so.
	ram := t.TempDir()
	if err := unix.Mount("ram", ram, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(ram, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct{ runtime, dir, needs string }{
		{old, t.TempDir(), "idmapped mounts, such as runc 1.2"},
		{silent, t.TempDir(), "exit status 3"},
		{gvisor, t.TempDir(), "an OCI runtime other than runsc"},
		{*usernsRuntime, filepath.Join(ram, "d"), ""},
	} {
		cfg := Config{Owner: fmt.Sprintf("userns-%d", os.Getpid()), Dir: c.dir, Runtime: c.runtime, UserNamespaces: testIDs()}
		d, err := Embed(t.Context(), cfg)
		var unsupported *runtime.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Feature != usernsFeature || !strings.Contains(unsupported.Needs, c.needs) {
			t.Errorf("%s in %s: %v; want it to need %q", c.runtime, c.dir, err, c.needs)
		} else {
			t.Log(err)
		}
		if err == nil {
			closeEmpty(t, d)
		}
	}
	for _, r := range []IDRange{{}, {First: 1000, Count: 1 << 17}, {First: 1 << 20, Count: 1 << 16}, {First: 1<<31 - 1<<17, Count: 1 << 18}} {
		if _, err := Embed(t.Context(), Config{Owner: "x", Dir: t.TempDir(), UserNamespaces: &r}); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

// usernsDriver is a driver with a guest image, whose sandboxes have user namespaces.
func usernsDriver(t *testing.T, dir string) *Driver {
	t.Helper()
	lane.Root(t)
	d := openUserNS(t, dir, fmt.Sprintf("userns-%d", os.Getpid()))
	if err := addGuest(t, d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUserNSSpecsRefused(t *testing.T) {
	d := usernsDriver(t, t.TempDir())
	defer closeEmpty(t, d)
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "foreign", NetNS: "/proc/self/ns/net"}); !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("a network namespace of the machine's: %v", err)
	}
	for _, first := range []uint32{0, 1000} {
		if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "root", NetNS: netNSOf(t, first)}); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("a user namespace whose root is user %d of the machine: %v", first, err)
		}
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		change func(*runtime.ContainerSpec)
		want   error
	}{
		"privileged":            {func(s *runtime.ContainerSpec) { s.Privileged = true }, runtime.ErrUnsupported},
		"the machine's network": {func(s *runtime.ContainerSpec) { s.NoNetwork = false }, runtime.ErrUnsupported},
		"user 65536":            {func(s *runtime.ContainerSpec) { s.User = "65536" }, runtime.ErrInvalid},
		"group 1000000":         {func(s *runtime.ContainerSpec) { s.User = "0:1000000" }, runtime.ErrInvalid},
		"a kernel's file system": {func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Source: "/proc/self", Destination: "/m"}}
		}, runtime.ErrUnsupported},
	} {
		spec := runtime.ContainerSpec{ID: "c", SandboxID: "s", Image: crashImage, Command: []string{"hang"}, NoNetwork: true}
		c.change(&spec)
		if err := d.CreateContainer(t.Context(), spec); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

// runGuest runs a container of a sandbox to its end and returns what it wrote.
func runGuest(t *testing.T, d *Driver, dir string, change func(*runtime.ContainerSpec), statements ...string) string {
	t.Helper()
	id := fmt.Sprintf("c%d", seed.Add(1))
	spec := runtime.ContainerSpec{
		ID: id, SandboxID: "s", Image: crashImage, Command: statements, NoNetwork: true, Log: filepath.Join(dir, id+".log"),
	}
	if change != nil {
		change(&spec)
	}
	if err := d.CreateContainer(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	return startGuest(t, d, spec)
}

func startGuest(t *testing.T, d *Driver, spec runtime.ContainerSpec) string {
	t.Helper()
	if err := d.Start(t.Context(), spec.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Wait(t.Context(), spec.ID); err != nil {
		t.Fatal(err)
	}
	out, err := readLog(t, d, spec.Log)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func owner(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
}

// TestUserNSOwners looks at what containers make and find from inside and from the machine.
func TestUserNSOwners(t *testing.T) {
	dir, mine := t.TempDir(), t.TempDir()
	d := usernsDriver(t, dir)
	defer func() { closeEmpty(t, d) }()
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", Storage: 32}); err != nil {
		t.Fatal(err)
	}
	first := d.idsOf("s").First
	if _, half := userns.Range(*testIDs()).Halves(); first < half.First || first >= half.First+half.Count {
		t.Errorf("IDs from %d are not the driver's to give", first)
	}
	if err := os.Chmod(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mine, "roots"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mounts := func(s *runtime.ContainerSpec) {
		s.Mounts = []runtime.Mount{
			{Volume: "v", Destination: "/v"}, {Volume: "filled", Destination: "/etc", Populate: true}, {Source: mine, Destination: "/mine"},
			{Root: mine, Source: "/", Destination: "/inside"},
		}
	}
	out := runGuest(t, d, dir, mounts, "id", "stat /", "stat /v", "stat /etc", "stat /etc/passwd", "stat /work", "stat /guest", "stat /mine/roots",
		"read /mine/roots", "write /mine/made", "write /inside/too", "write /v/x", "write /new", "link /proc/self/ns/user")
	user, err := os.Readlink("/proc/self/ns/user")
	if err != nil {
		t.Fatal(err)
	}
	want := "0 0 [0]\n755 0 0\n755 0 0\n755 0 0\n644 0 0\n777 0 0\n755 0 0\n600 0 0\nx\nwritten\nwritten\nwritten\nwritten\n"
	if !strings.HasPrefix(out, want) || strings.Contains(out, user) {
		t.Errorf("root finds\n%swant\n%sand not %s", out, want, user)
	}
	out = runGuest(t, d, dir, func(s *runtime.ContainerSpec) { mounts(s); s.User = "app" }, "id", "read /mine/roots", "write /work/x", "stat /work/x", "write /v/y")
	if want := "1000 1000 [29 1000]\nread: open /mine/roots: permission denied\nwritten\n644 1000 1000\nwrite: open /v/y: permission denied\n"; out != want {
		t.Errorf("app finds\n%swant\n%s", out, want)
	}
	mapped := fmt.Sprintf("%d:%d", first, first)
	volumes := filepath.Join(d.diskDir("s"), "volumes")
	for path, want := range map[string]string{
		filepath.Join(mine, "made"):                 "644 0:0",
		filepath.Join(mine, "too"):                  "644 0:0",
		filepath.Join(volumes, "v/data"):            "755 " + mapped,
		filepath.Join(volumes, "v/data/x"):          "644 " + mapped,
		filepath.Join(volumes, "filled/data"):       "755 " + mapped,
		filepath.Join(volumes, "filled/data/group"): "644 " + mapped,
		d.rootsDir("s"):                             fmt.Sprintf("710 0:%d", first),
	} {
		if got := owner(t, path); got != want {
			t.Errorf("%s is %s on the machine, want %s", path, got, want)
		}
	}
}

// TestUserNSNestedMounts has mounts in mounts, which the driver makes from outside of the user namespace: each shows owners as
// it would by itself.
func TestUserNSNestedMounts(t *testing.T) {
	dir, mine, other := t.TempDir(), t.TempDir(), t.TempDir()
	d := usernsDriver(t, dir)
	defer func() { closeEmpty(t, d) }()
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	first := d.idsOf("s").First
	for _, host := range []string{mine, other} {
		if err := os.Chmod(host, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	nest := func(s *runtime.ContainerSpec) {
		s.Mounts = []runtime.Mount{
			{Source: mine, Destination: "/mine"}, {Volume: "w", Destination: "/mine/w"}, {Source: other, Destination: "/mine/other"},
			{Volume: "v", Destination: "/v"}, {Source: other, Destination: "/v/other", ReadOnly: true}, {Root: other, Source: "/", Destination: "/v/inside"},
		}
		s.Tmpfs = []task.Tmpfs{{ContainerPath: "/v/t", Size: 1}, {ContainerPath: "/mine/t", Size: 1, MountOptions: []string{"uid=1000", "gid=1000", "mode=700"}}}
	}
	want := "755 0 0\n755 0 0\n755 0 0\n755 0 0\n755 0 0\n1777 0 0\n700 1000 1000\n" +
		"written\nwritten\nwritten\nwrite: open /v/other/x: read-only file system\nwritten\nwritten\nwritten\n"
	for range 2 {
		out := runGuest(t, d, dir, nest, "stat /mine", "stat /mine/w", "stat /mine/other", "stat /v", "stat /v/other", "stat /v/t", "stat /mine/t",
			"write /mine/x", "write /mine/w/x", "write /mine/other/x", "write /v/other/x", "write /v/inside/y", "write /v/t/x", "write /mine/t/x")
		if out != want {
			t.Errorf("root finds\n%swant\n%s", out, want)
		}
	}
	mapped := fmt.Sprintf("%d:%d", first, first)
	volume := func(name string) string { return d.volumeDir(runtime.SandboxSpec{ID: "s"}, name) }
	for path, want := range map[string]string{
		filepath.Join(mine, "x"):        "644 0:0",
		filepath.Join(other, "x"):       "644 0:0",
		filepath.Join(other, "y"):       "644 0:0",
		filepath.Join(volume("w"), "x"): "644 " + mapped,
	} {
		if got := owner(t, path); got != want {
			t.Errorf("%s is %s on the machine, want %s", path, got, want)
		}
	}
}

// TestUserNSManyLayers has an image whose layers do not fit into a page of mount options by their names.
func TestUserNSManyLayers(t *testing.T) {
	dir := t.TempDir()
	d := usernsDriver(t, dir)
	defer closeEmpty(t, d)
	file, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	layers := []image.Layer{image.Files(image.File{Name: "/guest", Path: file, Mode: 0o755})}
	for i := range 60 {
		layers = append(layers, image.Files(image.File{Name: fmt.Sprint("/layer/", i), Content: []byte{byte(i)}}))
	}
	img, err := image.New(image.Config{Ref: "fardel.test/layers:1", Entrypoint: []string{"/guest"}}, layers...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := img.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := d.ImportImage(t.Context(), "", r); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	out := runGuest(t, d, dir, func(s *runtime.ContainerSpec) {
		s.Image, s.Mounts = "fardel.test/layers:1", []runtime.Mount{{Volume: "v", Destination: "/layer", Populate: true}}
	}, "stat /guest", "stat /layer/0", "stat /layer/59")
	if want := "755 0 0\n644 0 0\n644 0 0\n"; out != want {
		t.Errorf("found\n%swant\n%s", out, want)
	}
}

// TestUserNSStays takes a sandbox to a driver without user namespaces, which runs its containers as it finds them.
func TestUserNSStays(t *testing.T) {
	dir := t.TempDir()
	d := usernsDriver(t, dir)
	netns, link := ownedNetNS(t)
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", NetNS: netns}); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "again", NetNS: netns}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("two sandboxes with the same IDs: %v", err)
	}
	spec := runtime.ContainerSpec{
		ID: "c", SandboxID: "s", Image: crashImage, Command: []string{"write /x", "stat /x", "link /proc/self/ns/user", "link /proc/self/ns/net", "sleep 1ms"},
		Log: filepath.Join(dir, "c.log"),
	}
	if err := d.CreateContainer(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	one := startGuest(t, d, spec)
	if !strings.Contains(one, "644 0 0\n") || !strings.Contains(one, link) {
		t.Errorf("the first run: %q, want it in %s", one, link)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openWith(t, Config{Owner: d.cfg.Owner, Dir: dir, Runtime: *usernsRuntime})
	defer func() { closeEmpty(t, d) }()
	if err := d.Restart(t.Context(), "c", 1, nil); err != nil {
		t.Fatal(err)
	}
	if two := startGuest(t, d, spec); two != one+one {
		t.Errorf("the second run: %q, want %q", strings.TrimPrefix(two, one), one)
	}
	// A process that was started before lives on; a further one is in its namespace.
	long := runtime.ContainerSpec{ID: "long", SandboxID: "s", Image: crashImage, Command: []string{"hang"}}
	if err := errors.Join(d.CreateContainer(t.Context(), long), d.Start(t.Context(), "long")); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	code, err := d.Exec(t.Context(), "long", runtime.ExecSpec{Args: []string{"/guest", "id", "link /proc/self/ns/net"}, Stdout: &out})
	if err != nil || code != 0 || out.String() != "0 0 [0]\n"+link+"\n" {
		t.Errorf("exec: %d, %v, %q", code, err, out.String())
	}
	if _, err := d.Exec(t.Context(), "long", runtime.ExecSpec{Args: []string{"/guest", "id"}, User: "70000"}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("exec as user 70000: %v", err)
	}
	// One that is new has none.
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "plain"}); err != nil {
		t.Fatal(err)
	}
	if ids := d.idsOf("plain"); ids != nil {
		t.Errorf("a sandbox of a driver without user namespaces has %+v", ids)
	}
}

// TestUserNSAfterReboot finds a sandbox without its namespaces and mounts, as the machine has them when it was restarted.
func TestUserNSAfterReboot(t *testing.T) {
	dir := t.TempDir()
	d := usernsDriver(t, dir)
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s"}); err != nil {
		t.Fatal(err)
	}
	runGuest(t, d, dir, nil, "out x")
	inv, err := d.List(t.Context())
	if err != nil || len(inv.Containers) != 1 {
		t.Fatal(inv, err)
	}
	id := inv.Containers[0].ID
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(d.userPath("s"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := unmountDir(filepath.Join(d.rootsDir("s"), id)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.rootsDir("")); err != nil {
		t.Fatal(err)
	}
	again := openUserNS(t, dir, d.cfg.Owner)
	defer closeEmpty(t, again)
	spec := runtime.ContainerSpec{ID: "late", SandboxID: "s", Image: crashImage, Command: []string{"hang"}, NoNetwork: true}
	if err := again.CreateContainer(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "user namespace") {
		t.Errorf("a container in a sandbox that has lost its user namespace: %v", err)
	}
	if err := again.RemoveSandbox(t.Context(), "s"); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, again)
	if left, err := filepath.Glob(d.rootsDir("*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestUserNSKilledAnywhere is TestKilledAnywhere with user namespaces.
func TestUserNSKilledAnywhere(t *testing.T) {
	usernsDriverIsPossible(t)
	t.Setenv(childUserNS, "1")
	t.Setenv(childRuntime, *usernsRuntime)
	dir := prepareCrash(t)
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		kill := startChild(t, dir, "churn")
		delay := time.Duration(rand.IntN(800)) * time.Millisecond
		<-time.After(delay)
		kill()
		d := openUserNS(t, filepath.Join(dir, "driver"), fmt.Sprintf("crash-%d", os.Getpid()))
		inv, err := d.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range inv.Sandboxes {
			if d.idsOf(s.ID) == nil {
				t.Errorf("killed after %s: sandbox %s has no user namespace", delay, s.ID)
			}
			if err := d.RemoveSandbox(t.Context(), s.ID); err != nil {
				t.Errorf("killed after %s: %v", delay, err)
			}
		}
		wantNothingLeft(t, d)
		if left, err := filepath.Glob(d.rootsDir("*")); err != nil || len(left) > 0 {
			t.Errorf("killed after %s: left %v, %v", delay, left, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Fatalf("killed after %s, inventory %+v", delay, inv)
		}
	}
}

func usernsDriverIsPossible(t *testing.T) {
	t.Helper()
	lane.Root(t)
	if err := openUserNS(t, t.TempDir(), fmt.Sprintf("userns-%d", os.Getpid())).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMachineCodeLeaves holds instructions against those that Go's assembler makes.
func TestMachineCodeLeaves(t *testing.T) {
	for arch, want := range map[string]string{
		"amd64": "85c0" + "740c" + "bf00000000" + "b8e7000000" + "0f05",
		"arm64": "800000b4" + "000080d2" + "c80b80d2" + "010000d4",
	} {
		exit := map[string]uint64{"amd64": 231, "arm64": 94}[arch]
		if got := hex.EncodeToString(machines[arch].leave(nil, exit)); got != want {
			t.Errorf("%s: %s, want %s", arch, got, want)
		}
	}
}

// TestPausePlanInUserNS has all namespaces made after the user namespace was entered, and the cgroup entered before.
func TestPausePlanInUserNS(t *testing.T) {
	p := pausePlan{groups: []int{4}, userNS: 5, namespaces: unix.CLONE_NEWPID | unix.CLONE_NEWNS, netNS: 6, closeRange: true}.program()
	var steps []string
	for _, c := range p.calls[:p.forked+2] {
		steps = append(steps, c.step)
	}
	want := []string{
		"enter the cgroup", "join the user namespace", "become its group", "become its root", "make namespaces", "make the first process",
		"make a cgroup namespace", "join the network namespace",
	}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	if p := (pausePlan{}).program(); p.forked != 0 {
		t.Errorf("without a user namespace it forks at step %d", p.forked)
	}
}

// TestHostOf maps owners that an image claims: never to those of the machine or of another sandbox.
func TestHostOf(t *testing.T) {
	ids := &sandboxIDs{First: 1 << 30}
	for id, want := range map[uint32]int{0: 1 << 30, 1000: 1<<30 + 1000, 65535: 1<<30 + 65535, 65536: 1<<30 + 65534, 1 << 30: 1<<30 + 65534, 1<<32 - 1: 1<<30 + 65534} {
		if got := ids.host(id); got != want {
			t.Errorf("%d is %d on the machine, want %d", id, got, want)
		}
	}
}

func TestCommonParent(t *testing.T) {
	for _, c := range []struct {
		layers []string
		parent string
		names  []string
	}{
		{[]string{"/a/snapshots/1/fs"}, "/a/snapshots", []string{"1/fs"}},
		{[]string{"/a/snapshots/12/fs", "/a/snapshots/3/fs"}, "/a/snapshots", []string{"12/fs", "3/fs"}},
		{[]string{"/a/snapshots/12/fs", "/b/snapshots/3/fs"}, "", nil},
		{[]string{"snapshots/12/fs"}, "", nil},
		{[]string{"/1/fs"}, "", nil},
		{[]string{""}, "", nil},
	} {
		parent, names, err := commonParent(c.layers)
		if parent != c.parent || !slices.Equal(names, c.names) || (err != nil) != (c.parent == "") {
			t.Errorf("%q: %q, %q, %v", c.layers, parent, names, err)
		}
	}
}

// BenchmarkUserNSLaunch takes a sandbox with one container to its start with and without user namespaces, in turn, and reports
// the medians of the parts in milliseconds, and the least, which is closer to the truth on a busy machine.
func BenchmarkUserNSLaunch(b *testing.B) {
	lane.Root(b)
	drivers := map[string]*Driver{}
	for _, name := range []string{"without", "with"} {
		dir, owner := b.TempDir(), fmt.Sprintf("%s-%d", name, os.Getpid())
		var err error
		if name == "with" {
			drivers[name] = openUserNS(b, dir, owner)
		} else if drivers[name], err = Embed(b.Context(), Config{Owner: owner, Dir: dir, Runtime: *usernsRuntime}); err != nil {
			b.Fatal(err)
		}
		defer drivers[name].Close()
		if err := addGuest(b, drivers[name], crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
			b.Fatal(err)
		}
	}
	times := map[string][]time.Duration{}
	for i := 0; b.Loop(); i++ {
		names := []string{"without", "with"}
		if i%2 == 1 { // neither always follows the other
			slices.Reverse(names)
		}
		for _, name := range names {
			d, id := drivers[name], fmt.Sprint("c", i)
			last := time.Now()
			phase := func(what string, err error) {
				if err != nil {
					b.Fatal(err)
				}
				times[name+"-"+what] = append(times[name+"-"+what], time.Since(last))
				last = time.Now()
			}
			phase("sandbox", d.CreateSandbox(b.Context(), runtime.SandboxSpec{ID: id}))
			phase("create", d.CreateContainer(b.Context(), runtime.ContainerSpec{ID: id, SandboxID: id, Image: crashImage, NoNetwork: true}))
			phase("start", d.Start(b.Context(), id))
			_, err := d.Wait(b.Context(), id)
			phase("wait", err)
			phase("remove", d.RemoveSandbox(b.Context(), id))
		}
	}
	for name, list := range times {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, name+"-ms")
		b.ReportMetric(float64(list[0].Microseconds())/1000, name+"-least-ms")
	}
}
