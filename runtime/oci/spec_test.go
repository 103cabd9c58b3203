package oci

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

var update = flag.Bool("update", false, "write testdata/*.json")

var nginx = runtime.Image{
	Ref:        "docker.io/library/nginx@sha256:0000",
	Name:       "docker.io/library/nginx:1.29",
	Entrypoint: []string{"/docker-entrypoint.sh"},
	Command:    []string{"nginx", "-g", "daemon off;"},
	Env:        []string{"PATH=/opt/bin:/bin", "NGINX_VERSION=1.29", "broken"},
	StopSignal: "SIGQUIT",
}

var (
	options = Options{RootfsPath: "/rootfs", CgroupsPath: "/fardel/task/web", Devices: hostNodes}
	sandbox = runtime.SandboxSpec{ID: "0123456789abcdef0123456789abcdef", NetNS: "/run/netns/a"}
)

func hostNodes(path string) ([]specs.LinuxDevice, error) {
	nodes := []specs.LinuxDevice{
		{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229},
		{Path: "/dev/snd/seq", Type: "c", Major: 116, Minor: 1},
		{Path: "/dev/pts/0", Type: "c", Major: 136, Minor: 0},
	}
	found := slices.DeleteFunc(nodes, func(d specs.LinuxDevice) bool {
		return d.Path != path && !strings.HasPrefix(d.Path, path+"/")
	})
	if len(found) == 0 {
		return nil, os.ErrNotExist
	}
	return found, nil
}

// container is the smallest spec with changes made to it.
func container(change func(*runtime.ContainerSpec)) runtime.ContainerSpec {
	c := runtime.ContainerSpec{ID: "task-web", SandboxID: sandbox.ID, Image: nginx.Ref}
	if change != nil {
		change(&c)
	}
	return c
}

func TestSpecGolden(t *testing.T) {
	swappiness := uint64(10)
	for _, tt := range []struct {
		name      string
		container runtime.ContainerSpec
		options   func(*Options)
	}{
		{name: "default", container: container(nil)},
		{name: "cgroup2", container: container(nil), options: func(o *Options) { o.CgroupV2, o.PIDNamespace = true, "/proc/7/ns/pid" }},
		{name: "privileged", container: container(func(c *runtime.ContainerSpec) { c.Privileged = true })},
		{
			name: "everything",
			container: container(func(c *runtime.ContainerSpec) {
				c.Entrypoint, c.Command = []string{"/bin/sh", "-c"}, []string{"exit 3"}
				c.Env = []string{"NGINX_VERSION=2", "A=1", "A=2"}
				c.WorkingDir, c.Init, c.Terminal, c.NoNewPrivileges, c.ReadonlyRootfs = "/srv/../tmp", true, true, true, true
				c.CPUShares, c.Memory, c.MemoryReservation, c.Swap, c.Swappiness = 256, 512, 128, 64, &swappiness
				c.SharedMemory = 128
				c.CapAdd, c.CapDrop = []string{"SYS_PTRACE"}, []string{"MKNOD", "CAP_NET_RAW"}
				c.Ulimits = []task.Ulimit{{Name: "nofile", SoftLimit: 1024, HardLimit: 4096}, {Name: "memlock", SoftLimit: -1, HardLimit: -1}}
				c.Sysctls = map[string]string{"net.core.somaxconn": "1024", "kernel.shmmax": "1"}
				c.Tmpfs = []task.Tmpfs{{ContainerPath: "/run", Size: 16, MountOptions: []string{"exec", "mode=0750"}}}
				c.Devices = []task.Device{{HostPath: "/dev/snd", ContainerPath: "/dev/audio", Permissions: []string{"read", "write"}}}
				c.Mounts = []runtime.Mount{
					{Source: "/vol/b", Destination: "/data/b"},
					{Source: "/vol", Destination: "/data/", ReadOnly: true},
					{Source: "/vol/shm", Destination: "/dev/shm"},
				}
			}),
			options: func(o *Options) {
				o.InitPath, o.User = "/usr/bin/tini", User{UID: 101, GID: 102, AdditionalGIDs: []uint32{103}}
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options
			if tt.options != nil {
				tt.options(&o)
			}
			spec, err := Spec(tt.container, sandbox, nginx, o)
			if err != nil {
				t.Fatal(err)
			}
			if gotSeccomp := spec.Linux.Seccomp != nil; gotSeccomp == tt.container.Privileged {
				t.Errorf("seccomp profile: %t", gotSeccomp)
			}
			spec.Linux.Seccomp = nil // depends on kernel and architecture
			golden(t, tt.name, spec)
		})
	}
}

