package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promises are the pages that name the tests which keep them true.
var promises = []string{"SECURITY.md", "ARCHITECTURE.md"}

// testName is a test as these pages name it, "…" being the rest of several names.
var testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)(…?)`")

// TestPromisesNameTests: a test that a page names is there, so that none is renamed or removed without the page.
func TestPromisesNameTests(t *testing.T) {
	var tests []string
	for _, f := range load(t) {
		if !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests = append(tests, fn.Name.Name)
			}
		}
	}
	for _, page := range promises {
		text, err := os.ReadFile(filepath.Join(root(t), page))
		if err != nil {
			t.Fatal(err)
		}
		missing, named := unnamed(string(text), tests)
		if named < 10 {
			t.Errorf("%s names %d tests: is this how it names them?", page, named)
		}
		for _, name := range missing {
			t.Errorf("%s names %s, which is no test", page, name)
		}
	}
}

// unnamed returns the names in a text that no test has, and how many names there are.
func unnamed(text string, tests []string) (missing []string, named int) {
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		named++
		is := func(test string) bool { return test == m[1] || m[2] != "" && strings.HasPrefix(test, m[1]) }
		if !slices.ContainsFunc(tests, is) {
			missing = append(missing, m[1])
		}
	}
	return missing, named
}

func TestUnnamedCanFail(t *testing.T) {
	missing, named := unnamed("`TestA`, `TestB…`, `TestC…` and `TestGone`; TestNot", []string{"TestA", "TestBoth", "Test"})
	if !slices.Equal(missing, []string{"TestC", "TestGone"}) || named != 4 {
		t.Errorf("got %q of %d", missing, named)
	}
}
