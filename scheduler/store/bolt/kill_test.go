package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
)

// childFile makes the test binary a writer that somebody kills.
const childFile = "FARDEL_BOLT_TEST_FILE"

const childWriters = 4

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		if err := writeForEver(path, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForEver has some writers count two keys each up together, and tells every number that was accepted.
func writeForEver(path string, acknowledged io.Writer) error {
	fmt.Fprintln(acknowledged, "opening")
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return err
	}
	errs := make(chan error)
	for i := range childWriters {
		go func() { errs <- count2(s, i, acknowledged) }()
	}
	return <-errs
}

func count2(s store.Store, writer int, acknowledged io.Writer) error {
	ctx := context.Background()
	n, err := counted(ctx, s, writer)
	for err == nil {
		n++
		value := []byte(strconv.Itoa(n))
		if _, err = s.Update(ctx, store.Put(fmt.Sprint("a/", writer), value), store.Put(fmt.Sprint("b/", writer), value)); err == nil {
			fmt.Fprintln(acknowledged, writer, n) // one write call a line
		}
	}
	return err
}

// counted is where a writer is. It is an error if its two keys differ.
func counted(ctx context.Context, s store.Store, writer int) (n int, err error) {
	err = s.View(ctx, func(r store.Reader) error {
		list := func(prefix string) ([]store.Entry, error) { return r.List(ctx, fmt.Sprint(prefix, writer), "", 0) }
		a, err := list("a/")
		if err != nil {
			return err
		}
		b, err := list("b/")
		if err != nil || len(a)+len(b) == 0 {
			return err
		}
		if len(a) != 1 || len(b) != 1 || string(a[0].Value) != string(b[0].Value) || a[0].Revision != b[0].Revision {
			return fmt.Errorf("half an update: %+v, %+v", a, b)
		}
		n, err = strconv.Atoi(string(a[0].Value))
		return err
	})
	return n, err
}

// TestKilled kills a process that writes, at any moment, many times: everything that it was told is there and nothing is
// half there.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for round := range 15 {
		told := killAfter(t, path, 1+rand.IntN(100))
		s := open(t, path)
		for writer := range childWriters {
			n, err := counted(t.Context(), s, writer)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if n < told[writer] {
				t.Errorf("round %d: writer %d was told %d, and the store has %d", round, writer, told[writer], n)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledAtOpen kills a process that makes the file.
func TestKilledAtOpen(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		path := filepath.Join(dir, "state.db")
		killAfter(t, path, 1)
		s := open(t, path)
		for writer := range childWriters {
			if _, err := counted(t.Context(), s, writer); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 {
			t.Errorf("the folder holds %v, want the file alone", entries)
		}
	}
}

// killAfter lets a process write until it has told a number of lines, kills it and returns the last number that each
// writer told.
func killAfter(t *testing.T, path string, lines int) map[int]int {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childFile+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	defer kill()
	told := map[int]int{}
	seen := 0
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		if seen++; seen == lines {
			kill() // what it told until it dies is still read, and counts
		}
		var writer, n int
		if _, err := fmt.Sscan(scanner.Text(), &writer, &n); err == nil {
			told[writer] = n
		}
	}
	if err := cmd.Wait(); err == nil || seen < lines {
		t.Fatalf("the writer ended by itself after %d lines: %v", seen, err)
	}
	return told
}
