package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
)

// rule is something that the source of this repository never does.
type rule struct {
	name  string
	why   string
	files func(f *file) bool           // the rule is about these
	find  func(f *file) []ast.Node     // what breaks it
	need  map[string]string            // exceptions: a file, or a folder with all below, and why
	tests []struct{ path, src string } // each breaks it once
}

func library(f *file) bool { return !f.test && f.ast.Name.Name != "main" }

func anyTest(f *file) bool { return f.test }

func isModel(f *file) bool { return !f.test && slices.Contains(model, f.dir()) }

const guest = "runtime/runtimetest/guest"

var rules = []rule{
	{
		name:  "func init",
		why:   "what happens because a package is linked in cannot be configured, refused or done twice",
		files: library,
		find:  funcInit,
		tests: []struct{ path, src string }{{"task/x.go", "func init() {}"}},
	},
	{
		name:  "blank import",
		why:   "it is there for somebody's init",
		files: library,
		find:  blankImport,
		tests: []struct{ path, src string }{{"task/x.go", `import _ "net/http/pprof"`}},
	},
	{
		name:  "goroutine outside run.go",
		why:   "every goroutine has an owner that waits for it, and they are found in one file of each package",
		files: func(f *file) bool { return library(f) && path.Base(f.path) != "run.go" },
		find:  goroutine,
		tests: []struct{ path, src string }{
			{"scheduler/x.go", "func f() { go f() }"},
			{"scheduler/x.go", "func f() { time.AfterFunc(1, f) }"},
		},
	},
	{
		name:  "goroutine in a model package",
		why:   "a rule is a function of its arguments",
		files: isModel,
		find:  goroutine,
		tests: []struct{ path, src string }{{"network/run.go", "func f() { go f() }"}},
	},
	{
		name:  "clock, chance or I/O in a model package",
		why:   "a bug in a rule must be found by a test without root, clock or network: pure code takes the time and names as arguments",
		files: isModel,
		find:  impure,
		tests: []struct{ path, src string }{
			{"task/x.go", `import "os"`},
			{"task/x.go", `import "math/rand/v2"`},
			{"task/x.go", "var _ = func() { time.Now() }"},
			{"network/x.go", `var _ = func() { net.Dial("tcp", "") }`},
		},
	},
	{
		name:  "end of the process",
		why:   "a library's host decides when it ends, and a panic on input ends it",
		files: library,
		find:  calls("os.Exit", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "log.Panicln", "panic", "runtime.Goexit", "syscall.Exit"),
		need:  map[string]string{guest: "it is a program that runs in containers"},
		tests: []struct{ path, src string }{
			{"task/x.go", "func f() { panic(1) }"},
			{"task/x.go", "func f() { os.Exit(1) }"},
		},
	},
	{
		name:  "output of its own",
		why:   "standard output and the default loggers are the host's: a library writes to what it is given",
		files: library,
		find:  output,
		need: map[string]string{
			guest:                              "it is a program that runs in containers",
			"runtime/containerd/shimserver.go": "a shim is a process of its own, and its standard error is its log",
			"runtime/containerd/logserver.go":  "what a daemon's shim starts is a process of its own",
		},
		tests: []struct{ path, src string }{
			{"task/x.go", "func f() { fmt.Println() }"},
			{"task/x.go", "var x = os.Stderr"},
			{"task/x.go", "func f() { slog.Info(``) }"},
			{"task/x.go", "var l = slog.Default()"},
			{"task/x.go", "func f() { log.Printf(``) }"},
			{"task/x.go", "func f() { println() }"},
		},
	},
	{
		name:  "what is the process's",
		why:   "environment, working directory, signals, flags and the default HTTP server are the host's, and many instances share them",
		files: library,
		find: calls("os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv", "os.Setenv", "os.Unsetenv", "os.Clearenv", "os.Chdir",
			"signal.Notify", "signal.Ignore", "signal.NotifyContext", "http.Handle", "http.HandleFunc", "http.ListenAndServe",
			"expvar.Publish", "expvar.NewInt", "expvar.NewString", "expvar.NewMap",
			"flag.String", "flag.Bool", "flag.Int", "flag.Parse", "flag.Var", "unix.Umask", "syscall.Umask", "unix.Setrlimit", "syscall.Setrlimit"),
		need: map[string]string{
			guest:                              "it is a program that runs in containers",
			"runtime/containerd/pause.go":      "a sandbox's first process is a process of its own, whose signals are its own",
			"runtime/containerd/shimserver.go": "a shim is a process of its own",
			"runtime/containerd/logserver.go":  "a logger is a process of its own",
			"runtime/containerd/shims.go":      "a shim looks for the OCI runtime where its host would",
			"runtime/containerd/version.go":    "Config.Runtime is looked up in every directory of PATH, as it says",
			"runtime/runtimetest/archive.go":   "a test binary can be the program that runs in containers, and builds it",
			"internal/lane":                    "the lane is promised in the environment of the tests",
		},
		tests: []struct{ path, src string }{
			{"task/x.go", "func f() { os.Getenv(``) }"},
			{"task/x.go", "func f() { signal.Notify(nil) }"},
			{"task/x.go", "func f() { http.HandleFunc(``, nil) }"},
		},
	},
	{
		name:  "time.Sleep in a test",
		why:   "it is too short on a busy machine and too long on all others: wait for what is awaited, or use testing/synctest",
		files: anyTest,
		find:  calls("time.Sleep"),
		tests: []struct{ path, src string }{{"task/x_test.go", "func f() { time.Sleep(1) }"}},
	},
	{
		name:  "package main",
		why:   "the library has no programs: what a newcomer runs is an example, what a developer runs is internal",
		files: func(f *file) bool { return !f.test && !below(f.path, "examples", "internal") },
		find: func(f *file) []ast.Node {
			if f.ast.Name.Name == "main" {
				return []ast.Node{f.ast.Name}
			}
			return nil
		},
		need:  map[string]string{guest: "the suite builds it to run in containers"},
		tests: []struct{ path, src string }{{"task/main.go", ""}},
	},
}

