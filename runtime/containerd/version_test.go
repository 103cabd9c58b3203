//go:build linux

package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

// fakeRuntime writes a program that a shell runs.
func fakeRuntime(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHostileRuntimeVersion opens drivers with OCI runtimes that have known ways out, and finds none that runs a container.
func TestHostileRuntimeVersion(t *testing.T) {
	lane.Root(t)
	runc := lane.Command(t, "runc")
	dir := t.TempDir()
	pass := fmt.Sprintf(`
case " $* " in *" --version "*) ;; *) exec %s "$@" ;; esac`, runc)
	old := func(name, says string) string {
		return fakeRuntime(t, filepath.Join(dir, name, "runc"), pass+"\nprintf '"+says+"'")
	}
	debian12 := old("debian12", `runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\n`)
	debian13 := old("debian13", `runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+deb13u1\n`)
	youki := old("youki", `youki version: 0.5.6\n`)
	good := old("good", `runc version 1.5.3\n`)
	mine := old("mine", `mine version 3.2\n`)
	open := func(cfg Config) (string, error) {
		var said bytes.Buffer
		cfg.Owner, cfg.Dir, cfg.Logger = fmt.Sprintf("version-%d", os.Getpid()), t.TempDir(), slog.New(slog.NewTextHandler(&said, nil))
		d, err := Embed(t.Context(), cfg)
		if err != nil {
			return said.String(), err
		}
		return said.String(), d.Close()
	}
	for name, path := range map[string]string{"Debian 12's runc": debian12, "Debian 13's runc": debian13, "youki": youki} {
		_, err := open(Config{Runtime: path})
		hostiletest.Report(t, name+" is used", err == nil, fmt.Sprint(err))
		if !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "CVE-2025-") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an UnsupportedError with the path and the advisories", name, err)
		}
		said, err := open(Config{Runtime: path, AllowVulnerableRuntime: true})
		if err != nil || !strings.Contains(said, "CVE-2025-") || !strings.Contains(said, "AllowVulnerableRuntime") {
			t.Errorf("%s, allowed: %v, said %q", name, err, said)
		}
	}
	if said, err := open(Config{Runtime: mine}); err != nil || !strings.Contains(said, "nothing is known") {
		t.Errorf("one's own: %v, said %q", err, said)
	}
	// Of a name the first safe program is taken, whatever comes before it.
	t.Setenv("PATH", filepath.Dir(debian12)+":"+filepath.Dir(good)+":"+os.Getenv("PATH"))
	d := openWith(t, Config{Owner: fmt.Sprintf("version-%d", os.Getpid()), Dir: t.TempDir()})
	script, err := os.ReadFile(filepath.Join(d.cfg.Dir, "oci-runtime"))
	hostiletest.Report(t, "a vulnerable runc is first in PATH", err != nil || strings.Contains(string(script), debian12), fmt.Sprint(err))
	if !strings.Contains(string(script), good) {
		t.Errorf("the runtime is not %s:\n%s", good, script)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
