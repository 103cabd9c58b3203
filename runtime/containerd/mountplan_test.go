//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

func TestSettleMounts(t *testing.T) {
	image := links(func(name string) (string, bool) {
		target, ok := map[string]string{
			"/data": "/dev", "/terminals": "data/pts", "/up": "../../../../proc/sys", "/var/run": "/run", "/loop": "loop",
			"/run/inner": "/dev", "/v/inner": "/dev", "/x": "v/../v/./y", "/root": "/", "/sbin": "usr/sbin", "/shm": "/dev/shm",
		}[name]
		return target, ok
	})
	bind := func(at string) specs.Mount { return specs.Mount{Type: "bind", Destination: at} }
	tmpfs := func(at string) specs.Mount { return specs.Mount{Type: "tmpfs", Destination: at} }
	for _, tt := range []struct {
		name   string
		mounts []specs.Mount
		want   string // places, those that lie in another one in brackets, or what is wrong
	}{
		{"as they are", []specs.Mount{{Type: "proc", Destination: "/proc"}, tmpfs("/dev"), bind("/a/b"), bind("/etc/hosts")}, "/proc /dev /a/b /etc/hosts"},
		{"a link", []specs.Mount{bind("/sbin/docker-init"), bind("/var/run/x")}, "/usr/sbin/docker-init /run/x"},
		{"a link to /dev", []specs.Mount{bind("/data")}, "mount at /data: a link of the image or of a volume leads to /dev"},
		{"a link through another", []specs.Mount{bind("/terminals")}, "leads to /dev/pts"},
		{"a link upwards", []specs.Mount{tmpfs("/up/kernel")}, "leads to /proc/sys/kernel"},
		{"a link without end", []specs.Mount{bind("/loop")}, "too many links"},
		{"a link to the root directory", []specs.Mount{bind("/root")}, "leads to its root directory"},
		{"a link to /dev/shm", []specs.Mount{bind("/shm")}, "/dev/shm"},
		{"what the operator gives", []specs.Mount{bind("/dev/x"), tmpfs("/dev/huge")}, "/dev/x /dev/huge"},
		{"one in another", []specs.Mount{bind("/v"), bind("/v/a/b"), bind("/vx")}, "/v /vx [a/b in /v]"},
		{"no link of a directory that is covered counts", []specs.Mount{bind("/v"), bind("/v/inner")}, "/v [inner in /v]"},
		{"nor of an empty one", []specs.Mount{tmpfs("/run"), bind("/run/inner")}, "/run /run/inner"},
		{"one in another by a link", []specs.Mount{bind("/v"), bind("/x")}, "/v [y in /v]"},
		{"one in one in another", []specs.Mount{bind("/v"), tmpfs("/v/t"), bind("/v/t/w")}, "/v [t in /v] [t/w in /v]"},
		{"one in an empty one", []specs.Mount{bind("/a"), tmpfs("/a/b/c"), tmpfs("/t"), bind("/t/x")}, "/a /t /t/x [b/c in /a]"},
		{"one in the programs' memory", []specs.Mount{tmpfs("/dev"), tmpfs("/dev/shm"), bind("/dev/shm/x")}, "/dev /dev/shm /dev/shm/x"},
	} {
		s, err := settleMounts(&specs.Spec{Mounts: tt.mounts}, image)
		var places []string
		for _, m := range s.mounts {
			places = append(places, m.Destination)
		}
		for _, n := range s.nested {
			places = append(places, fmt.Sprintf("[%s in %s]", n.at, s.mounts[n.in].Destination))
		}
		if err != nil {
			if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, strings.Join(places, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestSettleDevices(t *testing.T) {
	for _, tt := range []struct {
		links map[string]string
		node  string
		want  string
	}{
		{nil, "/dev/x/y", ""},
		{nil, "/my/node", ""},
		{nil, "/v/node", "it leads into a volume"},
		{map[string]string{"/my": "v"}, "/my/node", "it leads into a volume"},
		{map[string]string{"/my": "proc"}, "/my/node", "where the kernel's files are"},
		{map[string]string{"/dev": "/etc"}, "/dev/x", "/dev is a link to /etc in the image"},
		{map[string]string{"/proc": "dev"}, "/dev/x", "/proc is a link"},
		{map[string]string{"/sys": "v"}, "/dev/x", "/sys is a link"},
	} {
		spec := &specs.Spec{
			Mounts: []specs.Mount{{Type: "bind", Destination: "/v"}}, Linux: &specs.Linux{Devices: []specs.LinuxDevice{{Path: tt.node}}},
		}
		_, err := settleMounts(spec, func(name string) (string, bool) { target, ok := tt.links[name]; return target, ok })
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s with %v: %v, want %q", tt.node, tt.links, err, tt.want)
		}
	}
}

func TestOwnDirs(t *testing.T) {
	for want, m := range map[string]mount.Mount{
		"/up /work": {Type: "overlay", Source: "overlay", Options: []string{"index=off", "lowerdir=/1:/2", "upperdir=/up", "workdir=/work"}},
		"":          {Type: "overlay", Source: "overlay", Options: []string{"lowerdir=/1:/2"}}, // a view
		"/fs":       {Type: "bind", Source: "/fs", Options: []string{"rw", "rbind"}},
		" ":         {Type: "bind", Source: "/fs", Options: []string{"ro", "rbind"}},
	} {
		if got := strings.Join(ownDirs([]mount.Mount{m}), " "); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %q", m, got)
		}
	}
}
