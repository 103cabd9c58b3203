package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
)

func TestOpenTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	_, err := bolt.Open(path, bolt.Options{LockTimeout: 60 * time.Millisecond})
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that matches ErrInUse and names %s", err, path)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenTogether lets several make the same file: each must get the same store, one after the other.
func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := bolt.Open(path, bolt.Options{LockTimeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Update(t.Context(), store.Create(fmt.Sprint(i), nil)); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, path)
	defer s.Close()
	if got := count(t, s); got != 8 {
		t.Errorf("8 processes wrote a key each, and %d are there", got)
	}
}

func count(t *testing.T, s store.Store) int {
	t.Helper()
	n := 0
	err := s.View(t.Context(), func(r store.Reader) error {
		entries, err := r.List(t.Context(), "", "", 0)
		n = len(entries)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

func TestOpenLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state[1].db")
	for _, leftover := range []string{path + ".new-123", path + ".new-456"} {
		if err := os.WriteFile(leftover, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(dir, "state1.db.new-1") // not ours: the path is no pattern
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the file's mode is %o, want 600", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the folder holds %v, want the file and what is not ours", entries)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		make    func(t *testing.T, path string)
		want    error // matched, if there is one
		mention string
	}{
		{"no folder", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, os.ErrNotExist, "no such file or directory"},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil, "is a directory"},
		{"a text file", func(t *testing.T, path string) {
			write(t, path, []byte(strings.Repeat("important\n", 10_000)))
		}, store.ErrCorrupt, "not a bbolt file"},
		{"a short file", func(t *testing.T, path string) { write(t, path, []byte("important")) }, store.ErrCorrupt, "not a bbolt file"},
		{"another's bbolt file", func(t *testing.T, path string) {
			edit(t, path, func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("theirs"))
				return err
			})
		}, nil, "something else"},
		{"a later format", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("fardel")).Put([]byte("format"), []byte("2")) })
		}, nil, "format 2 is of a later release"},
		{"no format", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("fardel")).Delete([]byte("format")) })
		}, store.ErrCorrupt, "format"},
		{"no revision", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("fardel")).Delete([]byte("revision")) })
		}, store.ErrCorrupt, "revision"},
		{"no entries", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("entries")) })
		}, store.ErrCorrupt, "entries"},
		{"a revision from the future", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("fardel")).Put([]byte("revision"), make([]byte, 8)) })
		}, store.ErrCorrupt, "of revision"},
		{"a short record", func(t *testing.T, path string) {
			filled(t, path)
			edit(t, path, func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("entries")).Put([]byte("key/000001"), []byte("short"))
			})
		}, store.ErrCorrupt, `"key/000001"`},
		{"a rotten value", func(t *testing.T, path string) {
			filled(t, path)
			file := read(t, path)
			file[bytes.LastIndex(file, []byte("value"))] ^= 1
			write(t, path, file)
		}, store.ErrCorrupt, "has sum"},
		{"cut off", func(t *testing.T, path string) {
			filled(t, path)
			if err := os.Truncate(path, 3*4096); err != nil {
				t.Fatal(err)
			}
		}, store.ErrCorrupt, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store", "state.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			c.make(t, path)
			before, _ := os.ReadFile(path) // none for a folder
			s, err := bolt.Open(path, bolt.Options{})
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want one that matches %v", err, c.want)
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.mention) {
				t.Errorf("error %q, want it to name the file and %q", err, c.mention)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the refused file was changed")
			}
			// The lock is free again.
			if _, err := bolt.Open(path, bolt.Options{LockTimeout: time.Millisecond}); errors.Is(err, store.ErrInUse) {
				t.Errorf("a second Open: %v", err)
			}
		})
	}
}

// TestOpenDamaged puts noise on every page of a file, one after the other: Open must refuse it, or, if nothing in use
// was hit, have everything. It must not die.
func TestOpenDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	filled(t, path)
	whole := read(t, path)
	const page = 4096
	for at := 0; at < min(len(whole), 64*page); at += page {
		for _, noise := range []byte{0x00, 0xff, 0x5a} {
			file := bytes.Clone(whole)
			copy(file[at:at+page], bytes.Repeat([]byte{noise}, page))
			write(t, path, file)
			s, err := bolt.Open(path, bolt.Options{})
			if err != nil {
				if !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("page %d: %v", at/page, err)
				}
				continue
			}
			// A page that was free, or the older of the two that say where everything begins.
			if got := count(t, s); got != records {
				t.Errorf("page %d of %#x: opened with %d of %d entries", at/page, noise, got, records)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

const records = 500

// filled makes a store with entries on some pages.
func filled(t *testing.T, path string) {
	t.Helper()
	s := open(t, path)
	for i := 0; i < records; i += 100 {
		var changes []store.Change
		for j := i; j < i+100; j++ {
			changes = append(changes, store.Put(fmt.Sprintf("key/%06d", j), bytes.Repeat([]byte("value"), 40)))
		}
		if _, err := s.Update(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// edit changes a file behind the store's back.
func edit(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