func golden(t *testing.T, name string, spec *specs.Spec) {
	t.Helper()
	got, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestSpecInvalid(t *testing.T) {
	over := uint64(101)
	for _, tt := range []struct {
		name   string
		change func(*runtime.ContainerSpec)
		want   string
	}{
		{"working directory", func(c *runtime.ContainerSpec) { c.WorkingDir = "srv" }, `workingDirectory "srv"`},
		{"nul in command", func(c *runtime.ContainerSpec) { c.Command = []string{"a\x00b"} }, "NUL"},
		{"environment", func(c *runtime.ContainerSpec) { c.Env = []string{"A=1", "secret"} }, "environment entry 1 is not KEY=value"},
		{"environment key", func(c *runtime.ContainerSpec) { c.Env = []string{"=x"} }, "environment entry 0"},
		{"init", func(c *runtime.ContainerSpec) { c.Init = true }, "init binary"},
		{"capability", func(c *runtime.ContainerSpec) { c.CapAdd = []string{"FLY"} }, `unknown capability "FLY"`},
		{"capability drop", func(c *runtime.ContainerSpec) { c.CapDrop = []string{""} }, `unknown capability ""`},
		{"ulimit", func(c *runtime.ContainerSpec) { c.Ulimits = []task.Ulimit{{Name: "NOFILE"}} }, `unknown ulimit "NOFILE"`},
		{"ulimit order", func(c *runtime.ContainerSpec) {
			c.Ulimits = []task.Ulimit{{Name: "core", SoftLimit: -1, HardLimit: 1}}
		}, "soft limit -1 exceeds"},
		{"ulimit negative", func(c *runtime.ContainerSpec) {
			c.Ulimits = []task.Ulimit{{Name: "core", SoftLimit: -2, HardLimit: 1}}
		}, "negative"},
		{"sysctl", func(c *runtime.ContainerSpec) { c.Sysctls = map[string]string{"kernel.panic": "1"} }, "kernel.panic is not one of"},
		{"sysctl slashes", func(c *runtime.ContainerSpec) { c.Sysctls = map[string]string{"kernel/panic": "1"} }, "is not one of"},
		{"sysctl escape", func(c *runtime.ContainerSpec) { c.Sysctls = map[string]string{"net/../kernel/panic": "1"} }, "is not a name"},
		{"tmpfs option", func(c *runtime.ContainerSpec) {
			c.Tmpfs = []task.Tmpfs{{ContainerPath: "/a", MountOptions: []string{"bind"}}}
		}, `unknown mount option "bind"`},
		{"tmpfs injection", func(c *runtime.ContainerSpec) {
			c.Tmpfs = []task.Tmpfs{{ContainerPath: "/a", MountOptions: []string{"mode=0,suid"}}}
		}, "unknown mount option"},
		{"tmpfs path", func(c *runtime.ContainerSpec) { c.Tmpfs = []task.Tmpfs{{ContainerPath: "a"}} }, "not an absolute path"},
		{"mount source", func(c *runtime.ContainerSpec) { c.Mounts = []runtime.Mount{{Source: "a", Destination: "/a"}} }, `source "a"`},
		{"mount root", func(c *runtime.ContainerSpec) { c.Mounts = []runtime.Mount{{Source: "/a", Destination: "/a/.."}} }, "mount at /"},
		{"mount proc", func(c *runtime.ContainerSpec) { c.Mounts = []runtime.Mount{{Source: "/a", Destination: "/proc/sys"}} }, "/proc/sys"},
		{"two mounts", func(c *runtime.ContainerSpec) {
			c.Mounts = []runtime.Mount{{Source: "/a", Destination: "/a"}, {Source: "/b", Destination: "/a/"}}
		}, "two mounts at /a"},
		{"device", func(c *runtime.ContainerSpec) { c.Devices = []task.Device{{HostPath: "fuse"}} }, `device "fuse"`},
		{"device permission", func(c *runtime.ContainerSpec) {
			c.Devices = []task.Device{{HostPath: "/dev/fuse", Permissions: []string{"rw"}}}
		}, `unknown permission "rw"`},
		{"reservation", func(c *runtime.ContainerSpec) { c.Memory, c.MemoryReservation = 64, 65 }, "memoryReservation of 65 MiB exceeds"},
		{"memory", func(c *runtime.ContainerSpec) { c.Memory = -1 }, "memory of -1 MiB"},
		{"swappiness", func(c *runtime.ContainerSpec) { c.Swappiness = &over }, "swappiness 101"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Spec(container(tt.change), sandbox, nginx, options)
			if !errors.Is(err, runtime.ErrInvalid) {
				t.Fatalf("got error %v, want ErrInvalid", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "task-web") {
				t.Errorf("got %q, want it to name task-web and %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q shows a value of the environment", err)
			}
		})
	}
}

func TestSpecDevicesMissing(t *testing.T) {
	c := container(func(c *runtime.ContainerSpec) { c.Devices = []task.Device{{HostPath: "/dev/none"}} })
	if _, err := Spec(c, sandbox, nginx, options); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/dev/none") {
		t.Errorf("got %v, want the resolver's error and the path", err)
	}
}

