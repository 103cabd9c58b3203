package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/lane"
)

// fileSystems are small ones, by the name of what makes them at a directory.
var fileSystems = map[string]func(t *testing.T, dir string){
	"tmpfs": func(t *testing.T, dir string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
			t.Fatal(err)
		}
	},
	"ext4": func(t *testing.T, dir string) {
		disk := filepath.Join(t.TempDir(), "disk")
		if err := errors.Join(os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 16<<20)); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{lane.Command(t, "mkfs.ext4"), "-q", "-m", "0", disk}, {"mount", "-o", "loop", disk, dir}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", args, err, out)
			}
		}
	},
}

// small is the directory of a small file system that ends with the test.
func small(t *testing.T, kind string) string {
	t.Helper()
	dir := t.TempDir()
	fileSystems[kind](t, dir)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no byte of a file system.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func reserveOf(t *testing.T, dir string) (there bool) {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, reserveFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// TestEndOnFullDisk has a container end while its output waits for room on a full disk: none of it is lost.
func TestEndOnFullDisk(t *testing.T) {
	lane.Root(t)
	for kind := range fileSystems {
		t.Run(kind, func(t *testing.T) {
			disk := small(t, kind)
			dir := filepath.Join(disk, "log")
			w := create(t, Options{Dir: dir, Limit: 256 << 10, Blocking: true})
			write(t, w, false, "first\n")
			fill(t, disk)
			var want strings.Builder
			want.WriteString("first\n")
			written := make(chan error, 1)
			var chunks []string
			for i := range 10 { // more than the limit
				var chunk strings.Builder
				for j := range 1000 {
					fmt.Fprintf(&chunk, "line %05d of the last output\n", 1000*i+j)
				}
				chunks = append(chunks, chunk.String())
				want.WriteString(chunk.String())
			}
			go func() {
				var errs []error
				for _, chunk := range chunks {
					errs = append(errs, w.Write(false, []byte(chunk), time.Unix(7, 8)))
				}
				written <- errors.Join(errs...)
			}()
			select {
			case err := <-written:
				t.Fatalf("Write on a full disk did not wait: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			w.Finish()
			if err := errors.Join(<-written, w.Close()); err != nil {
				t.Error(err)
			}
			if got := history(t, dir); got != want.String() {
				t.Errorf("%d bytes are kept of %d", len(got), want.Len())
			}
			if reserveOf(t, dir) {
				t.Error("the reserve is still there")
			}
			checkBlocks(t, dir)
		})
	}
}

// checkBlocks wants no more room taken than is written.
func checkBlocks(t *testing.T, dir string) {
	t.Helper()
	list, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		info, err := os.Stat(segmentPath(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		if took := info.Sys().(*syscall.Stat_t).Blocks * 512; took > info.Size()+64<<10 {
			t.Errorf("segment %d of %d bytes takes %d", n, info.Size(), took)
		}
	}
}

// TestBeyondTheReserve writes more than was set aside: what is lost is said, by Write and to the reader.
func TestBeyondTheReserve(t *testing.T) {
	lane.Root(t)
	disk := small(t, "tmpfs")
	dir := filepath.Join(disk, "log")
	w := create(t, Options{Dir: dir, Blocking: true})
	write(t, w, false, "first\n")
	fill(t, disk)
	w.Finish()
	chunk := []byte(strings.Repeat("x", 1<<10) + "\n")
	failed := 0
	for range 2 << 10 {
		if err := w.Write(true, chunk, time.Unix(7, 8)); errors.Is(err, syscall.ENOSPC) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	write(t, w, false, "last\n")
	lines, dropped, _ := drain(t, tail(t, dir))
	if kept := len(lines) - 2; failed == 0 || dropped != uint64(failed) || kept+failed != 2<<10 || lines[len(lines)-1] != "out last\n" {
		t.Errorf("%d pieces are kept, %d failed, the reader missed %d and ends with %q", kept, failed, dropped, lines[len(lines)-1])
	}
}

func TestNoRoomForReserve(t *testing.T) {
	lane.Root(t)
	disk := small(t, "tmpfs")
	dir := filepath.Join(disk, "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fill(t, disk)
	if w, err := Create(Options{Dir: dir, Blocking: true}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Create: %v, %v", w, err)
	}
	if reserveOf(t, dir) {
		t.Error("half a reserve is there")
	}
}

// TestReserveOfAnEarlierWriter has what writers leave that died, among it a reserve that had just become a segment.
func TestReserveOfAnEarlierWriter(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, Blocking: true}
	w := create(t, o)
	write(t, w, false, "first\n")
	if !reserveOf(t, dir) {
		t.Skip("this file system promises no room")
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, reserveFile)), os.Link(segmentPath(dir, 1), filepath.Join(dir, reserveFile))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w = create(t, o)
	}
	write(t, w, false, "second\n")
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if reserveOf(t, dir) {
		t.Error("the reserve is not given back")
	}
	if got := history(t, dir); got != "first\nsecond\n" {
		t.Errorf("kept: %q", got)
	}
	if w := create(t, Options{Dir: dir}); reserveOf(t, dir) {
		t.Errorf("a writer that does not wait has a reserve: %+v", w)
	}
}
