package bolt_test

import (
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler/store"
)

var update = flag.Bool("update", false, "write testdata anew")

// formatFile is a file as the first release writes it. Every later release must read it.
const formatFile = "testdata/format1.db.gz"

func TestFormat1(t *testing.T) {
	if *update {
		writeFormatFile(t)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	f, err := os.Open(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, whole)
	s := open(t, path)
	defer s.Close()
	var got []store.Entry
	err = s.View(t.Context(), func(r store.Reader) (err error) {
		if r.Revision() != 3 {
			t.Errorf("revision %d, want 3", r.Revision())
		}
		got, err = r.List(t.Context(), "", "", 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Entry{
		{Key: "definition/web/0000000001", Value: []byte(`{"family":"web"}`), Revision: 1},
		{Key: "empty", Value: []byte{}, Revision: 2},
		{Key: "task/blue/7f3a", Value: []byte("second"), Revision: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the file of format 1 (-want +got):\n%s", diff)
	}
}

func writeFormatFile(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	for _, changes := range [][]store.Change{
		{store.Put("definition/web/0000000001", []byte(`{"family":"web"}`)), store.Put("task/blue/7f3a", []byte("first")), store.Put("gone", nil)},
		{store.Put("task/blue/7f3a", []byte("second")), store.Put("empty", nil)},
		{store.Delete("gone")},
	} {
		if _, err := s.Update(t.Context(), changes...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(formatFile), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(formatFile)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write(read(t, path)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
