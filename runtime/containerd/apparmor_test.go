//go:build linux

package containerd

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/apparmor"
	"github.com/fardel-io/fardel/runtime"
)

func TestCheckAppArmor(t *testing.T) {
	own := newDriver(Config{Owner: "a", Runtime: "runc"})
	for _, name := range []string{"", "unconfined"} {
		if err := own.CheckAppArmor(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := own.CheckAppArmor("fardel-no-such"); !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "fardel-no-such") {
		t.Errorf("got %v, want an UnsupportedError that names the profile", err)
	}
	sandboxed := newDriver(Config{Owner: "a", Runtime: "/usr/bin/runsc"})
	if err := sandboxed.CheckAppArmor("x"); !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), gVisor) {
		t.Errorf("got %v, want an UnsupportedError that names gVisor", err)
	}
	// What is named must be there, and is no reason to open without.
	named := newDriver(Config{Owner: "a", Runtime: "runc", AppArmorProfile: "fardel-no-such"})
	if err := named.openAppArmor(t.Context()); !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("got %v, want an UnsupportedError", err)
	}
	if apparmor.Enabled(os.DirFS("/sys")) {
		return // of the rest are tests with tasks
	}
	if err := own.openAppArmor(t.Context()); err != nil || own.appArmor != "" {
		t.Errorf("without AppArmor: %q, %v", own.appArmor, err)
	}
}
