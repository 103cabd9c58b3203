package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
)

func create(t *testing.T, o Options) *Writer {
	t.Helper()
	w, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func tail(t *testing.T, dir string) *Reader {
	t.Helper()
	r, err := Tail(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func write(t *testing.T, w *Writer, stderr bool, text string) {
	t.Helper()
	if err := w.Write(stderr, []byte(text), time.Unix(7, 8)); err != nil {
		t.Fatal(err)
	}
}

// drain returns the pieces up to the present end as text, and how many were dropped.
func drain(t *testing.T, r *Reader) (lines []string, dropped uint64, last runtime.LogPosition) {
	t.Helper()
	last = r.at
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, dropped, last
		}
		if err != nil {
			t.Fatal(err)
		}
		dropped += p.Dropped
		last = p.Position
		stream := "out "
		if p.Stderr {
			stream = "err "
		}
		lines = append(lines, stream+string(p.Data))
	}
}

func history(t *testing.T, dir string) string {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func size(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func TestPieces(t *testing.T) {
	dir := t.TempDir()
	w := create(t, Options{Dir: dir})
	r := tail(t, dir)
	if lines, _, _ := drain(t, r); lines != nil {
		t.Errorf("before anything was written: %q", lines)
	}
	long := strings.Repeat("x", MaxPiece+5) + "\n"
	write(t, w, false, "one\ntwo\npar")
	write(t, w, true, "other\n")
	write(t, w, false, "tial\n\n\xff\x00"+long)
	got, dropped, _ := drain(t, r)
	want := []string{"out one\n", "out two\n", "out par", "err other\n", "out tial\n", "out \n", "out \xff\x00" + long[:MaxPiece-2], "out " + long[MaxPiece-2:]}
	if diff := cmp.Diff(want, got); diff != "" || dropped != 0 {
		t.Errorf("%d dropped, pieces (-want +got):\n%s", dropped, diff)
	}
	if got, want := history(t, dir), "one\ntwo\nparother\ntial\n\n\xff\x00"+long; got != want {
		t.Errorf("history %q, want %q", got, want)
	}
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	w := create(t, Options{Dir: dir})
	write(t, w, false, "one\ntwo\nthree\n")
	r := tail(t, dir)
	for range 2 {
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !p.At.Equal(time.Unix(7, 8)) {
			t.Errorf("at %v", p.At)
		}
		if err := r.Commit(p.Position, []byte("note of "+string(p.Data))); err != nil {
			t.Fatal(err)
		}
	}
	again := tail(t, dir)
	if got := string(again.Note()); got != "note of two\n" {
		t.Errorf("note %q", got)
	}
	if got, dropped, _ := drain(t, again); !cmp.Equal(got, []string{"out three\n"}) || dropped != 0 {
		t.Errorf("after the last commit %q, %d dropped", got, dropped)
	}
	if err := r.Commit(runtime.LogPosition{}, make([]byte, maxNoteSize+1)); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a large note: %v", err)
	}
}

// TestNextWriter continues what a writer left that was killed in the middle of a piece, and one that was killed before
// its first.
func TestNextWriter(t *testing.T) {
	dir := t.TempDir()
	r := tail(t, dir)
	first := create(t, Options{Dir: dir})
	write(t, first, false, "one\n")
	_, _, _ = drain(t, r)
	torn := appendFrame(nil, false, time.Unix(1, 2), []byte("never whole\n"))
	if _, err := first.file.Write(torn[:len(torn)-3]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segmentPath(dir, 2), []byte(magic), 0o600); err != nil {
		t.Fatal(err)
	}
	second := create(t, Options{Dir: dir})
	if second.at != (header{1, 4}) {
		t.Errorf("the next writer begins at %+v", second.at)
	}
	write(t, second, false, "two\n")
	if got, dropped, _ := drain(t, r); !cmp.Equal(got, []string{"out two\n"}) || dropped != 0 {
		t.Errorf("%q, %d dropped", got, dropped)
	}
	if got := history(t, dir); got != "one\ntwo\n" {
		t.Errorf("history %q", got)
	}
}

func TestDropsOldest(t *testing.T) {
	dir := t.TempDir()
	w := create(t, Options{Dir: dir, Limit: runtime.MinLogLimit})
	slow := tail(t, dir)
	write(t, w, false, "first\n")
	if p, err := slow.Next(); err != nil || string(p.Data) != "first\n" {
		t.Fatal(p, err)
	}
	const n = 20000
	for i := range n {
		write(t, w, false, fmt.Sprintf("line %019d\n", i))
		if i%1000 == 0 && size(t, dir) > runtime.MinLogLimit {
			t.Fatalf("%d bytes on disk", size(t, dir))
		}
	}
	lines, dropped, _ := drain(t, slow)
	if uint64(len(lines))+dropped != n || dropped == 0 {
		t.Errorf("%d read and %d dropped of %d", len(lines), dropped, n)
	}
	if last := lines[len(lines)-1]; last != fmt.Sprintf("out line %019d\n", n-1) {
		t.Errorf("last is %q", last)
	}
	late := tail(t, dir)
	if lines, dropped, _ := drain(t, late); uint64(len(lines))+dropped != n+1 {
		t.Errorf("one that comes late: %d read and %d dropped of %d", len(lines), dropped, n+1)
	}
}

func TestBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := create(t, Options{Dir: dir, Limit: runtime.MinLogLimit, Blocking: true})
		r := tail(t, dir)
		const n = 2000
		line := strings.Repeat("x", 1000) + "\n"
		done := make(chan int)
		written := 0
		go func() {
			for range n {
				if err := w.Write(false, []byte(line), time.Now()); err != nil {
					t.Error(err)
				}
				written++
			}
			close(done)
		}()
		read := 0
		for {
			<-time.After(time.Minute)
			synctest.Wait()
			if got := size(t, dir); got > runtime.MinLogLimit+1024 {
				t.Fatalf("%d bytes on disk", got)
			}
			before := written
			lines, dropped, last := drain(t, r)
			read += len(lines)
			if dropped > 0 {
				t.Fatalf("%d dropped", dropped)
			}
			if read == n {
				break
			}
			<-time.After(time.Minute)
			synctest.Wait()
			if written != before {
				t.Fatal("what was read and not committed made room")
			}
			if err := r.Commit(last, nil); err != nil {
				t.Fatal(err)
			}
		}
		<-done
	})
}

