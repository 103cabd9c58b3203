package runtimetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// Every function that is a check is one that Checks returns: a list that was forgotten there would never be missed.
func TestChecksAreComplete(t *testing.T) {
	var named []string
	for name := range Checks() {
		if slices.Contains(named, name) {
			t.Errorf("two checks are named %s", name)
		}
		named = append(named, name)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			for _, check := range listed(decl) {
				if !slices.Contains(named, check) {
					t.Errorf("%s: Checks leaves out %s", name, check)
				}
			}
		}
	}
}

// listed are the names in the lists of checks that a declaration declares.
func listed(decl ast.Decl) []string {
	var names []string
	ast.Inspect(decl, func(n ast.Node) bool {
		list, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		array, ok := list.Type.(*ast.ArrayType)
		if !ok {
			return true
		}
		if of, ok := array.Elt.(*ast.Ident); !ok || of.Name != "namedCheck" {
			return true
		}
		for _, e := range list.Elts {
			if name, ok := e.(*ast.CompositeLit).Elts[0].(*ast.BasicLit); ok {
				names = append(names, name.Value[1:len(name.Value)-1])
			}
		}
		return false
	})
	return names
}
