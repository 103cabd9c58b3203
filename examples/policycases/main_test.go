package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const request = `{"id":"one","request":{"principal":"arn:aws:iam::123456789012:user/a","action":"s3:GetObject","resource":"*","context":{}},"identityPolicies":[],"expected":`
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", request+`"ImplicitlyDenied"}`)
	bad := write("bad", request+`"Allowed"}`)
	for _, c := range []struct {
		name   string
		files  []string
		status int
		last   string
		lines  int
	}{
		{"all pass", []string{good, good}, 0, "2 passed, 0 failed", 1},
		{"one fails", []string{good, bad}, 1, "1 passed, 1 failed", 2},
		{"no such file", []string{good, filepath.Join(dir, "none")}, 2, "1 passed, 0 failed", 1},
		{"no cases", []string{write("broken", "{}")}, 2, "0 passed, 0 failed", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, complaints strings.Builder
			status := run(c.files, &out, &complaints)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if status != c.status || lines[len(lines)-1] != c.last || len(lines) != c.lines {
				t.Errorf("status %d, output %q, complaints %q", status, lines, complaints.String())
			}
			if (status == 2) != (complaints.Len() > 0) {
				t.Errorf("complaints %q", complaints.String())
			}
		})
	}
	if status := run(nil, &strings.Builder{}, &strings.Builder{}); status != 2 {
		t.Errorf("without files: status %d, want 2", status)
	}
}
