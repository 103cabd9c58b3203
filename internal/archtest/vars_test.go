package archtest

import (
	"go/ast"
	"go/types"
	"slices"
	"testing"
)

// TestModelPackagesHaveNoState: the package variables of a model package are errors, expressions and tables, set where
// they are declared and never changed.
func TestModelPackagesHaveNoState(t *testing.T) {
	packages := map[string][]*file{}
	for _, f := range load(t) {
		if isModel(f) {
			packages[f.dir()] = append(packages[f.dir()], f)
		}
	}
	for _, files := range packages {
		for _, finding := range state(files) {
			t.Error(finding)
		}
	}
}

// state returns what is wrong with the package variables of a package.
func state(files []*file) (findings []string) {
	// Each file has a set of positions of its own, so that names are resolved file by file against all declarations.
	vars := map[string]bool{}
	for _, f := range files {
		for _, d := range f.ast.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range decl.Specs {
				spec, ok := s.(*ast.ValueSpec)
				if !ok || decl.Tok.String() != "var" {
					continue
				}
				for _, name := range spec.Names {
					vars[name.Name] = name.Name != "_"
					switch {
					case len(spec.Values) == 0:
						findings = append(findings, f.at(name)+": "+name.Name+" has no value where it is declared, so somebody changes it")
					case name.IsExported() && !isError(spec):
						findings = append(findings, f.at(name)+": "+name.Name+" is exported, so anybody can change it: make it a function")
					}
				}
			}
		}
	}
	for _, f := range files {
		findings = append(findings, changes(f, vars)...)
	}
	return findings
}

// isError reports whether all of a declaration's values are errors.New(…) or fmt.Errorf(…).
func isError(spec *ast.ValueSpec) bool {
	return !slices.ContainsFunc(spec.Values, func(v ast.Expr) bool {
		call, ok := v.(*ast.CallExpr)
		return !ok || (name(call.Fun) != "errors.New" && name(call.Fun) != "fmt.Errorf")
	})
}

// changes finds assignments to package variables or into them, and pointers to them.
func changes(f *file, vars map[string]bool) (findings []string) {
	// Whatever cannot be resolved, as the imports are not loaded, does not matter: local names can.
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Error: func(error) {}, Importer: nil}
	pkg, _ := config.Check(f.dir(), f.set, []*ast.File{f.ast}, info) // errors are expected
	report := func(e ast.Expr, what string) {
		id := rootOf(e)
		if id == nil || !vars[id.Name] {
			return
		}
		// A name that is declared in this file is resolved; another file's package variable is not.
		if obj, ok := info.Uses[id]; ok && (pkg == nil || obj.Parent() != pkg.Scope()) {
			return
		}
		findings = append(findings, f.at(e)+": "+id.Name+" is a package variable, and "+what)
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok.String() != ":=" {
				for _, e := range n.Lhs {
					report(e, "is changed here")
				}
			}
		case *ast.IncDecStmt:
			report(n.X, "is changed here")
		case *ast.UnaryExpr:
			if n.Op.String() == "&" {
				report(n.X, "its address is taken here")
			}
		case *ast.CallExpr:
			if fn := name(n.Fun); (fn == "delete" || fn == "clear" || fn == "copy" || fn == "slices.Sort") && len(n.Args) > 0 {
				report(n.Args[0], "is changed here")
			}
		}
		return true
	})
	return findings
}

// rootOf returns the variable that an expression is a part of: x of x.f[1].
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func TestStateCanFail(t *testing.T) {
	const declarations = "package task\nvar table = map[string]int{}\nvar ErrX = errors.New(``)\nvar list = []int{1}\n"
	for _, c := range []struct {
		src  string
		want int
	}{
		{"", 0},
		{"func f() int { return table[``] + list[0] }", 0},
		{"func f() { table := map[string]int{}; table[``] = 1; list := &table; _ = list }", 0},
		{"func f(list []int) { list[0] = 1 }", 0},
		{"var count int", 1},
		{"var Table = []int{1}", 1},
		{"func f() { table[``] = 1 }", 1},
		{"func f() { table[``]++ }", 1},
		{"func f() { list = nil }", 1},
		{"func f() { g(&list) }", 1},
		{"func f() { delete(table, ``) }", 1},
	} {
		one := []*file{parse(t, "task/x.go", declarations+c.src)}
		two := []*file{parse(t, "task/x.go", declarations), parse(t, "task/y.go", "package task\n"+c.src)}
		for i, files := range [][]*file{one, two} {
			if got := state(files); len(got) != c.want {
				t.Errorf("%d files with %q: %q, want %d findings", i+1, c.src, got, c.want)
			}
		}
	}
}
