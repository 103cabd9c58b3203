package archtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPackagesAreDocumented: every package says what it is, in doc.go where others would look for it.
func TestPackagesAreDocumented(t *testing.T) {
	docs := map[string][]string{}
	for _, f := range load(t) {
		if f.test {
			continue
		}
		docs[f.dir()] = append(docs[f.dir()], "")
		if f.ast.Doc == nil {
			continue
		}
		docs[f.dir()] = append(docs[f.dir()], f.path)
		if f.ast.Name.Name != "main" && !strings.HasPrefix(f.ast.Doc.Text(), "Package "+f.ast.Name.Name+" ") {
			t.Errorf("%s: the package comment does not begin with %q", f.path, "Package "+f.ast.Name.Name)
		}
	}
	for dir, files := range docs {
		files = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(files))), func(s string) bool { return s == "" })
		switch {
		case len(files) == 0:
			t.Errorf("package %s has no package comment", dir)
		case len(files) > 1:
			t.Errorf("package %s has package comments in %s", dir, strings.Join(files, " and "))
		}
	}
}

// foreign is what a file says that was written on somebody's machine and is true there only.
var foreign = []*regexp.Regexp{
	regexp.MustCompile(`/home/[a-z][a-z0-9_-]*/`),
	regexp.MustCompile(`/Users/[A-Za-z]`),
	regexp.MustCompile(`/root/(\.cache|go)/`),
	regexp.MustCompile(`go/pkg/mod/`),
	regexp.MustCompile(`/tmp/go-build`),
}

// TestNoPathsOfABuildMachine: nothing that was written for the repository names a folder of the machine that it was written on.
func TestNoPathsOfABuildMachine(t *testing.T) {
	top := root(t)
	walk(t, func(name string) {
		data, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		if below(name, "internal/archtest") || strings.Contains("/"+name, "/testdata/") || bytes.IndexByte(data, 0) >= 0 {
			return // the rules themselves; other people's documents, which name their homes; not text
		}
		for _, finding := range foreignPaths(string(data), top) {
			t.Errorf("%s:%s", name, finding)
		}
	})
}

func foreignPaths(text, top string) (findings []string) {
	for i, line := range strings.Split(text, "\n") {
		for _, re := range foreign {
			if m := re.FindString(line); m != "" {
				findings = append(findings, fmt.Sprintf("%d: %s is a path of somebody's machine", i+1, m))
			}
		}
		// Where this very copy is, unless that is a path that anybody may write, such as /src.
		if strings.Count(top, "/") > 1 && strings.Contains(line, top+"/") {
			findings = append(findings, fmt.Sprintf("%d: %s is where this copy of the repository is", i+1, top))
		}
	}
	return findings
}

func TestForeignPathsCanFail(t *testing.T) {
	for _, line := range []string{"cd /home/ann/src", "/Users/Ann", "/root/go/x", "/src/deep/x.go"} {
		if got := foreignPaths(line, "/src/deep"); len(got) != 1 {
			t.Errorf("%q: %q", line, got)
		}
	}
	if got := foreignPaths("/var/lib/myapp /etc/home /root/x", "/src"); len(got) != 0 {
		t.Errorf("found %q", got)
	}
}
