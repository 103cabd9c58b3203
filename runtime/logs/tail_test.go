package logs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/runtime/logs"
)

// container is a running container of a Go function, and its log.
func container(t *testing.T, o runtime.LogOptions, main fake.Program) (*fake.Driver, <-chan struct{}) {
	t.Helper()
	d := fake.New(fake.Config{Images: map[string]fake.Image{"app:1": {Main: main}}})
	t.Cleanup(d.Machine().Close)
	ctx := t.Context()
	img, err := d.Pull(ctx, runtime.ImageSpec{Ref: "app:1"})
	if err != nil {
		t.Fatal(err)
	}
	spec := runtime.ContainerSpec{ID: "c", SandboxID: "s", Image: img.Ref, Log: "log", LogOptions: o}
	if err := errors.Join(d.CreateSandbox(ctx, runtime.SandboxSpec{ID: "s"}), d.CreateContainer(ctx, spec), d.Start(ctx, "c")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = d.Wait(context.Background(), "c")
	}()
	return d, ended
}

// destination keeps what is delivered, in order, across writers. A writer delivers when it is flushed.
type destination struct {
	mu      sync.Mutex
	lines   []string
	flaky   func() error // asked at every Write and Flush
	stalled chan struct{}
}

type writer struct {
	to      *destination
	pending []string
	taken   uint64
}

func (d *destination) open(context.Context) (logs.Writer, error) { return &writer{to: d}, nil }

func (w *writer) Write(ctx context.Context, r logs.Record) error {
	if w.to.stalled != nil {
		select {
		case <-w.to.stalled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if w.to.flaky != nil {
		if err := w.to.flaky(); err != nil {
			return err
		}
	}
	line := string(r.Line)
	if r.Part == nil || r.Part.Last {
		line += "\n"
	}
	w.pending, w.taken = append(w.pending, line), w.taken+1
	return nil
}

func (w *writer) Flush(context.Context, bool) (uint64, error) {
	if w.to.flaky != nil {
		if err := w.to.flaky(); err != nil {
			return 0, err
		}
	}
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	w.to.lines = append(w.to.lines, w.pending...)
	w.pending = nil
	return w.taken, nil
}

func (w *writer) Close() error { return nil }

// delivered is what has been delivered so far.
func (d *destination) delivered() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat("x", logs.MaxLine+10)
		d, ended := container(t, runtime.LogOptions{}, func(_ context.Context, p *fake.Process) int {
			fmt.Fprint(p.Stdout, "one\n\ntw")
			<-time.After(time.Second)
			fmt.Fprint(p.Stdout, "o\n"+long+"\n", strings.Repeat("y", logs.MaxLine), "\nrest")
			return 0
		})
		var to destination
		tail := &logs.Tail{Log: d, Path: "log", Ended: ended, Open: to.open}
		if err := tail.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "one\n\ntwo\n" + long + "\n" + strings.Repeat("y", logs.MaxLine) + "\nrest\n"
		if got := strings.Join(to.lines, ""); got != want {
			t.Errorf("got %d bytes %.40q, want %d", len(got), got, len(want))
		}
		if len(to.lines) < 6 || len(to.lines[3]) != logs.MaxLine {
			t.Errorf("%d records", len(to.lines))
		}
	})
}

// listened is a log that says when there may be more, and counts how often it is looked at.
type listened struct {
	*fake.Driver
	mu      sync.Mutex
	changed chan struct{}
	looks   int
}

// change says that there is more.
func (l *listened) change() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// looked is how often the log was looked at.
func (l *listened) looked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

type listenedTail struct {
	runtime.LogTail
	to *listened
}

func (l *listened) TailLog(ctx context.Context, path string) (runtime.LogTail, error) {
	tail, err := l.Driver.TailLog(ctx, path)
	return listenedTail{tail, l}, err
}

func (t listenedTail) Next() (runtime.LogPiece, error) {
	t.to.mu.Lock()
	t.to.looks++
	t.to.mu.Unlock()
	return t.LogTail.Next()
}

func (t listenedTail) Changed() <-chan struct{} {
	t.to.mu.Lock()
	defer t.to.mu.Unlock()
	return t.to.changed
}

