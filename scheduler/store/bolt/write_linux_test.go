package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/scheduler/store"
)

func TestFullDisk(t *testing.T) {
	lane.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	path, other := filepath.Join(dir, "state.db"), filepath.Join(dir, "other")
	write(t, other, make([]byte, 200_000))
	s := open(t, path)
	want := map[string]bool{}
	var full error
	for i := 0; full == nil; i++ {
		key := fmt.Sprint(i)
		if _, full = s.Update(t.Context(), store.Put(key, make([]byte, 20_000))); full == nil {
			want[key] = true
		}
	}
	if !errors.Is(full, syscall.ENOSPC) || errors.Is(full, store.ErrUnknown) || !bytes.Contains([]byte(full.Error()), []byte(path)) {
		t.Errorf("error %v, want ENOSPC of the file by name", full)
	}
	if got := count(t, s); got != len(want) || got == 0 {
		t.Errorf("%d entries, want %d", got, len(want))
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), store.Put("again", make([]byte, 10_000))); err != nil {
		t.Errorf("an update after making room: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if got := count(t, s); got != len(want)+1 {
		t.Errorf("%d entries after opening again, want %d", got, len(want)+1)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
