package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestModelPackage: policy decides by itself, so that a wrong decision can be reproduced with nothing but its inputs.
func TestModelPackage(t *testing.T) {
	banned := map[string]string{
		"os":       "a decision depends on no file and no environment",
		"io":       "documents come in memory",
		"net/http": "nothing is asked over the network",
		"log/slog": "a decision is a value; whoever asked logs it",
		"time":     "the current time is a condition key, given by whoever asks",
		"context":  "nothing here waits",
		"unsafe":   "documents are hostile",
		"reflect":  "documents have one shape",
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if reason := banned[path]; reason != "" {
				t.Errorf("%s imports %s: %s", name, path, reason)
			}
			if strings.Contains(strings.Split(path, "/")[0], ".") {
				t.Errorf("%s imports %s: a model package has the standard library only", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: goroutine in a model package", fset.Position(g.Pos()))
			}
			if f, ok := n.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init function", fset.Position(f.Pos()))
			}
			return true
		})
	}
}
