//go:build linux

package containerd

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBundlesNote has this process as a shim: a bundle is believed to be one only under the name of its container.
func TestBundlesNote(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	var b bundles
	id := filepath.Base(dir)
	b.note(id, cmd.Process.Pid)
	b.note("other", cmd.Process.Pid)
	b.note(id, 0) // has ended: what was noted stays
	if b.dir(id) != dir || b.dir("other") != "" {
		t.Errorf("noted: %q", b.dirs)
	}
	if b.forget(id); b.dir(id) != "" {
		t.Errorf("not forgotten: %q", b.dirs)
	}
}
