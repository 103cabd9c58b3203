package runtimetest

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

func (c *check) tail(path string) runtime.LogTail {
	c.t.Helper()
	driver, ok := c.Driver.(runtime.LogTailer)
	if !ok {
		c.t.Skip("this driver is no LogTailer")
	}
	tail, err := driver.TailLog(c.ctx, path)
	c.ok("TailLog", err)
	return tail
}

// next returns the next piece, for which it waits.
func (c *check) next(tail runtime.LogTail) runtime.LogPiece {
	c.t.Helper()
	var piece runtime.LogPiece
	c.eventually("a piece of the log", func() bool {
		var err error
		piece, err = tail.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		c.ok("Next", err)
		return true
	})
	return piece
}

// logTail wants streams and times, and that the next tail goes on where the last has committed.
func logTail(c *check) {
	before := time.Now().Add(-time.Second)
	s := c.sandbox()
	spec := c.start(c.spec(s, "out one", "catch USR1 0", "out two", "hang"))
	first := c.tail(spec.Log)
	piece := c.next(first)
	c.equal("first piece", string(piece.Data), "one\n")
	if piece.Stderr || piece.At.Before(before) || time.Since(piece.At) < -time.Second || piece.Dropped > 0 {
		c.t.Errorf("got %+v", piece)
	}
	if first.Note() != nil {
		c.t.Errorf("a note that nobody has left: %q", first.Note())
	}
	c.ok("Commit", first.Commit(piece.Position, []byte("noted")))
	c.equal("second piece", string(c.next(first).Data), "two\n")
	c.ok("Close", first.Close())
	again := c.tail(spec.Log)
	defer again.Close()
	c.equal("note", string(again.Note()), "noted")
	c.equal("first piece after the commit", string(c.next(again).Data), "two\n")
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGUSR1"))
	c.wait(spec.ID)
	c.equal("what came after the end so far", string(c.next(again).Data), "caught USR1\n")

	apart := c.spec(s, "err other")
	apart.LogOptions.Streams = true
	c.run(apart)
	stderr := c.tail(apart.Log)
	defer stderr.Close()
	if piece := c.next(stderr); !piece.Stderr {
		c.t.Errorf("got %+v, want stderr", piece)
	}
}

// bounded is a container that writes four times what its log keeps.
func (c *check) bounded(blocking bool) runtime.ContainerSpec {
	spec := c.spec(c.sandbox(), "out begin", "flood 1048576", "out end")
	spec.LogOptions = runtime.LogOptions{Limit: runtime.MinLogLimit, Blocking: blocking}
	return spec
}

// logBlocks wants a container to wait for the tail's commits, and every byte of it.
func logBlocks(c *check) {
	spec := c.start(c.bounded(true))
	tail := c.tail(spec.Log)
	defer tail.Close()
	var got strings.Builder
	uncommitted := 0
	last := runtime.LogPosition{}
	for !strings.HasSuffix(got.String(), "\nend\n") {
		piece, err := tail.Next()
		if errors.Is(err, io.EOF) {
			if status, _ := c.status(spec.ID); status.State != runtime.StateRunning && uncommitted > 2*runtime.MinLogLimit {
				c.t.Fatalf("ended with %d bytes that nobody has taken", uncommitted)
			}
			c.ok("Commit", tail.Commit(last, nil))
			uncommitted = 0
			piece = c.next(tail)
		} else {
			c.ok("Next", err)
		}
		if piece.Dropped > 0 {
			c.t.Fatalf("%d pieces dropped after %d bytes", piece.Dropped, got.Len())
		}
		last = piece.Position
		uncommitted += len(piece.Data)
		if uncommitted > 4*runtime.MinLogLimit { // the limit, and what is in pipes
			c.t.Fatalf("%d bytes that nobody has taken", uncommitted)
		}
		got.Write(piece.Data)
	}
	if exit := c.wait(spec.ID); exit.Code != 0 || got.Len() != 1<<20+len("begin\nend\n") {
		c.t.Errorf("ended with %+v, %d bytes", exit, got.Len())
	}
}

// logDrops wants a container to go on that nobody reads, and to hear what was dropped.
func logDrops(c *check) {
	exit, kept := c.run(c.bounded(false))
	if exit.Code != 0 || !strings.HasSuffix(kept, "\nend\n") || len(kept) > runtime.MinLogLimit {
		c.t.Errorf("ended with %+v, and %d bytes are kept", exit, len(kept))
	}
	spec := c.bounded(false)
	c.start(spec)
	c.wait(spec.ID)
	tail := c.tail(spec.Log)
	defer tail.Close()
	var dropped, read uint64
	for piece, err := tail.Next(); !errors.Is(err, io.EOF); piece, err = tail.Next() {
		c.ok("Next", err)
		dropped += piece.Dropped
		read++
	}
	if lines := uint64(1<<20/64 + 2); dropped == 0 || read == 0 || dropped+read < lines || dropped+read > lines+100 {
		c.t.Errorf("%d pieces read and %d dropped of %d lines", read, dropped, lines)
	}
}
