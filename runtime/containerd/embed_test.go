//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Dir: "/x"}, "Config.Owner"},
		{Config{Owner: "Upper", Dir: "/x"}, "Config.Owner"},
		{Config{Owner: "-", Dir: "/x"}, "Config.Owner"},
		{Config{Owner: strings.Repeat("a", 33), Dir: "/x"}, "Config.Owner"},
		{Config{Owner: "a"}, "Config.Dir"},
		{Config{Owner: "a", Dir: "relative"}, "Config.Dir"},
		{Config{Owner: "a", Dir: "/x", CgroupParent: "/.."}, "Config.CgroupParent"},
	} {
		if _, err := tt.cfg.withDefaults(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error that names %s", tt.cfg, err, tt.want)
		}
	}
	got, err := Config{Owner: "a-1", Dir: "/x/"}.withDefaults()
	if err != nil || got.Runtime != "runc" || got.CgroupParent != "fardel/a-1" || got.Dir != "/x" || got.Logger == nil {
		t.Errorf("defaults: %+v, %v", got, err)
	}
}

func TestEmbedWithoutReexec(t *testing.T) {
	reexecs.Store(false)
	defer reexecs.Store(true)
	_, err := Embed(t.Context(), Config{Owner: "a", Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "Reexec") {
		t.Errorf("got %v, want an error that names Reexec", err)
	}
}

func TestEmbedWithoutRuntime(t *testing.T) {
	lane.Root(t)
	_, err := Embed(t.Context(), Config{Owner: "a", Dir: t.TempDir(), Runtime: "no-such-runtime"})
	if !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "apt-get install runc") {
		t.Errorf("got %v, want an UnsupportedError that names the fix", err)
	}
}

func TestEmbedTwice(t *testing.T) {
	lane.Root(t)
	dir, owner := t.TempDir(), fmt.Sprintf("twice-%d", os.Getpid())
	d := openEmbedded(t, dir, owner)
	if _, err := Embed(t.Context(), Config{Owner: owner + "-b", Dir: dir}); err == nil || !strings.Contains(err.Error(), "Config.Dir") {
		t.Errorf("the same directory: got %v, want an error that names Config.Dir", err)
	}
	if _, err := Embed(t.Context(), Config{Owner: owner, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "Config.Owner") {
		t.Errorf("the same owner: got %v, want an error that names Config.Owner", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openEmbedded(t, dir, owner).Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "x"}); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// TestInstances runs drivers of one process side by side, one of them with a name longer than a socket's may be.
func TestInstances(t *testing.T) {
	lane.Root(t)
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	var group sync.WaitGroup
	for i, dir := range []string{t.TempDir(), t.TempDir(), long} {
		d := openEmbedded(t, dir, fmt.Sprintf("instance-%d-%d", os.Getpid(), i))
		group.Go(func() {
			defer d.Close()
			ref := fmt.Sprintf("fardel.test/guest:%d", i)
			if err := addGuest(t, d, ref, runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
				t.Error(err)
				return
			}
			if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "same"}); err != nil {
				t.Error(err)
			}
			log := filepath.Join(dir, "log")
			spec := runtime.ContainerSpec{ID: "same-c", SandboxID: "same", Image: ref, Command: []string{"out " + ref, "size"}, Terminal: i == 2, Log: log}
			if err := d.CreateContainer(t.Context(), spec); err != nil {
				t.Error(err)
			}
			if err := d.Start(t.Context(), "same-c"); err != nil {
				t.Error(err)
			}
			exit, err := d.Wait(t.Context(), "same-c")
			text, _ := readLog(t, d, log)
			if err != nil || exit.Code != 0 || !strings.Contains(string(text), ref) {
				t.Errorf("instance %d: %+v, %v, %q", i, exit, err, text)
			}
			if err := d.RemoveSandbox(t.Context(), "same"); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, d)
		})
	}
	group.Wait()
}
