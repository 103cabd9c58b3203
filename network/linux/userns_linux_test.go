package linux

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/network"
)

var usernsENIs = flag.Bool("userns", false, "most tests have a user namespace for each ENI")

// withUserNS gives ENIs user namespaces if the tests are to run so.
func withUserNS(c *Config) {
	if *usernsENIs {
		userNamespaces(c)
	}
}

func userNamespaces(c *Config) { c.UserNamespaces = new(IDRange(userns.Default())) }

// rootOf is who the root of the user namespace is that a network namespace belongs to; 0 if that is the machine's.
func rootOf(t *testing.T, path string) uint32 {
	t.Helper()
	ns, err := os.Open(path)
	must(t, err)
	defer ns.Close()
	owner, err := userns.Owner(ns)
	must(t, err)
	if owner == nil {
		return 0
	}
	defer owner.Close()
	dir := t.TempDir()
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	must(t, err)
	defer unix.Close(tree)
	must(t, unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(owner.Fd())}))
	var st unix.Stat_t
	must(t, unix.Fstat(tree, &st))
	return st.Uid
}

func TestUserNamespaces(t *testing.T) {
	f := newFabric(t, "userns", userNamespaces)
	s := testVPC(t, "userns", "10.1.0.0/16")
	must(t, f.Apply(t.Context(), s))
	own, _ := userns.Range(*f.cfg.UserNamespaces).Halves()
	roots := map[string]uint32{}
	for n := range 3 {
		e := testENI(s, n)
		a, err := f.Attach(t.Context(), e)
		must(t, err)
		root := rootOf(t, a.NetNS)
		if root < own.First || root >= own.First+own.Count || (root-own.First)%userns.Size != 0 {
			t.Errorf("root of %s is %d, want one of %+v", e.ID, root, own)
		}
		for id, other := range roots {
			if other == root {
				t.Errorf("%s and %s have the same IDs from %d", id, e.ID, root)
			}
		}
		roots[e.ID] = root
		s.ENIs = append(s.ENIs, e)
	}

	// The next fabric knows who has which, also one that gives no more.
	must(t, f.Close())
	cfg := f.cfg
	cfg.UserNamespaces = nil
	plain := openFabric(t, cfg)
	must(t, plain.Apply(t.Context(), s))
	if len(plain.ids) != len(roots) {
		t.Errorf("IDs that are known to be taken: %v, want those of %v", plain.ids, roots)
	}
	changed := s.ENIs[0]
	changed.Bandwidth = network.Bandwidth{Ingress: 1 << 30}
	a, err := plain.Attach(t.Context(), changed)
	must(t, err)
	if got := rootOf(t, a.NetNS); got != roots[changed.ID] {
		t.Errorf("root of %s is %d after a change, want %d", changed.ID, got, roots[changed.ID])
	}
	fourth, err := plain.Attach(t.Context(), testENI(s, 3))
	must(t, err)
	if got := rootOf(t, fourth.NetNS); got != 0 {
		t.Errorf("a network namespace of a fabric without user namespaces belongs to %d", got)
	}
	must(t, plain.Detach(t.Context(), s.ENIs[1].ID))
	s.ENIs[0], s.ENIs = changed, append(s.ENIs[:1:1], s.ENIs[2])
	must(t, plain.Apply(t.Context(), s)) // waits for what goes
	if _, taken := plain.ids[roots[testENI(s, 1).ID]]; taken || len(plain.ids) != 2 {
		t.Errorf("IDs that are taken after a detachment: %v", plain.ids)
	}
	if again, ok := plain.get(changed.ID); !ok || again.FirstID != roots[changed.ID] {
		t.Errorf("record of %s: %+v", changed.ID, again)
	}
}

func TestUserNamespacesRunOut(t *testing.T) {
	f := newFabric(t, "userns-few", func(c *Config) { c.UserNamespaces = &IDRange{First: 1 << 20, Count: 2 * userns.Size} })
	s := testVPC(t, "userns-few", "10.1.0.0/16")
	must(t, f.Apply(t.Context(), s))
	e := testENI(s, 0)
	_, err := f.Attach(t.Context(), e)
	must(t, err)
	if _, err := f.Attach(t.Context(), testENI(s, 1)); !errors.Is(err, errNoIDs) {
		t.Errorf("a second namespace of one: %v", err)
	}
	must(t, f.Detach(t.Context(), e.ID))
	must(t, f.Apply(context.Background(), s))
	if _, err := f.Attach(t.Context(), testENI(s, 1)); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}
