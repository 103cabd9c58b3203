//go:build linux

package containerd

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// TestSecretsAreNotKept looks for a value in every file of the driver and of its OCI runtime.
func TestSecretsAreNotKept(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	d := openEmbedded(t, filepath.Join(dir, "driver"), fmt.Sprintf("secrets-%d", os.Getpid()))
	t.Cleanup(func() { closeEmpty(t, d) })
	if err := addGuest(t, d, "fardel.test/guest:secrets", runtime.Image{Entrypoint: []string{"/guest"}}); err != nil {
		t.Fatal(err)
	}
	if err := d.CreateSandbox(t.Context(), runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 256, Memory: 128}}); err != nil {
		t.Fatal(err)
	}
	spec := runtime.ContainerSpec{
		ID: "c", SandboxID: "s", Image: "fardel.test/guest:secrets", Command: []string{"out up", "hang"}, Log: filepath.Join(dir, "log"),
		Env: []string{"OPEN=visible-value"}, SecretEnv: runtime.Secrets{"PASSWORD=correct-horse-battery"},
	}
	if err := d.CreateContainer(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if got := filesWith(t, dir, "visible-value"); len(got) == 0 {
		t.Error("the search does not find what is there")
	}
	if got := filesWith(t, dir, "correct-horse-battery"); len(got) > 0 {
		t.Errorf("a secret is in %v", got)
	}
	if text := fmt.Sprintf("%v %+v %#v", spec, spec, spec); bytes.Contains([]byte(text), []byte("correct-horse")) {
		t.Errorf("a spec prints its secrets: %s", text)
	}
}

// filesWith lists the files below a directory that contain a text, without those of running root file systems.
func filesWith(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && e.Name() == "rootfs" {
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if !e.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
