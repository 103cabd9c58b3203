package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fardel-io/fardel"

// file is one Go file of the repository.
type file struct {
	path string // below the root, with slashes
	test bool   // a _test.go file
	ast  *ast.File
	set  *token.FileSet
}

// dir is the file's package, as a path below the root.
func (f *file) dir() string { return path.Dir(f.path) }

// at is where a node is.
func (f *file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// imports returns the import paths.
func (f *file) imports() []string {
	var list []string
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			list = append(list, p)
		}
	}
	return list
}

// root is the folder of go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if isModule(dir) {
			return dir
		}
	}
	t.Fatal("no go.mod above")
	return ""
}

// walk calls fn for the files of the repository, but for hidden folders and those that the go command ignores.
func walk(t testing.TB, fn func(name string)) {
	t.Helper()
	top := root(t)
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != top && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" || strings.HasPrefix(d.Name(), "_")) {
			return fs.SkipDir
		}
		if rel, err := filepath.Rel(top, name); err == nil && d.Type().IsRegular() {
			fn(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// inOther reports whether a folder below the root is of another module.
func inOther(top, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if isModule(filepath.Join(top, dir)) {
			return true
		}
	}
	return false
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// load parses every Go file of the module that is not in testdata. Other modules in the repository have reasons of their
// own.
func load(t testing.TB) []*file {
	t.Helper()
	top := root(t)
	var files []*file
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") || strings.Contains("/"+name, "/testdata/") || inOther(top, path.Dir(name)) {
			return
		}
		src, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, parse(t, name, string(src)))
	})
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}

func parse(t testing.TB, name, src string) *file {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return &file{path: name, test: strings.HasSuffix(name, "_test.go"), ast: tree, set: set}
}

// below reports whether a package or file is one of some paths or below it.
func below(name string, paths ...string) bool {
	for _, p := range paths {
		if name == p || strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/") {
			return true
		}
	}
	return false
}

var requirement = regexp.MustCompile(`(?m)^(?:require )?\t?([a-z0-9][^\s]*\.[^\s]+/?[^\s]*) v[^\s]+( // indirect)?$`)

// required returns the modules of go.mod, and whether each is direct.
func required(t testing.TB) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]bool{}
	for _, m := range requirement.FindAllStringSubmatch(string(text), -1) {
		modules[m[1]] = m[2] == ""
	}
	if len(modules) < 5 {
		t.Fatalf("go.mod has %d requirements as this test reads it", len(modules))
	}
	return modules
}

// moduleOf returns the module of an import path: the longest that is a prefix of it.
func moduleOf(p string, modules map[string]bool) string {
	for m := p; m != "."; m = path.Dir(m) {
		if _, ok := modules[m]; ok {
			return m
		}
	}
	return ""
}

// standard reports whether an import path is of the standard library, whose first element has no dot.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}
