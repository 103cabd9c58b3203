package rmtree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// dig makes directories in each other from dir on, each with a file, without a long path.
func dig(t *testing.T, dir string, depth int) {
	t.Helper()
	at, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := errors.Join(at.Mkdir("d", 0o700), at.WriteFile("f", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		next, err := at.OpenRoot("d")
		if err != nil {
			t.Fatal(err)
		}
		at.Close()
		at = next
	}
	at.Close()
}

func TestRemove(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, fill := range map[string]func(dir string){
		"empty":        func(string) {},
		"shallow":      func(dir string) { dig(t, dir, maxDepth) },
		"one too deep": func(dir string) { dig(t, dir, maxDepth+2) },
		"deep":         func(dir string) { dig(t, dir, 5000) },
		"wide": func(dir string) {
			for n := range 2*batch + 1 {
				if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(n)), 0o700); err != nil {
					t.Fatal(err)
				}
			}
		},
		"links": func(dir string) {
			if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "file")), os.Symlink(filepath.Dir(outside), filepath.Join(dir, "dir"))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := filepath.Join(t.TempDir(), "top")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		fill(dir)
		if err := Remove(dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: it is there: %v", name, err)
		}
		if err := Remove(dir); err != nil {
			t.Errorf("%s: once more: %v", name, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Symlink(filepath.Dir(outside), link), Remove(link)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("what links lead to: %v", err)
	}
}
