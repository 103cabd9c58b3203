package runtimetest

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/image"
	program "github.com/fardel-io/fardel/runtime/runtimetest/guest"
)

// guestPackage is the guest as a program.
const guestPackage = "github.com/fardel-io/fardel/runtime/runtimetest/guest/static"

// roleVariable makes a test binary that calls Guest the guest. It is in the environment of images made of it only.
const roleVariable = "FARDEL_RUNTIMETEST_GUEST"

// Guest runs the guest if this process is one, and reports its exit code. A TestMain that begins with
//
//	if code, ok := runtimetest.Guest(); ok {
//		os.Exit(code)
//	}
//
// lets the suite run where there is no go command to build the guest with: the test binary is the guest then, with the
// memory that a test binary needs.
func Guest() (code int, ok bool) {
	if os.Getenv(roleVariable) == "" {
		return 0, false
	}
	return program.Main(), true
}

// A Program is the guest as a file of this machine.
type Program struct {
	path string
	self bool
}

// BuildGuest builds the guest as a static program, or takes the running test binary if there is no go command. One
// program does for all fixtures of a test.
func BuildGuest(t testing.TB) Program {
	t.Helper()
	command, err := exec.LookPath("go")
	if err != nil {
		return Program{path: "/proc/self/exe", self: true}
	}
	program := filepath.Join(t.TempDir(), "guest")
	build := exec.CommandContext(t.Context(), command, "build", "-trimpath", "-ldflags=-s -w", "-o", program, guestPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	return Program{path: program}
}

// Image makes the image that Fixture.AddImage promises.
func (p Program) Image(ref string, config runtime.Image) (*image.Image, error) {
	env := config.Env
	if p.self {
		env = append([]string{roleVariable + "=1"}, env...)
	}
	return image.New(image.Config{
		Ref: ref, Entrypoint: config.Entrypoint, Command: config.Command, Env: env, WorkingDir: config.WorkingDir,
		User: config.User, StopSignal: config.StopSignal, Labels: config.Labels,
	}, image.Program(p.path, "/guest"), image.Files(
		image.File{Name: "/etc/passwd", Content: []byte("root:x:0:0::/:/guest\napp:x:1000:1000::/work:/guest\n")},
		image.File{Name: "/etc/group", Content: []byte("root:x:0:\naudio:x:29:app\napp:x:1000:\n")},
		image.File{Name: "/tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		image.File{Name: "/work", Mode: fs.ModeDir | 0o755},
	))
}

// AddImage returns a Fixture.AddImage that imports the image into a store.
func (p Program) AddImage(store runtime.ImageStore) func(ctx context.Context, ref string, config runtime.Image) error {
	return func(ctx context.Context, ref string, config runtime.Image) error {
		img, err := p.Image(ref, config)
		if err != nil {
			return err
		}
		archive, err := img.Open()
		if err != nil {
			return err
		}
		defer archive.Close()
		_, err = store.ImportImage(ctx, "", archive)
		return err
	}
}
