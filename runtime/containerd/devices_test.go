//go:build linux

package containerd

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

func TestUsesConsole(t *testing.T) {
	plain := runtime.ContainerSpec{ID: "c"}
	privileged := plain
	privileged.Privileged = true
	for name, tt := range map[string]struct {
		spec  runtime.ContainerSpec
		rules []specs.LinuxDeviceCgroup
		want  bool
	}{
		"an ordinary one":  {spec: plain},
		"a privileged one": {spec: privileged, want: true},
		"one that was given it": {spec: plain, want: true,
			rules: []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: new(int64(5)), Minor: new(int64(1)), Access: "rw"}}},
		"one that was given another": {spec: plain,
			rules: []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: new(int64(5)), Minor: new(int64(0)), Access: "rw"}}},
		"one that was given a disk with its numbers": {spec: plain,
			rules: []specs.LinuxDeviceCgroup{{Allow: true, Type: "b", Major: new(int64(5)), Minor: new(int64(1)), Access: "rwm"}}},
	} {
		none := func(string) ([]specs.LinuxDevice, error) { return nil, nil }
		spec, err := oci.Spec(tt.spec, runtime.SandboxSpec{ID: "s", NetNS: "/n"}, runtime.Image{Entrypoint: []string{"/x"}},
			oci.Options{RootfsPath: "rootfs", CgroupsPath: "/s/c", Devices: none})
		if err != nil {
			t.Fatal(err)
		}
		spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices, tt.rules...)
		if got := usesConsole(spec); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
