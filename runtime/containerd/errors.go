//go:build linux

package containerd

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// containerError turns what the OCI runtime says into an error of package runtime. p is the process it was about, nil
// for one that was created before.
func containerError(verb string, spec runtime.ContainerSpec, p *specs.Process, err error) error {
	reason := clean(err.Error())
	switch {
	case isCommandNotFound(reason) && p != nil:
		return commandError(verb, spec, p.Args, p.Env)
	case isCommandNotFound(reason):
		return fmt.Errorf("%s container %s: %s: %w", verb, spec.ID, reason, runtime.ErrCommandNotFound)
	case errdefs.IsUnavailable(err):
		return fmt.Errorf("%s container %s: %w", verb, spec.ID, err)
	case isInvalid(reason):
		return fmt.Errorf("%s container %s: %s: %w", verb, spec.ID, reason, runtime.ErrInvalid)
	}
	return fmt.Errorf("%s container %s: %s", verb, spec.ID, reason)
}

// The words of runc, crun and runsc. None of them has codes.
func isCommandNotFound(reason string) bool {
	if strings.Contains(reason, "executable file") && strings.Contains(reason, "not found") { // runc, crun
		return true
	}
	if strings.Contains(reason, "error finding executable") || // runsc
		strings.Contains(reason, "failed to load ") && strings.HasSuffix(reason, "no such file or directory") {
		return true
	}
	// A path instead of a name: exec: "/nope": stat /nope: no such file or directory
	return strings.Contains(reason, `exec: "`) &&
		(strings.Contains(reason, "no such file or directory") || strings.Contains(reason, "not a directory"))
}

func isInvalid(reason string) bool {
	for _, words := range []string{
		"permission denied", "is a directory", // the command
		"mkdir /", "chdir to cwd", // working directory, mount points
		"not a directory", "no such file or directory", "invalid argument", "unknown capability", "error mounting",
		"error setting rlimit", "sysctl", "exec format error",
	} {
		if strings.Contains(reason, words) {
			return true
		}
	}
	return false
}

// noise is what every layer puts in front of the reason.
var noise = []string{
	"failed to create task for container: ", "failed to create shim task: ", "failed to start shim: ",
	"OCI runtime create failed: ", "OCI runtime start failed: ", "OCI runtime exec failed: ",
	"runc create failed: ", "runc run failed: ", "runc did not terminate successfully: exit status 1: ",
	"unable to start container process: ", "error during container init: ", "exec failed: ",
	"container_linux.go:380: starting container process caused: ", "rpc error: code = Unknown desc = ",
	"unable to retrieve OCI runtime error ", ": unknown", ": Unknown",
}

// clean strips a message of the names of the layers it went through.
func clean(message string) string {
	for _, n := range noise {
		message = strings.ReplaceAll(message, n, "")
	}
	return strings.TrimSpace(lastLine(message))
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// searchPath is the PATH among variables.
func searchPath(env []string) string {
	found := runtime.DefaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			found = v
		}
	}
	return found
}

// commandError says where a command was looked for.
func commandError(verb string, c runtime.ContainerSpec, args, env []string) error {
	where := "PATH " + strings.Trim(strconv.Quote(searchPath(env)), `"`)
	if len(args) > 0 && path.Base(args[0]) != args[0] {
		where = "that path"
	}
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	return fmt.Errorf("%s container %s: no %q in image %s, looked for at %s: %w", verb, c.ID, name, c.Image, where, runtime.ErrCommandNotFound)
}