// TestFinish wants that the rest of a container's output is taken whatever the tail does.
func TestFinish(t *testing.T) {
	dir := t.TempDir()
	w := create(t, Options{Dir: dir, Limit: runtime.MinLogLimit, Blocking: true})
	line := strings.Repeat("x", 1000) + "\n"
	const n = 400
	var group sync.WaitGroup
	group.Go(func() {
		for range n {
			if err := w.Write(false, []byte(line), time.Now()); err != nil {
				t.Error(err)
			}
		}
	})
	w.Finish()
	group.Wait()
	if got := len(history(t, dir)); got != n*len(line) {
		t.Errorf("%d bytes, want %d", got, n*len(line))
	}
}

// TestRandom writes, reads, commits, kills and reopens in any order: nothing is missing, and what comes twice was not
// committed.
func TestRandom(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		w, r := create(t, Options{Dir: dir, Limit: runtime.MinLogLimit, Blocking: true}), tail(t, dir)
		var written, got [2]bytes.Buffer
		var kept [2]int // bytes committed
		position := r.at
		commit := func() {
			if err := r.Commit(position, nil); err != nil {
				t.Fatal(err)
			}
			kept = [2]int{got[0].Len(), got[1].Len()}
		}
		read := func() {
			for range rng.IntN(300) {
				p, err := r.Next()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil || p.Dropped > 0 {
					t.Fatal(p, err)
				}
				position = p.Position
				got[stream(p.Stderr)].Write(p.Data)
			}
		}
		for range 400 {
			switch rng.IntN(10) {
			case 0:
				commit()
			case 1:
				r.Close()
				r = tail(t, dir)
				got[0].Truncate(kept[0])
				got[1].Truncate(kept[1])
				position = r.at
			case 2:
				w.Close()
				w = create(t, Options{Dir: dir, Limit: runtime.MinLogLimit, Blocking: true})
			case 3, 4, 5:
				read()
			default:
				if written[0].Len()+written[1].Len()-kept[0]-kept[1] > 100<<10 { // the writer would wait for us
					read()
					commit()
					continue
				}
				chunk := randomText(rng)
				i := rng.IntN(2)
				if err := w.Write(i == 1, chunk, time.Now()); err != nil {
					t.Fatal(err)
				}
				written[i].Write(chunk)
			}
		}
		for {
			before := got[0].Len() + got[1].Len()
			read()
			if got[0].Len()+got[1].Len() == before && got[0].Len()+got[1].Len() >= written[0].Len()+written[1].Len() {
				break
			}
		}
		for i := range got {
			if !bytes.Equal(written[i].Bytes(), got[i].Bytes()) {
				t.Fatalf("seed %d, stream %d: %d bytes read, %d written, or they differ", seed, i, got[i].Len(), written[i].Len())
			}
		}
	}
}

func stream(stderr bool) int {
	if stderr {
		return 1
	}
	return 0
}

func randomText(rng *rand.Rand) []byte {
	b := make([]byte, rng.IntN(1<<rng.IntN(15)))
	for i := range b {
		b[i] = byte(rng.IntN(256))
		if rng.IntN(40) == 0 {
			b[i] = '\n'
		}
	}
	return b
}

func TestRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	w := create(t, Options{Dir: dir})
	write(t, w, false, "one\n")
	r := tail(t, dir)
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := Open(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzSegment(f *testing.F) {
	whole := header{3, 9}.encode()
	whole = appendFrame(whole, true, time.Unix(1, 2), []byte("a\n"))
	f.Add(appendFrame(whole, false, time.Unix(3, 4), []byte("b")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 1), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, cursorFile), content, 0o600); err != nil {
			t.Fatal(err)
		}
		w := create(t, Options{Dir: dir})
		write(t, w, false, "after\n")
		lines, _, _ := drain(t, tail(t, dir))
		if got := history(t, dir); !strings.HasSuffix(got, "after\n") {
			t.Errorf("%q, then %q", lines, got)
		}
	})
}
