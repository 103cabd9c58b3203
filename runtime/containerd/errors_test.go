//go:build linux

package containerd

import (
	"errors"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

func TestContainerError(t *testing.T) {
	spec := runtime.ContainerSpec{ID: "c", Image: "app:1"}
	p := &specs.Process{Args: []string{"nope", "x"}, Env: []string{"A=1", "PATH=/a:/b"}}
	for _, tt := range []struct {
		message string
		is      error
		want    string
	}{
		{
			`OCI runtime create failed: runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown`,
			runtime.ErrCommandNotFound,
			`create container c: no "nope" in image app:1, looked for at PATH /a:/b: runtime: command not found in image`,
		},
		{
			`OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown`,
			runtime.ErrCommandNotFound,
			`create container c: no "nope" in image app:1, looked for at PATH /a:/b: runtime: command not found in image`,
		},
		{"OCI runtime create failed: executable file `nope` not found: No such file or directory: unknown", runtime.ErrCommandNotFound, ""},
		{
			`OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "/etc": permission denied: unknown`,
			runtime.ErrInvalid,
			`create container c: exec: "/etc": permission denied: runtime: invalid spec`,
		},
		{"something new", nil, "create container c: something new"},
	} {
		err := containerError("create", spec, p, errors.New(tt.message))
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s:\ngot %v, want %v", tt.message, err, tt.is)
		}
		if tt.want != "" && err.Error() != tt.want {
			t.Errorf("got  %s\nwant %s", err, tt.want)
		}
	}
}

func TestRole(t *testing.T) {
	d := &Driver{namespace: "fardel-x", cfg: Config{Dir: "/d"}}
	for line, want := range map[string]bool{
		"fardel-shim\x00fardel-x\x00s\x00/d\x00":    true,
		"fardel-pause\x00fardel-x\x00s\x00/d\x00":   true,
		"fardel-shim\x00fardel-y\x00s\x00/d\x00":    false,
		"fardel-shim\x00fardel-x\x00s\x00/e\x00":    false,
		"/bin/fardel-shim\x00fardel-x\x00s\x00/d":   false,
		"sh\x00-c\x00fardel-shim fardel-x s /d\x00": false,
		"": false,
	} {
		if _, _, got := d.role([]byte(line)); got != want {
			t.Errorf("%q: got %t", line, got)
		}
	}
}

func TestDaemonID(t *testing.T) {
	for id, same := range map[string]bool{"a": true, "a-b_c.d": true, "a-": false, "a..b": false, "_a": false} {
		got := daemonID(id)
		if (got == id) != same || !daemonPattern.MatchString(got) || len(got) > 76 {
			t.Errorf("daemonID(%q) = %q", id, got)
		}
	}
}
