package ociversion

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fake writes a program that a shell runs.
func fake(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAsk(t *testing.T) {
	dir := t.TempDir()
	loud := fake(t, filepath.Join(dir, "loud"), "echo runc version 1.5.3; while echo x; do :; done | head -c 1000000")
	if text, err := ask(t.Context(), loud); err != nil || len(text) != mostVersionText || Judge(loud, text).Version != "1.5.3" {
		t.Errorf("got %d bytes, %v", len(text), err)
	}
	broken := fake(t, filepath.Join(dir, "broken"), "echo flag provided but not defined; exit 1")
	if text, err := ask(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "not defined") {
		t.Errorf("got %q, %v, want an error with what it says", text, err)
	}
	// What it leaves behind is not waited for, though it holds the pipe.
	behind := fake(t, filepath.Join(dir, "behind"), "sleep 60 & echo runc version 1.5.3")
	begin := time.Now()
	_, err := ask(t.Context(), behind)
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("took %s, %v", took, err)
	}
}

func TestLookAll(t *testing.T) {
	dir := t.TempDir()
	bad := fake(t, filepath.Join(dir, "bad"), "echo runc version 1.1.5")
	mute := fake(t, filepath.Join(dir, "mute"), "exit 1")
	good := fake(t, filepath.Join(dir, "good"), "echo runc version 1.5.3")
	found, err := LookAll(t.Context(), []string{bad, mute, good, filepath.Join(dir, "none")})
	if len(found) != 3 || !found[2].Safe() || found[0].Safe() || found[1].Known || err == nil || !strings.Contains(err.Error(), mute) {
		t.Errorf("got %v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found, err := LookAll(ctx, []string{bad, good}); len(found) != 1 || err == nil {
		t.Errorf("cancelled: %v, %v", found, err)
	}
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	a := fake(t, filepath.Join(dir, "a", "fardel-runc"), "")
	b := fake(t, filepath.Join(dir, "b", "fardel-runc"), "")
	if err := os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	path := strings.Join([]string{"b", "", ".", filepath.Join(dir, "none"), filepath.Dir(a), filepath.Join(dir, "link"), filepath.Dir(b)}, ":")
	if diff := cmp.Diff([]string{a, b}, Paths("fardel-runc", path)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{b}, Paths(b, path)); diff != "" {
		t.Error(diff)
	}
	if got := Paths("fardel-no-such", path); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestChoose(t *testing.T) {
	bad := Judge("/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\n")
	good := Judge("/usr/local/sbin/runc", "runc version 1.5.3\n")
	lesser := Judge("/usr/bin/runc", "crun version 1.8.1\n")
	mute := Judge("/opt/runc", "")
	paths := []string{"/a/runc", "/b/runc"}
	for _, tt := range []struct {
		name         string
		found        []Verdict
		asked, allow bool
		want         int
		refused      []string
	}{
		{name: "the first is safe", found: []Verdict{good, bad}},
		{name: "the second is", found: []Verdict{bad, good}, want: 1},
		{name: "that is so where others are allowed", found: []Verdict{bad, good}, allow: true, want: 1},
		{name: "lesser faults are warned of", found: []Verdict{lesser, good}},
		{name: "none is", found: []Verdict{bad, mute}, refused: []string{
			"/a/runc is runc 1.1.5+ds1, 1.1.5+ds1-1+deb12u1, with CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
			"/b/runc is runc of a version that cannot be read", "Install runc 1.2.8, 1.3.3, 1.4.0-rc3 or later", "/usr/local/sbin/runc",
		}},
		{name: "none is, and that is allowed", found: []Verdict{bad, mute}, allow: true},
		{name: "one with ways out was asked for", found: []Verdict{bad}, asked: true, refused: []string{"CVE-2025-52881"}},
		{name: "one of which nothing is known was asked for", found: []Verdict{bad, mute}, asked: true, want: 1},
		{name: "nothing is known, and it was not asked for", found: []Verdict{mute}, refused: []string{"cannot be read"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, needs := Choose(paths, tt.found, tt.asked, tt.allow)
			if len(tt.refused) > 0 {
				tt.want = -1
			}
			if got != tt.want || (needs != "") != (tt.want < 0) {
				t.Errorf("got %d, %q, want %d", got, needs, tt.want)
			}
			for _, words := range tt.refused {
				if !strings.Contains(needs, words) {
					t.Errorf("%s: does not say %q", needs, words)
				}
			}
		})
	}
}
