package oci

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

func TestInUserNamespace(t *testing.T) {
	c := runtime.ContainerSpec{ID: "c", Mounts: []runtime.Mount{
		{Source: "/mapped", Destination: "/a"}, {Source: "/below", Destination: "/b", ReadOnly: true}, {Source: "/own", Destination: "/c"},
	}}
	s := runtime.SandboxSpec{ID: "s", NetNS: "/netns"}
	img := runtime.Image{Entrypoint: []string{"/x"}}
	o := Options{RootfsPath: "rootfs", CgroupsPath: "/s/c"}
	before, err := Spec(c, s, img, o)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := Spec(c, s, img, o)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	err = InUserNamespace(spec, "/userns", func(source string) (string, error) {
		asked = append(asked, source)
		return map[string]string{"/mapped": "ridmap", "/below": "idmap"}[source], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/mapped", "/below", "/own"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	want := append([]specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/userns"}}, before.Linux.Namespaces...)
	if diff := cmp.Diff(want, spec.Linux.Namespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	options := map[string][]string{"/a": {"rbind", "rw", "rprivate", "ridmap"}, "/b": {"rbind", "ro", "rprivate", "idmap"}, "/c": {"rbind", "rw", "rprivate"}}
	for i, m := range spec.Mounts {
		want, ours := options[m.Destination]
		if !ours {
			want = before.Mounts[i].Options
		}
		if diff := cmp.Diff(want, m.Options); diff != "" {
			t.Errorf("options of the mount at %s (-want +got):\n%s", m.Destination, diff)
		}
	}
	// What it has with seccomp and masks it keeps.
	if diff := cmp.Diff(before.Linux.Seccomp, spec.Linux.Seccomp); diff != "" || !slices.Equal(before.Linux.MaskedPaths, spec.Linux.MaskedPaths) {
		t.Errorf("the filter or the masks have changed: %s", diff)
	}
	broken := errors.New("no")
	if err := InUserNamespace(before, "/userns", func(string) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Errorf("a source that cannot be mounted so: %v", err)
	}
}