func TestSysctlsNeedNetNS(t *testing.T) {
	c := container(func(c *runtime.ContainerSpec) { c.Sysctls = map[string]string{"net.core.somaxconn": "1"} })
	if _, err := Spec(c, runtime.SandboxSpec{ID: "host"}, nginx, options); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid: the host's setting would change", err)
	}
}

func TestNoNetwork(t *testing.T) {
	c := container(func(c *runtime.ContainerSpec) {
		c.NoNetwork, c.Hostname, c.Sysctls = true, "box", map[string]string{"net.core.somaxconn": "1"}
	})
	spec, err := Spec(c, sandbox, nginx, options)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace}) {
		t.Errorf("namespaces %v, want a network namespace of its own", spec.Linux.Namespaces)
	}
	if spec.Hostname != "box" || !slices.Contains(spec.Process.Env, "HOSTNAME=box") {
		t.Errorf("host name %q, variables %q, want box", spec.Hostname, spec.Process.Env)
	}
}

func TestCapabilitySet(t *testing.T) {
	without := func(set []string, names ...string) []string {
		return slices.DeleteFunc(slices.Clone(set), func(n string) bool { return slices.Contains(names, n) })
	}
	sorted := func(set []string) []string {
		return slices.DeleteFunc(slices.Clone(knownCapabilities), func(n string) bool { return !slices.Contains(set, n) })
	}
	for _, tt := range []struct {
		name      string
		add, drop []string
		want      []string
	}{
		{"default", nil, nil, sorted(defaultCapabilities)},
		{"add", []string{"sys_ptrace"}, nil, sorted(append(slices.Clone(defaultCapabilities), "CAP_SYS_PTRACE"))},
		{"drop", nil, []string{"KILL"}, sorted(without(defaultCapabilities, "CAP_KILL"))},
		{"drop then add", []string{"KILL"}, []string{"KILL"}, sorted(defaultCapabilities)},
		{"drop all", nil, []string{"ALL"}, []string{}},
		{"drop all but", []string{"KILL"}, []string{"all", "CHOWN"}, []string{"CAP_KILL"}},
		{"add all", []string{"ALL"}, nil, knownCapabilities},
		{"add all but", []string{"ALL", "KILL"}, []string{"KILL"}, without(knownCapabilities, "CAP_KILL")},
		{"add all drop all", []string{"ALL"}, []string{"ALL"}, knownCapabilities},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := capabilitySet(runtime.ContainerSpec{CapAdd: tt.add, CapDrop: tt.drop}, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := len(defaultCapabilities); got != 14 {
		t.Errorf("%d default capabilities, want 14", got)
	}
}

func TestTmpfsOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		size task.MiB
		set  []string
		want string
	}{
		{"default", 64, nil, "noexec,nosuid,nodev,size=65536k"},
		{"override", 64, []string{"exec", "dev"}, "nosuid,size=65536k,exec,dev"},
		{"last wins", 0, []string{"ro", "rw", "mode=1", "mode=2"}, "noexec,nosuid,nodev,rw,mode=2"},
		{"size", 64, []string{"size=1k"}, "noexec,nosuid,nodev,size=1k"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tmpfsOptions(runtime.ContainerSpec{}, task.Tmpfs{ContainerPath: "/t", Size: tt.size, MountOptions: tt.set})
			if err != nil {
				t.Fatal(err)
			}
			if joined := strings.Join(got, ","); joined != tt.want {
				t.Errorf("got %s, want %s", joined, tt.want)
			}
		})
	}
}

