//go:build linux

package containerd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/runtimetest"
)

var (
	usernsSuite   = flag.Bool("userns", false, "run the suite once more with a user namespace for each sandbox")
	usernsRuntime = flag.String("userns-runtime", "runc", "OCI runtime of the tests of user namespaces")
)

func testIDs() *IDRange { return new(IDRange(userns.Default())) }

// openUserNS opens a driver with user namespaces, or says what is missing for them.
func openUserNS(t testing.TB, dir, owner string) *Driver {
	t.Helper()
	d, err := Embed(t.Context(), Config{Owner: owner, Dir: dir, Runtime: *usernsRuntime, UserNamespaces: testIDs()})
	if errors.Is(err, runtime.ErrUnsupported) {
		lane.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
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

// TestUserNSSuite is the driver's suite with a user namespace for each sandbox.
func TestUserNSSuite(t *testing.T) {
	lane.Root(t)
	if !*usernsSuite {
		t.Skip("needs -userns")
	}
	runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
		dir, owner := t.TempDir(), fmt.Sprintf("userns-%d", os.Getpid())
		d := openUserNS(t, dir, owner)
		netns, link := ownedNetNS(t)
		t.Cleanup(func() { closeEmpty(t, d) })
		return runtimetest.Fixture{
			Driver:   offline{d},
			AddImage: func(ctx context.Context, ref string, config runtime.Image) error { return addGuest(t, d, ref, config) },
			Reopen: func(t *testing.T) runtime.Driver {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = openUserNS(t, dir, owner)
				return offline{d}
			},
			Publish: published(t), NetNS: netns, NetNSLink: link,
			Leftovers: func(ctx context.Context) ([]string, error) {
				names, err := leftovers(ctx, d)
				roots, _ := filepath.Glob(d.rootsDir("*"))
				return append(names, roots...), err
			},
			Lacks: []runtimetest.Feature{runtimetest.SharedPID},
		}
	})
}

// ownedNetNS makes a network namespace that belongs to a user namespace of its own.
func ownedNetNS(t *testing.T) (path, link string) {
	t.Helper()
	ns, err := userns.NewNet(testIDs().First)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	path = filepath.Join(t.TempDir(), "netns")
	if err := pin(ns, path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unpin(path); err != nil {
			t.Error(err)
		}
	})
	link, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return path, link
}

// status returns the IDs that a process has on the machine.
func status(t *testing.T, pid int) (uid, gid string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "Uid:":
			uid = f[1]
		case len(f) > 1 && f[0] == "Gid:":
			gid = f[1]
		}
	}
	return uid, gid
}

func TestUserNSOnTheMachine(t *testing.T) {
	lane.Root(t)
	d := openUserNS(t, t.TempDir(), fmt.Sprintf("userns-%d", os.Getpid()))
	defer closeEmpty(t, d)
	if err := addGuest(t, d, crashImage, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	netns, _ := ownedNetNS(t)
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", NetNS: netns}); err != nil {
		t.Fatal(err)
	}
	spec := runtime.ContainerSpec{ID: "c", SandboxID: "s", Image: crashImage, Command: []string{"hang"}}
	if err := d.CreateContainer(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	inv, _ := d.List(t.Context())
	pid := inv.Containers[0].PID
	uid, gid := status(t, pid)
	t.Log(uid, gid)
	for _, f := range []string{"uid_map", "gid_map", "setgroups", "mountinfo"} {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, f))
		t.Log(f, string(b))
	}
	for _, dir := range []string{"/sys/class/net", "/", "/dev", "/sys/fs/cgroup", "/sys/kernel"} {
		names, err := os.ReadDir(fmt.Sprintf("/proc/%d/root%s", pid, dir))
		t.Log(dir, names, err)
	}
}
