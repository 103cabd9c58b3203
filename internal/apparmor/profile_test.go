package apparmor

import (
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
)

func TestProfile(t *testing.T) {
	for _, name := range []string{"", "a b", "x{", "fardel-1,", "-x", "../x", "a\nb", Unconfined, "/usr/bin/x"} {
		if text, err := Profile(name); err == nil {
			t.Errorf("%q: no error, and %q", name, text)
		}
	}
	text, err := Profile("fardel-0a1b2c3d")
	if err != nil || strings.Contains(text, "NAME") || strings.Contains(text, "include") {
		t.Fatalf("%v: %s", err, text)
	}
	for _, want := range []string{"profile fardel-0a1b2c3d ", "signal (send) peer=fardel-0a1b2c3d,", "deny mount,", "deny /proc/sys/** wl,"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	path, err := findParser()
	if err != nil {
		t.Skipf("needs %v", err)
	}
	cmd := exec.CommandContext(t.Context(), path, "--skip-kernel-load", "--skip-cache", "--stdout")
	cmd.Stdin = strings.NewReader(text)
	var said strings.Builder
	cmd.Stderr = &said
	if out, err := cmd.Output(); err != nil || len(out) == 0 {
		t.Errorf("%s: %v, %d bytes: %s", path, err, len(out), said.String())
	}
}

func TestEnabled(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const parameter, profiles = "module/apparmor/parameters/enabled", "kernel/security/apparmor/profiles"
	const list = "docker-default (enforce)\nfardel-1 (enforce)\nfardel-2 (complain)\n/usr/bin/man (enforce)\nfardel 3 (odd) (enforce)\nfardel-4 (kill)\n"
	for _, tt := range []struct {
		name    string
		sys     fstest.MapFS
		enabled bool
		loaded  string
	}{
		{"no AppArmor", fstest.MapFS{}, false, ""},
		{"not in this boot", fstest.MapFS{parameter: file("N\n"), profiles: file("")}, false, ""},
		{"no securityfs", fstest.MapFS{parameter: file("Y\n")}, false, ""},
		{"nothing loaded", fstest.MapFS{parameter: file("Y\n"), profiles: file("")}, true, ""},
		{"some", fstest.MapFS{parameter: file("Y\n"), profiles: file(list)}, true, "docker-default fardel-1 /usr/bin/man fardel-4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Enabled(tt.sys); got != tt.enabled {
				t.Errorf("enabled: %t, want %t", got, tt.enabled)
			}
			var loaded []string
			for _, name := range []string{"docker-default", "fardel-1", "fardel-2", "/usr/bin/man", "fardel-4", "fardel", "man"} {
				ok, err := Loaded(tt.sys, name)
				if err != nil {
					t.Fatal(err)
				}
				if ok {
					loaded = append(loaded, name)
				}
			}
			if got := strings.Join(loaded, " "); got != tt.loaded {
				t.Errorf("loaded: %q, want %q", got, tt.loaded)
			}
		})
	}
}
