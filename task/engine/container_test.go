package engine

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

func TestContainerSpec(t *testing.T) {
	swap, swappiness := task.MiB(64), 10
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{{
		Name: "app", EntryPoint: []string{"/e"}, Command: []string{"c"}, WorkingDirectory: "/w", User: "1:2",
		Environment: []task.KeyValuePair{{Name: "A", Value: "1"}, {Name: "B", Value: "x=y"}},
		CPU:         128, Memory: 256, MemoryReservation: 100,
		ReadonlyRootFilesystem: true, PseudoTerminal: true, Interactive: true,
		DockerSecurityOptions: []string{"no-new-privileges"},
		DockerLabels:          map[string]string{"mine": "too"},
		Ulimits:               []task.Ulimit{{Name: "nofile", SoftLimit: 10, HardLimit: 20}},
		SystemControls:        []task.SystemControl{{Namespace: "net.core.somaxconn", Value: "9"}},
		LinuxParameters: &task.LinuxParameters{
			Capabilities:       &task.KernelCapabilities{Add: []string{"SYS_PTRACE"}, Drop: []string{"ALL"}},
			InitProcessEnabled: true, SharedMemorySize: 32, MaxSwap: &swap, Swappiness: &swappiness,
			Tmpfs: []task.Tmpfs{{ContainerPath: "/t", Size: 5}},
		},
	}}}
	w := newWorker(&Engine{cfg: Config{Dir: "/d"}, log: slog.New(slog.DiscardHandler)}, Assignment{
		Definition: def,
		Task: &task.Task{
			TaskARN:           "arn:aws:ecs:us-east-1:000000000000:task/c/0000000a000000000000000000000000",
			ClusterARN:        "arn:aws:ecs:us-east-1:000000000000:cluster/c",
			TaskDefinitionARN: "arn:aws:ecs:us-east-1:000000000000:task-definition/fam:7",
			Containers:        []task.Container{{Name: "app"}},
		},
	})
	w.containers[0].image = runtime.Image{Ref: "img@sha256:0"}
	ten := uint64(10)
	const id = "0000000a000000000000000000000000"
	want := runtime.ContainerSpec{
		ID: id + "-0000000010", SandboxID: id, Name: "app", Image: "img@sha256:0",
		Entrypoint: []string{"/e"}, Command: []string{"c"}, Env: []string{"A=1", "B=x=y"}, WorkingDir: "/w", User: "1:2",
		CPUShares: 128, Memory: 256, MemoryReservation: 100, SharedMemory: 32, Swap: 64, Swappiness: &ten,
		ReadonlyRootfs: true, NoNewPrivileges: true, Init: true, Terminal: true, Stdin: true,
		CapAdd: []string{"SYS_PTRACE"}, CapDrop: []string{"ALL"},
		Ulimits: def.ContainerDefinitions[0].Ulimits,
		Sysctls: map[string]string{"net.core.somaxconn": "9"},
		Tmpfs:   []task.Tmpfs{{ContainerPath: "/t", Size: 5}},
		Mounts: []runtime.Mount{
			{Source: "/d/tasks/" + id + "/scratch/etc/hosts", Destination: "/etc/hosts", ReadOnly: true},
			{Source: "/d/tasks/" + id + "/scratch/etc/resolv.conf", Destination: "/etc/resolv.conf", ReadOnly: true},
			{Source: "/d/tasks/" + id + "/scratch/etc/hostname", Destination: "/etc/hostname", ReadOnly: true},
		},
		Log: "/d/logs/" + id + "/app.log",
		Labels: map[string]string{
			"com.amazonaws.ecs.cluster": "c", "com.amazonaws.ecs.container-name": "app",
			"com.amazonaws.ecs.task-arn":                w.rec.TaskARN,
			"com.amazonaws.ecs.task-definition-family":  "fam",
			"com.amazonaws.ecs.task-definition-version": "7", "mine": "too",
		},
	}
	if diff := cmp.Diff(want, w.containerSpec(w.containers[0])); diff != "" {
		t.Errorf("containerSpec (-want +got):\n%s", diff)
	}
}

func TestSharesOfATaskWithoutCPU(t *testing.T) {
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{{Name: "a", CPU: 100}, {Name: "b"}, {Name: "c", CPU: 1}}}
	w := newWorker(&Engine{log: slog.New(slog.DiscardHandler)}, Assignment{Definition: def, Task: &task.Task{
		TaskARN: "task/0", Containers: []task.Container{{Name: "a"}, {Name: "b"}, {Name: "c"}},
	}})
	if got := w.sandboxSpec(network.Attachment{}); got.CPUShares != 104 {
		t.Errorf("%d shares, want 100 + 2 + 2", got.CPUShares)
	}
}

