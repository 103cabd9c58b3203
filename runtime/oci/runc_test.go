package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// runc runs a shell script under the spec and returns what it wrote and its exit code.
func runc(t *testing.T, c runtime.ContainerSpec, o Options, script string) (string, int) {
	t.Helper()
	lane.Root(t)
	binary, busybox := lane.Command(t, "runc"), lane.Command(t, "busybox")
	bundle := t.TempDir()
	o.RootfsPath = filepath.Join(bundle, "rootfs")
	if err := os.MkdirAll(filepath.Join(o.RootfsPath, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.RootfsPath, "bin/busybox"), content, 0o755); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("fardel-oci-test-%d-%s", os.Getpid(), filepath.Base(bundle))
	o.CgroupsPath = "/" + id
	_, err = os.Stat("/sys/fs/cgroup/cgroup.controllers")
	o.CgroupV2 = err == nil
	if o.Limits, err = ProcessLimits(os.DirFS("/proc"), "self"); err != nil {
		t.Fatal(err)
	}
	c.ID, c.Entrypoint, c.Command = id, []string{"/bin/busybox", "sh", "-c"}, []string{"exec 2>&1; " + script}
	spec, err := Spec(c, sandboxOnHost, runtime.Image{}, o)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "--root", filepath.Join(bundle, "state"), "run", "--bundle", bundle, id)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Fatalf("runc: %s", stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

var sandboxOnHost = runtime.SandboxSpec{ID: "fedcba9876543210fedcba9876543210"}

func TestRuncTakesSpec(t *testing.T) {
	b := "b=/bin/busybox; "
	limits, err := ProcessLimits(os.DirFS("/proc"), "self")
	if err != nil {
		t.Fatal(err)
	}
	openFiles := strconv.FormatUint(min(defaultNoFile, limits.allowed("nofile")), 10)
	for _, tt := range []struct {
		name   string
		change func(*runtime.ContainerSpec)
		user   User
		script string
		want   string
		code   int
	}{
		{name: "exit code", script: "echo hello; exit 3", want: "hello\n", code: 3},
		{name: "host name", script: b + "$b hostname; echo $HOSTNAME", want: "fedcba987654\nfedcba987654\n"},
		{name: "open files", script: "ulimit -Sn; ulimit -Hn", want: openFiles + "\n" + openFiles + "\n"},
		{
			name: "fourteen capabilities", script: b + "$b grep -E 'CapEff|CapBnd|CapInh' /proc/self/status",
			want: "CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n",
		},
		{
			name: "capabilities of a user", user: User{UID: 7, GID: 8, AdditionalGIDs: []uint32{9}},
			script: b + "$b id; $b grep -E 'CapEff|CapBnd' /proc/self/status",
			want:   "uid=7 gid=8 groups=8,9\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n",
		},
		{
			name: "no capability", change: func(c *runtime.ContainerSpec) { c.CapDrop = []string{"ALL"} },
			script: b + "$b grep CapEff /proc/self/status", want: "CapEff:\t0000000000000000\n",
		},
		{name: "seccomp", script: b + "$b grep Seccomp: /proc/self/status", want: "Seccomp:\t2\n"},
		{
			name: "no new privileges", change: func(c *runtime.ContainerSpec) { c.NoNewPrivileges = true },
			script: b + "$b grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t1\n",
		},
		{
			name: "masked and read-only", script: b + "$b wc -c </proc/timer_list; $b touch /proc/sys/kernel/panic /sys/x 2>/dev/null || echo refused",
			want: "0\nrefused\n",
		},
		{
			name: "read-only root", change: func(c *runtime.ContainerSpec) { c.ReadonlyRootfs = true },
			script: b + "$b touch /x", want: "touch: /x: Read-only file system\n", code: 1,
		},
		{
			name: "shared memory and tmpfs",
			change: func(c *runtime.ContainerSpec) {
				c.SharedMemory = 8
				c.Tmpfs = []task.Tmpfs{{ContainerPath: "/scratch", Size: 4, MountOptions: []string{"exec", "mode=0700"}}}
			},
			script: b + `$b df -m /dev/shm /scratch | $b awk 'NR>1{print $2}'; $b grep -c "scratch.*noexec" /proc/mounts; $b stat -c %a /scratch`,
			want:   "8\n4\n0\n700\n",
		},
		{
			name: "sysctl", change: func(c *runtime.ContainerSpec) { c.Sysctls = map[string]string{"kernel.msgmax": "4242"} },
			script: b + "$b cat /proc/sys/kernel/msgmax", want: "4242\n",
		},
		{
			name: "everything else",
			change: func(c *runtime.ContainerSpec) {
				c.Memory, c.MemoryReservation, c.CPUShares, c.CapAdd = 64, 32, 1<<30, []string{"ALL"}
				c.Ulimits = []task.Ulimit{{Name: "core", SoftLimit: -1, HardLimit: -1}, {Name: "stack", SoftLimit: 1 << 20, HardLimit: 1 << 23}}
			},
			script: "ulimit -c; ulimit -s", want: "unlimited\n1024\n",
		},
		{
			name: "privileged", change: func(c *runtime.ContainerSpec) { c.Privileged = true },
			script: b + "$b cat /proc/sys/kernel/msgmax >/proc/sys/kernel/msgmax && echo written; $b grep Seccomp: /proc/self/status",
			want:   "written\nSeccomp:\t0\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := container(tt.change)
			devices := func(string) ([]specs.LinuxDevice, error) { return nil, nil }
			got, code := runc(t, c, Options{User: tt.user, Devices: devices}, tt.script)
			if got != tt.want || code != tt.code {
				t.Errorf("got %q and exit code %d, want %q and %d", got, code, tt.want, tt.code)
			}
		})
	}
}

func TestRuncInit(t *testing.T) {
	lane.Root(t)
	tini := lane.Command(t, "tini-static")
	c := container(func(c *runtime.ContainerSpec) { c.Init = true })
	got, code := runc(t, c, Options{InitPath: tini}, "/bin/busybox tr '\\0' ' ' </proc/1/cmdline | /bin/busybox cut -d' ' -f1; exit 4")
	if strings.TrimSpace(got) != initPath || code != 4 {
		t.Errorf("process 1 is %q, exit code %d; want %s and 4", got, code, initPath)
	}
}
