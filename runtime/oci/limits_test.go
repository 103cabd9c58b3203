package oci

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

const limitsFile = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max processes             96343                96344                processes
Max open files            1024                 20000                files
Max nice priority         0                    0
`

func procFS(capEff string) fstest.MapFS {
	return fstest.MapFS{
		"self/status":        {Data: []byte("Name:\tx\nCapEff:\t" + capEff + "\nCapBnd:\t000001ffffffffff\n")},
		"self/limits":        {Data: []byte(limitsFile)},
		"self/oom_score_adj": {Data: []byte("200\n")},
		"sys/fs/nr_open":     {Data: []byte("1048576\n")},
	}
}

func TestProcessLimits(t *testing.T) {
	for _, tt := range []struct {
		name, capEff string
		want         Limits
	}{
		{"mighty", "000001ffffffffff", Limits{
			Capabilities: knownCapabilities, Hard: map[string]uint64{"nofile": 1 << 20}, OOMScoreAdj: -1000,
		}},
		{"confined", "0000000000000201", Limits{
			Capabilities: []string{"CAP_CHOWN", "CAP_LINUX_IMMUTABLE"},
			Hard:         map[string]uint64{"cpu": math.MaxUint64, "nproc": 96344, "nofile": 20000, "nice": 0}, OOMScoreAdj: 200,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ProcessLimits(procFS(tt.capEff), "self")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := ProcessLimits(fstest.MapFS{}, "self"); err == nil {
		t.Error("no error without /proc")
	}
}

func TestLimitsBound(t *testing.T) {
	o := options
	o.Limits = Limits{Hard: map[string]uint64{"nofile": 20000}, OOMScoreAdj: 200}
	spec, err := Spec(container(nil), sandbox, nginx, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Process.Rlimits[1]; got.Hard != 20000 || got.Soft != 20000 {
		t.Errorf("default nofile is %d:%d, want what the host allows", got.Soft, got.Hard)
	}
	if got := *spec.Process.OOMScoreAdj; got != 200 {
		t.Errorf("OOM score %d, want the lowest that can be set", got)
	}
	if got := len(spec.Process.Capabilities.Bounding); got != 14 {
		t.Errorf("%d capabilities", got)
	}
	o.Limits.Capabilities = []string{"CAP_KILL", "CAP_SYS_TIME"}
	all := container(func(c *runtime.ContainerSpec) { c.Privileged = true })
	if spec, err = Spec(all, sandbox, nginx, o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o.Limits.Capabilities, spec.Process.Capabilities.Bounding); diff != "" {
		t.Errorf("privileged is not what the host has (-want +got):\n%s", diff)
	}
	ptrace := container(func(c *runtime.ContainerSpec) { c.CapAdd = []string{"SYS_PTRACE"} })
	if _, err := Spec(ptrace, sandbox, nginx, o); !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "CAP_SYS_PTRACE") {
		t.Errorf("got %v, want ErrUnsupported that names the capability", err)
	}
	c := container(func(c *runtime.ContainerSpec) {
		c.Ulimits = []task.Ulimit{{Name: "nofile", SoftLimit: 1024, HardLimit: 20001}}
	})
	if _, err := Spec(c, sandbox, nginx, o); !errors.Is(err, runtime.ErrUnsupported) || !strings.Contains(err.Error(), "20001") {
		t.Errorf("got %v, want ErrUnsupported that names the limit", err)
	}
}
