package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// ctrRun is the row that the others are compared with.
const ctrRun = "ctr run --rm"

// openUnshare is the floor: what the kernel takes for a process in namespaces of its own.
func openUnshare(_ context.Context, w *workshop) (contestant, error) {
	found, err := w.find("unshare")
	if err != nil {
		return nil, err
	}
	return &command{
		row: row{"unshare", "a process in namespaces of its own"}, path: found[0],
		args: func(int) []string {
			return []string{"--fork", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", w.busybox, "true"}
		},
	}, nil
}

func openRunc(ctx context.Context, w *workshop) (contestant, error) {
	found, err := w.find("runc")
	if err != nil {
		return nil, err
	}
	bundle := w.path("bundle")
	if err := makeRootFS(w.path("bundle", "rootfs"), w.busybox); err != nil {
		return nil, err
	}
	if _, err := output(ctx, nil, found[0], "spec", "--bundle", bundle); err != nil {
		return nil, err
	}
	if err := editSpec(w.path("bundle", "config.json"), "/"+mark(w.dir)+"/runc", "rootfs", []string{"/bin/true"}); err != nil {
		return nil, err
	}
	return &command{
		row: row{"runc run", "a container of a prepared bundle: no image, no network, no seccomp"}, path: found[0],
		args: func(n int) []string {
			return []string{"--root", w.path("runc"), "run", "--bundle", bundle, fmt.Sprintf("launch-%d", n)}
		},
	}, nil
}

// editSpec makes the spec that runc proposes one that runs a command, with every namespace that the others give.
func editSpec(path, cgroup, root string, command []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec struct {
		Process map[string]any `json:"process"`
		Root    map[string]any `json:"root"`
		Linux   map[string]any `json:"linux"`
	}
	var rest map[string]any
	if err := errors.Join(json.Unmarshal(text, &spec), json.Unmarshal(text, &rest)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	spec.Process["terminal"], spec.Process["args"] = false, command
	spec.Root["path"] = root
	var namespaces []map[string]string
	for _, kind := range []string{"pid", "network", "ipc", "uts", "mount", "cgroup"} {
		namespaces = append(namespaces, map[string]string{"type": kind})
	}
	spec.Linux["namespaces"], spec.Linux["cgroupsPath"] = namespaces, cgroup
	rest["process"], rest["root"], rest["linux"] = spec.Process, spec.Root, spec.Linux
	if text, err = json.Marshal(rest); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// openCtr starts a containerd of its own. The containerd namespace gives its cgroups their name.
func openCtr(ctx context.Context, w *workshop) (contestant, error) {
	found, err := w.find("ctr", "containerd", "containerd-shim-runc-v2", "runc")
	if err != nil {
		return nil, err
	}
	ctr, containerd := found[0], found[1]
	socket, config := w.path("containerd.sock"), w.path("containerd.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = %q
`, w.path("containerd", "root"), w.path("containerd", "state"), socket), 0o600); err != nil {
		return nil, err
	}
	d, err := startDaemon(ctx, exec.Command(containerd, "--config", config), socket, w.path("containerd.log"))
	if err != nil {
		return nil, err
	}
	common := []string{"--address", socket, "--namespace", mark(w.dir)}
	if _, err := output(ctx, nil, ctr, append(common, "images", "import", w.image)...); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return &command{
		row: row{ctrRun, "a container of an image: no network, no seccomp"}, path: ctr, stop: d.stop,
		args: func(n int) []string {
			return append(common[:4:4], "run", "--rm", "--snapshotter", "overlayfs", imageRef, fmt.Sprintf("launch-%d", n), "/bin/true")
		},
	}, nil
}

func openDocker(ctx context.Context, w *workshop) (contestant, error) {
	of, err := startDocker(ctx, w, "docker")
	if err != nil {
		return nil, err
	}
	return &command{
		row: row{"docker run --rm", "a container of an image on a bridge, with seccomp"}, path: of.path, env: of.env, stop: of.stop,
		args: func(int) []string { return []string{"run", "--rm", "--pull", "never", imageRef, "/bin/true"} },
	}, nil
}

// startDocker starts a dockerd of its own, with a name of its own, in a network namespace of its own, where it may do with
// packets as it likes. It starts its own containerd: there is none at the usual address in the namespaces of a run.
func startDocker(ctx context.Context, w *workshop, name string) (*contender, error) {
	found, err := w.find("docker", "dockerd", "containerd", "containerd-shim-runc-v2", "runc")
	if err != nil {
		return nil, err
	}
	docker, dockerd := found[0], found[1]
	socket, config := w.path(name+".sock"), w.path(name+".json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil { // instead of the machine's
		return nil, err
	}
	cmd := exec.Command(w.busybox, "sh", "-c", `"$0" ip link set lo up && exec "$@"`, w.busybox,
		dockerd, "--config-file", config, "--host", "unix://"+socket, "--pidfile", w.path(name+".pid"),
		"--data-root", w.path(name), "--exec-root", w.path(name+"-exec"),
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/"+mark(w.dir))
	cmd.SysProcAttr = daemonAttr()
	d, err := startDaemon(ctx, cmd, socket, w.path(name+".log"))
	if err != nil {
		return nil, err
	}
	of := &contender{path: docker, env: []string{"DOCKER_HOST=unix://" + socket, "DOCKER_CONFIG=" + w.path(name+"-client")}, stop: d.stop}
	if _, err := output(ctx, of.env, docker, "load", "--input", w.image); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return of, nil
}

func openPodman(ctx context.Context, w *workshop) (contestant, error) {
	of, common, err := preparePodman(ctx, w, "podman")
	if err != nil {
		return nil, err
	}
	return &command{
		row: row{"podman run --rm", "the same, without a daemon"}, path: of.path, netns: of.netns,
		args: func(int) []string {
			return append(common[:len(common):len(common)], "run", "--rm", "--pull", "never", "--network", "bridge",
				"--log-driver", "k8s-file", "--cgroup-parent", "/"+mark(w.dir), imageRef, "/bin/true")
		},
	}, nil
}

// preparePodman gives podman a network namespace of its own, where it may do with packets as it likes, and returns the
// arguments that keep what it has in a folder of a name.
func preparePodman(ctx context.Context, w *workshop, name string) (*contender, []string, error) {
	found, err := w.find("podman", "conmon", "runc")
	if err != nil {
		return nil, nil, err
	}
	ns, err := newNetns(ctx, w.busybox)
	if err != nil {
		return nil, nil, err
	}
	common := []string{
		"--root", w.path(name, "root"), "--runroot", w.path(name, "run"), "--tmpdir", w.path(name, "tmp"),
		"--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", found[2],
	}
	err = ns.do(func() error {
		_, err := output(ctx, nil, found[0], append(common, "load", "--input", w.image)...)
		return err
	})
	if err != nil {
		ns.close()
		return nil, nil, err
	}
	return &contender{path: found[0], netns: ns}, common, nil
}