func TestRules(t *testing.T) {
	files := load(t)
	for _, r := range rules {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) {
			used := map[string]bool{}
			for _, f := range files {
				if !r.files(f) {
					continue
				}
				for _, n := range r.find(f) {
					if reason := excepted(r, f); reason != "" {
						used[reason] = true
						continue
					}
					t.Errorf("%s: %s: %s", f.at(n), r.name, r.why)
				}
			}
			for name := range r.need {
				exists := slices.ContainsFunc(files, func(f *file) bool { return below(f.path, name) })
				if exists && !used[name] {
					t.Errorf("nothing in %s needs its exception any more", name)
				}
			}
		})
	}
}

// excepted returns the exception that a file is under.
func excepted(r rule, f *file) string {
	for name := range r.need {
		if below(f.path, name) {
			return name
		}
	}
	return ""
}

func TestRulesCanFail(t *testing.T) {
	for _, r := range rules {
		for _, c := range r.tests {
			name := "x"
			if r.name == "package main" {
				name = "main"
			}
			f := parse(t, c.path, "package "+name+"\n"+c.src)
			if !r.files(f) || len(r.find(f)) != 1 {
				t.Errorf("%s: %s with %q: about it: %v, found %d times, want once", r.name, c.path, c.src, r.files(f), len(r.find(f)))
			}
		}
		if len(r.tests) == 0 || r.why == "" {
			t.Errorf("%s has no test or no reason", r.name)
		}
	}
}

func funcInit(f *file) (found []ast.Node) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, fn)
		}
	}
	return found
}

func blankImport(f *file) (found []ast.Node) {
	for _, spec := range f.ast.Imports {
		if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
			found = append(found, spec)
		}
	}
	return found
}

// goroutine finds go statements, and the timer that starts one. Groups that are waited for where they begin are not
// meant.
func goroutine(f *file) (found []ast.Node) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, n)
		case *ast.CallExpr:
			if name(n.Fun) == "time.AfterFunc" {
				found = append(found, n)
			}
		}
		return true
	})
	return found
}

// impure finds imports that only I/O needs, and calls of the clock and the net.
func impure(f *file) []ast.Node {
	var found []ast.Node
	for i, p := range f.imports() {
		if slices.Contains([]string{"os", "os/exec", "os/signal", "os/user", "net/http", "net/rpc", "syscall", "log", "log/slog", "math/rand",
			"math/rand/v2", "crypto/rand", "database/sql", "plugin", "unsafe"}, p) {
			found = append(found, f.ast.Imports[i])
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		pkg, fn, _ := strings.Cut(name(call.Fun), ".")
		clock := pkg == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc"}, fn)
		dials := pkg == "net" && (strings.HasPrefix(fn, "Dial") || strings.HasPrefix(fn, "Listen") || strings.HasPrefix(fn, "Lookup") || strings.HasPrefix(fn, "Interface"))
		if clock || dials {
			found = append(found, call)
		}
		return true
	})
	return found
}

// output finds what writes to the process's own standard output and error.
func output(f *file) []ast.Node {
	found := calls("fmt.Print", "fmt.Printf", "fmt.Println", "print", "println",
		"log.Print", "log.Printf", "log.Println", "log.Default", "log.SetOutput",
		"slog.Default", "slog.SetDefault", "slog.Debug", "slog.Info", "slog.Warn", "slog.Error", "slog.Log",
		"slog.DebugContext", "slog.InfoContext", "slog.WarnContext", "slog.ErrorContext", "slog.With")(f)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && (name(sel) == "os.Stderr" || name(sel) == "os.Stdout" || name(sel) == "os.Stdin") {
			found = append(found, sel)
		}
		return true
	})
	return found
}

// calls returns a function that finds the calls of some functions.
func calls(names ...string) func(f *file) []ast.Node {
	return func(f *file) (found []ast.Node) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && slices.Contains(names, name(call.Fun)) {
				found = append(found, call)
			}
			return true
		})
		return found
	}
}

// name returns how a function is called: "panic", "os.Exit".
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return fmt.Sprintf("%s.%s", x.Name, e.Sel.Name)
		}
	}
	return ""
}
