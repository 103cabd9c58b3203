//go:build linux

package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// childDir tells a copy of the test binary to be a host program, with a driver in this directory; childRole which one;
// childRuntime its OCI runtime if that is not runc.
const (
	childDir     = "FARDEL_TEST_CHILD_DIR"
	childRole    = "FARDEL_TEST_CHILD_ROLE"
	childRuntime = "FARDEL_TEST_CHILD_RUNTIME"
)

func TestMain(m *testing.M) {
	if Reexec() {
		return
	}
	if dir := os.Getenv(childDir); dir != "" {
		err := child(context.Background(), dir, os.Getenv(childRole))
		fmt.Println("child:", err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if guestDir, err = os.MkdirTemp("", "fardel-guest-"); err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(guestDir)
	return m.Run()
}

// crashImage is in the store before a child starts.
const crashImage = "fardel.test/guest:crash"

func crashOwner() string { return fmt.Sprintf("crash-%d", os.Getppid()) }

// child is a host program that is killed some time.
func child(ctx context.Context, dir, role string) error {
	if role == "confined" {
		tryConfined(dir)
		os.Exit(0)
	}
	if role == "pause" { // the first process of a PID namespace, as an earlier version had it
		select {}
	}
	cfg := Config{Owner: crashOwner(), Dir: filepath.Join(dir, "driver"), Runtime: os.Getenv(childRuntime), UserNamespaces: childIDs()}
	ref, err := os.ReadFile(filepath.Join(dir, "ref"))
	if role == "pull" {
		host, _, _ := strings.Cut(string(ref), "/")
		cfg.Registries = map[string]Registry{host: {PlainHTTP: true}}
		if err != nil {
			return err
		}
	}
	d, err := Embed(ctx, cfg)
	if err != nil {
		return err
	}
	if role == "pull" {
		fmt.Println("ready")
		_, err = d.Pull(ctx, amd64(string(ref)))
		return err
	}
	img, err := d.Pull(ctx, runtime.ImageSpec{Ref: crashImage})
	if err != nil {
		return err
	}
	switch role {
	case "adopt":
		if err := startForAdoption(ctx, d, dir, img.Ref); err != nil {
			return err
		}
		fmt.Println("ready")
		<-make(chan struct{})
	case "exec":
		if err := startForAdoption(ctx, d, dir, img.Ref); err != nil {
			return err
		}
		fmt.Println("ready")
		_, err := d.Exec(ctx, "stays", runtime.ExecSpec{Args: []string{"/guest", "hang"}})
		return err
	case "create":
		if err := d.CreateSandbox(ctx, runtime.SandboxSpec{ID: "s", Size: task.Size{CPU: 512, Memory: 64}}); err != nil {
			return err
		}
		fmt.Println("ready")
		spec := runtime.ContainerSpec{ID: "half", SandboxID: "s", Image: img.Ref, Entrypoint: []string{"/guest"}, Command: []string{"hang"}}
		return d.CreateContainer(ctx, spec)
	case "churn":
		fmt.Println("ready")
		for i := 0; ; i++ {
			if err := churn(ctx, d, dir, img.Ref, i); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("no role %q", role)
}

// startForAdoption starts a container that stays, one that ends later, and one that is only created.
func startForAdoption(ctx context.Context, d *Driver, dir, image string) error {
	err := d.CreateSandbox(ctx, runtime.SandboxSpec{ID: "adopted", Size: task.Size{CPU: 512, Memory: 128}, Labels: map[string]string{"k": "v"}})
	if err != nil {
		return err
	}
	for id, command := range map[string][]string{
		"stays":   {"out up", "catch TERM 7", "hang"},
		"ends":    {"out one", "sleep 500ms", "flood 100000", "out two", "exit 9"},
		"waiting": {"out later", "exit 3"},
	} {
		spec := runtime.ContainerSpec{
			ID: id, SandboxID: "adopted", Image: image, Entrypoint: []string{"/guest"}, Command: command,
			Log: filepath.Join(dir, id+".log"), Labels: map[string]string{"name": id},
		}
		if err := d.CreateContainer(ctx, spec); err != nil {
			return err
		}
		if id == "waiting" {
			continue
		}
		if err := d.Start(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// churn takes a task from its creation to its removal. Nothing of it may be left when it is killed in between.
func churn(ctx context.Context, d *Driver, dir, image string, i int) error {
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		return err
	}
	sandbox := fmt.Sprintf("s%d", i)
	s := runtime.SandboxSpec{
		ID: sandbox, Size: task.Size{CPU: 512, Memory: 64}, SharePID: i%3 == 0, Storage: task.MiB(i%2) * 32,
		Scratch: filepath.Join(dir, "scratch", sandbox),
	}
	if err := d.CreateSandbox(ctx, s); err != nil {
		return err
	}
	for _, name := range []string{"a", "b"} {
		id := sandbox + name
		spec := runtime.ContainerSpec{
			ID: id, SandboxID: sandbox, Image: image, Entrypoint: []string{"/guest"}, Command: []string{"out x", "hang"},
			Log: filepath.Join(dir, id+".log"), NoNetwork: childIDs() != nil,
			Mounts: []runtime.Mount{
				{Volume: "v", Destination: "/etc", Populate: true}, {Root: dir, Source: "/", Destination: "/m"},
				{Volume: "w", Destination: "/w"}, {Volume: "x", Destination: "/w/x"}, {Source: filepath.Join(dir, "file"), Destination: "/w/x/file"},
			},
		}
		if err := d.CreateContainer(ctx, spec); err != nil {
			return err
		}
		if err := d.Start(ctx, id); err != nil {
			return err
		}
	}
	if err := d.Kill(ctx, sandbox+"b", "SIGKILL"); err != nil {
		return err
	}
	if _, err := d.Wait(ctx, sandbox+"b"); err != nil {
		return err
	}
	if err := d.Restart(ctx, sandbox+"b", 1, nil); err != nil {
		return err
	}
	if err := d.Start(ctx, sandbox+"b"); err != nil {
		return err
	}
	if err := d.RemoveContainer(ctx, sandbox+"a"); err != nil {
		return err
	}
	return d.RemoveSandbox(ctx, sandbox)
}