func TestShares(t *testing.T) {
	for cpu, want := range map[uint64]uint64{0: 2, 1: 2, 2: 2, 256: 256, 262144: 262144, 262145: 262144, math.MaxUint64: 262144} {
		if got := Shares(cpu); got != want {
			t.Errorf("Shares(%d) = %d, want %d", cpu, got, want)
		}
	}
}

// allows reports whether a profile lets a system call through in at least one form.
func allows(profile *specs.LinuxSeccomp, call string) bool {
	return slices.ContainsFunc(profile.Syscalls, func(s specs.LinuxSyscall) bool {
		return s.Action == specs.ActAllow && slices.Contains(s.Names, call)
	})
}

func TestSeccompFollowsCapabilities(t *testing.T) {
	for _, tt := range []struct {
		call, capability string
	}{
		{"mount", "SYS_ADMIN"}, {"bpf", "BPF"}, {"process_vm_writev", "SYS_PTRACE"}, {"settimeofday", "SYS_TIME"},
	} {
		spec, err := Spec(container(nil), sandbox, nginx, options)
		if errors.Is(err, runtime.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		with, err := Spec(container(func(c *runtime.ContainerSpec) { c.CapAdd = []string{tt.capability} }), sandbox, nginx, options)
		if err != nil {
			t.Fatal(err)
		}
		if tt.call != "process_vm_writev" && allows(spec.Linux.Seccomp, tt.call) { // ptrace is allowed since Linux 4.8
			t.Errorf("%s is allowed by default", tt.call)
		}
		if !allows(with.Linux.Seccomp, tt.call) {
			t.Errorf("%s is refused with %s", tt.call, tt.capability)
		}
	}
}

func TestSpecIndependent(t *testing.T) {
	first, err := Spec(container(nil), sandbox, nginx, options)
	if err != nil {
		t.Fatal(err)
	}
	first.Linux.MaskedPaths[0], first.Process.Capabilities.Bounding[0], first.Process.Capabilities.Effective[1] = "x", "x", "x"
	second, err := Spec(container(nil), sandbox, nginx, options)
	if err != nil {
		t.Fatal(err)
	}
	if second.Linux.MaskedPaths[0] == "x" || second.Process.Capabilities.Bounding[0] == "x" || second.Process.Capabilities.Bounding[1] == "x" {
		t.Error("a change to one spec shows in the next")
	}
}
