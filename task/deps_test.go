package task

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// banned are imports that would make the model do more than describe: what
// happens to a definition must be reproducible from the definition alone.
var banned = map[string]string{
	"os":          "the model does no I/O; DecodeDefinition is handed a reader",
	"net":         "the model does no I/O; net/netip is enough for addresses",
	"net/http":    "serving is for task/metadata and scheduler/ecsapi",
	"context":     "nothing here waits",
	"sync/atomic": "values of the model are not shared while they change",
	"log/slog":    "errors are returned",
	"math/rand":   "chance is for the caller, as are IDs",
	"os/exec":     "the model starts nothing",
	"unsafe":      "no need",
}

func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		checked++
		for _, imp := range f.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s: the model imports the standard library only", file, path)
			}
			if reason, ok := banned[path]; ok {
				t.Errorf("%s imports %s: %s", file, path, reason)
			}
		}
	}
	if checked < 20 {
		t.Errorf("looked at %d files only", checked)
	}
}
