package network_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the model pure: it is what schedulers plan with and tests are run against.
func TestImports(t *testing.T) {
	banned := map[string]string{
		"os":        "a model does no I/O",
		"os/exec":   "a model does no I/O",
		"syscall":   "a model does no I/O",
		"time":      "time is an argument",
		"math/rand": "chance is an argument", "math/rand/v2": "chance is an argument", "crypto/rand": "chance is an argument",
		"log": "a model does not log", "log/slog": "a model does not log",
		"sync": "a model has no goroutines",
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if strings.Contains(strings.Split(path, "/")[0], ".") {
				t.Errorf("%s imports %s: a model imports the standard library only", name, path)
			}
			if why, is := banned[path]; is {
				t.Errorf("%s imports %s: %s", name, path, why)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if _, is := n.(*ast.GoStmt); is {
				t.Errorf("%s starts a goroutine", name)
			}
			return true
		})
	}
	if files == 0 {
		t.Error("no files looked at")
	}
}