// TestTailListens has a log that says when to look: nothing is looked for before, but once a minute.
func TestTailListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, ended := container(t, runtime.LogOptions{}, func(_ context.Context, p *fake.Process) int {
			fmt.Fprintln(p.Stdout, "one")
			<-time.After(time.Hour)
			fmt.Fprintln(p.Stdout, "two")
			<-time.After(time.Hour)
			return 0
		})
		var to destination
		log := &listened{Driver: d, changed: make(chan struct{})}
		tail := &logs.Tail{Log: log, Path: "log", Ended: ended, Open: to.open}
		done := make(chan error, 1)
		go func() { done <- tail.Run(t.Context()) }()
		<-time.After(59*time.Minute + 59*time.Second)
		synctest.Wait()
		if looks, lines := log.looked(), to.delivered(); looks > 200 || len(lines) != 1 {
			t.Errorf("looked %d times in an hour in which nothing was written, %q", looks, lines)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		log.change()
		synctest.Wait()
		if lines := to.delivered(); len(lines) != 2 {
			t.Errorf("told that there is more, and delivered %q", lines)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// TestTailAtLeastOnce has a destination that fails and tails that are ended, at random: every line arrives, in order, but
// for those that come again.
func TestTailAtLeastOnce(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			const n = 5000
			d, ended := container(t, runtime.LogOptions{Limit: runtime.MinLogLimit, Blocking: true}, func(_ context.Context, p *fake.Process) int {
				for i := range n {
					fmt.Fprintf(p.Stdout, "%d %s", i, strings.Repeat("x", i%300))
					if i%7 == 0 {
						<-time.After(time.Millisecond)
					}
					fmt.Fprintln(p.Stdout)
				}
				return 0
			})
			to := destination{flaky: func() error {
				if rng.IntN(500) == 0 {
					return errors.New("flaky")
				}
				return nil
			}}
			dropped := uint64(0)
			tail := &logs.Tail{Log: d, Path: "log", Ended: ended, Open: to.open, Dropped: func(n uint64) { dropped += n }}
			for {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(2000))*time.Millisecond)
				err := tail.Run(ctx)
				cancel()
				if err == nil {
					break
				}
			}
			next := 0
			for _, line := range to.lines {
				var i int
				if _, err := fmt.Sscan(line, &i); err != nil {
					t.Fatalf("seed %d: %q", seed, line)
				}
				if i > next {
					t.Fatalf("seed %d: line %d after %d", seed, i, next-1)
				}
				if want := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%300)); line != want {
					t.Fatalf("seed %d: got %q, want %q", seed, line, want)
				}
				next = max(next, i+1)
			}
			if next != n || dropped > 0 {
				t.Fatalf("seed %d: %d of %d lines, %d dropped", seed, next, n, dropped)
			}
		})
	}
}

// TestStalled has a destination that takes nothing: in one mode the container waits, in the other it goes on.
func TestStalled(t *testing.T) {
	for _, blocking := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const n = 50000
			d, ended := container(t, runtime.LogOptions{Limit: runtime.MinLogLimit, Blocking: blocking}, func(_ context.Context, p *fake.Process) int {
				for i := range n {
					fmt.Fprintf(p.Stdout, "line %08d\n", i)
				}
				return 0
			})
			to := destination{stalled: make(chan struct{})}
			dropped := uint64(0)
			tail := &logs.Tail{Log: d, Path: "log", Ended: ended, Open: to.open, Dropped: func(n uint64) { dropped += n }}
			result := make(chan error)
			go func() { result <- tail.Run(t.Context()) }()
			<-time.After(time.Hour)
			synctest.Wait()
			select {
			case <-ended:
				if blocking {
					t.Error("the container has ended")
				}
			default:
				if !blocking {
					t.Error("the container waits")
				}
			}
			close(to.stalled)
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			if uint64(len(to.lines))+dropped != n || blocking == (dropped > 0) {
				t.Errorf("blocking %t: %d of %d lines, and %d dropped", blocking, len(to.lines), n, dropped)
			}
		})
	}
}