func TestNetFiles(t *testing.T) {
	at := network.Attachment{
		Address: netip.MustParsePrefix("10.0.0.5/20"), Hostname: "ip-10-0-0-5.ec2.internal",
		DNS: []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")}, Search: []string{"ec2.internal", "x"},
	}
	task1 := etc{at: at, hostname: at.Hostname}
	own := etc{at: at, hostname: at.Hostname, def: &task.ContainerDefinition{DNSServers: []string{"1.1.1.1"}, DNSSearchDomains: []string{"a.b"}}}
	offline := etc{hostname: "box", def: &task.ContainerDefinition{ExtraHosts: []task.HostEntry{{Hostname: "db", IPAddress: "10.1.1.1"}, {Hostname: "six", IPAddress: "::5"}}}}
	for _, tt := range []struct {
		of   etc
		name string
		want string
	}{
		{task1, "hosts", "127.0.0.1 localhost\n10.0.0.5 ip-10-0-0-5.ec2.internal\n"},
		{task1, "hostname", "ip-10-0-0-5.ec2.internal\n"},
		{task1, "resolv.conf", "nameserver 10.0.0.2\nnameserver 10.0.0.3\nsearch ec2.internal x\n"},
		{own, "hosts", "127.0.0.1 localhost\n10.0.0.5 ip-10-0-0-5.ec2.internal\n"},
		{own, "resolv.conf", "nameserver 1.1.1.1\nsearch a.b\n"},
		{offline, "hosts", "127.0.0.1 localhost\n10.1.1.1 db\n::5 six\n"},
		{offline, "hostname", "box\n"},
		{offline, "resolv.conf", ""},
	} {
		if diff := cmp.Diff(tt.want, tt.of.text(tt.name)); diff != "" {
			t.Errorf("%s of %q (-want +got):\n%s", tt.name, tt.of.hostname, diff)
		}
	}
}

func TestUnsupported(t *testing.T) {
	def := &task.TaskDefinition{NetworkMode: task.NetworkModeAWSVPC, ContainerDefinitions: []task.ContainerDefinition{{
		Name: "app", LogConfiguration: &task.LogConfiguration{LogDriver: task.LogDriverAWSLogs},
	}}}
	if got := Unsupported(def); len(got) > 0 {
		t.Errorf("a plain definition: %v", got)
	}
	def.ContainerDefinitions[0].LogConfiguration.LogDriver = task.LogDriverSplunk
	def.ProxyConfiguration = &task.ProxyConfiguration{}
	want := []task.Problem{
		{Path: "proxyConfiguration", Reason: "not supported: no traffic is sent through a proxy"},
		{Path: "containerDefinitions[0].logConfiguration.logDriver", Reason: "not supported: splunk"},
	}
	if diff := cmp.Diff(want, Unsupported(def)); diff != "" {
		t.Errorf("Unsupported (-want +got):\n%s", diff)
	}
}

func TestUnsupportedNetworkModes(t *testing.T) {
	for mode, want := range map[task.NetworkMode]string{
		task.NetworkModeNone: "", task.NetworkModeAWSVPC: "",
		task.NetworkModeHost:   "not supported: host: tasks get an interface of their own (awsvpc) or none, never the host's",
		task.NetworkModeBridge: "not supported: bridge: tasks get an interface of their own (awsvpc) or none; there is no Docker bridge",
		"":                     "not supported: bridge: tasks get an interface of their own (awsvpc) or none; there is no Docker bridge",
	} {
		got := ""
		for _, p := range Unsupported(&task.TaskDefinition{NetworkMode: mode}) {
			got += p.Reason
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", mode, got, want)
		}
	}
}

// TestFilesOfAnEarlierVersion has a task go on with the files and the sandbox that an earlier version has made for it.
func TestFilesOfAnEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{{Name: "app", ReadonlyRootFilesystem: true, Hostname: "h"}, {Name: "b"}}}
	w := newWorker(&Engine{cfg: Config{Dir: dir}, log: slog.New(slog.DiscardHandler)}, Assignment{
		Definition: def, Task: &task.Task{TaskARN: "task/0", Containers: []task.Container{{Name: "app"}, {Name: "b"}}},
	})
	at := w.e.taskDir(w.id)
	if got := w.sandboxSpec(network.Attachment{}).Scratch; got != filepath.Join(at, "scratch") {
		t.Errorf("a new task has its files in %s", got)
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "hosts"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := w.sandboxSpec(network.Attachment{}).Scratch; got != "" {
		t.Errorf("the sandbox is another one: scratch %s", got)
	}
	got := []runtime.Mount{w.fileMounts(w.containers[0].def)[0], w.fileMounts(w.containers[1].def)[0]}
	want := []runtime.Mount{
		{Source: filepath.Join(at, "containers/app/hosts"), Destination: "/etc/hosts"}, {Source: filepath.Join(at, "hosts"), Destination: "/etc/hosts"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}
