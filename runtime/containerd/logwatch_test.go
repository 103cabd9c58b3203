//go:build linux

package containerd

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/spool"
)

// TestLogWatch has two ask for one log and one for another: those of the first are told when it is written to, each time
// they ask, and the other only when its log is removed.
func TestLogWatch(t *testing.T) {
	d := newDriver(Config{Owner: "o", Dir: t.TempDir()})
	defer d.Close()
	open := func(name string) *logTail {
		dir := filepath.Join(d.cfg.Dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		tail, err := d.TailLog(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return tail.(*logTail)
	}
	told := func(what string, changed <-chan struct{}) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("not told of %s", what)
		}
	}
	first, same, gone, other := open("a"), open("a"), open("a"), open("b")
	w, err := spool.Create(spool.Options{Dir: first.dir})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	quiet := other.Changed()
	if quiet == nil || other.Changed() != quiet {
		t.Fatal("no channel, or another one for the same question")
	}
	for range 3 {
		one, two := first.Changed(), same.Changed()
		if gone != nil {
			gone.Changed()
			if err := gone.Close(); err != nil {
				t.Fatal(err)
			}
			gone = nil
		}
		if err := w.Write(false, []byte("line\n"), time.Now()); err != nil {
			t.Fatal(err)
		}
		told("what was written", one)
		told("what was written", two)
	}
	select {
	case <-quiet:
		t.Error("told of what is in another log")
	default:
	}
	if err := os.RemoveAll(other.dir); err != nil {
		t.Fatal(err)
	}
	told("the removal", quiet)
	if other.Changed() != nil {
		t.Error("a channel for a log that was removed")
	}
	last := first.Changed()
	if err := same.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	told("the end of the driver", last)
	if first.Changed() != nil {
		t.Error("a channel of a driver that is closed")
	}
}
