package oci

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

func TestMasks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*runtime.ContainerSpec)
		masked  []string
		visible []string
	}{
		{"by default", nil, []string{"/proc/kallsyms", "/proc/kmsg", "/proc/slabinfo", "/sys/kernel/slab", "/sys/x/thermal_throttle"}, []string{"/proc/meminfo", "/proc/cpuinfo"}},
		{
			"with SYSLOG", func(c *runtime.ContainerSpec) { c.CapAdd = []string{"SYSLOG"} },
			[]string{"/proc/vmallocinfo", "/proc/kcore"}, []string{"/proc/kallsyms", "/proc/kmsg"},
		},
		{
			"with all but SYSLOG", func(c *runtime.ContainerSpec) { c.CapAdd, c.CapDrop = []string{"ALL"}, []string{"SYSLOG"} },
			[]string{"/proc/kallsyms", "/proc/kmsg"}, nil,
		},
		{"privileged", func(c *runtime.ContainerSpec) { c.Privileged = true }, nil, []string{"/proc/kcore", "/proc/kallsyms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options
			o.Throttling = []string{"/sys/x/thermal_throttle"}
			spec, err := Spec(container(tt.change), sandbox, nginx, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tt.masked {
				if !slices.Contains(spec.Linux.MaskedPaths, p) {
					t.Errorf("%s is not masked", p)
				}
			}
			for _, p := range tt.visible {
				if slices.Contains(spec.Linux.MaskedPaths, p) {
					t.Errorf("%s is masked", p)
				}
			}
			if !slices.IsSorted(spec.Linux.MaskedPaths) {
				t.Errorf("not sorted: %q", spec.Linux.MaskedPaths)
			}
		})
	}
}

func TestThrottlingCounters(t *testing.T) {
	file := &fstest.MapFile{}
	got, err := ThrottlingCounters(fstest.MapFS{
		"devices/system/cpu/cpu0/thermal_throttle/core_throttle_count":  file,
		"devices/system/cpu/cpu0/topology/core_id":                      file,
		"devices/system/cpu/cpu11/thermal_throttle/core_throttle_count": file,
		"devices/system/cpu/cpufreq/thermal_throttle/x":                 file,
	})
	want := []string{"/sys/devices/system/cpu/cpu0/thermal_throttle", "/sys/devices/system/cpu/cpu11/thermal_throttle"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := ThrottlingCounters(fstest.MapFS{}); len(got) != 0 || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCoreLimit(t *testing.T) {
	for _, tt := range []struct {
		ulimits    []task.Ulimit
		soft, hard uint64
	}{
		{nil, 0, 0},
		{[]task.Ulimit{{Name: "nofile", SoftLimit: 1, HardLimit: 2}}, 0, 0},
		{[]task.Ulimit{{Name: "core", SoftLimit: 0, HardLimit: 1 << 20}}, 0, 1 << 20},
	} {
		spec, err := Spec(container(func(c *runtime.ContainerSpec) { c.Ulimits = tt.ulimits }), sandbox, nginx, options)
		if err != nil {
			t.Fatal(err)
		}
		if got := spec.Process.Rlimits[0]; got.Type != "RLIMIT_CORE" || got.Soft != tt.soft || got.Hard != tt.hard {
			t.Errorf("%v: got %+v", tt.ulimits, got)
		}
	}
}

func TestAppArmorProfile(t *testing.T) {
	for _, tt := range []struct {
		own, asked string
		privileged bool
		want       string
	}{
		{own: "fardel-1", want: "fardel-1"},
		{own: "fardel-1", asked: "mine", want: "mine"},
		{own: "fardel-1", asked: "unconfined"},
		{own: "fardel-1", privileged: true},
		{own: "fardel-1", privileged: true, asked: "mine", want: "mine"},
		{asked: "unconfined"},
		{},
	} {
		o := options
		o.AppArmorProfile = tt.own
		spec, err := Spec(container(func(c *runtime.ContainerSpec) { c.AppArmorProfile, c.Privileged = tt.asked, tt.privileged }), sandbox, nginx, o)
		if err != nil || spec.Process.ApparmorProfile != tt.want {
			t.Errorf("%+v: got %v, %v", tt, spec, err)
		}
	}
}
