//go:build linux

package containerd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

const (
	// versionTimeout is how long an OCI runtime may take to tell its version; runc and crun take five milliseconds.
	versionTimeout = 10 * time.Second
	// mostVersionText is more than any says.
	mostVersionText = 4 << 10
)

// findRuntime returns the path of the OCI runtime. Of a name it takes the first program in PATH and the usual directories
// that has no known way out: a distribution's may come before one that its operator has put beside it.
func (d *Driver) findRuntime(ctx context.Context) (string, error) {
	paths := runtimePaths(d.cfg.Runtime, os.Getenv("PATH"))
	if len(paths) == 0 {
		return "", &runtime.UnsupportedError{
			Feature: "containers",
			Needs:   fmt.Sprintf("the OCI runtime %s in PATH, /usr/local/sbin or /usr/sbin: apt-get install runc, or dnf install runc", d.cfg.Runtime),
		}
	}
	found := make([]verdict, len(paths))
	for i, path := range paths {
		text, err := versionOf(ctx, path)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			d.logger.Warn("the OCI runtime does not tell its version", "path", path, "error", err)
		}
		found[i] = judge(path, text)
	}
	i, err := chooseRuntime(paths, found, d.cfg.runtimeIsSet, d.cfg.AllowVulnerableRuntime)
	if err != nil {
		return "", err
	}
	switch v := found[i]; {
	case len(v.escapes) > 0:
		d.logger.Warn("the OCI runtime has known ways out of containers, and Config.AllowVulnerableRuntime allows it",
			"path", paths[i], "runtime", v.program, "version", v.version, "advisories", v.escapes)
	case !v.known:
		d.logger.Warn("nothing is known of the ways out that the OCI runtime may have", "path", paths[i], "runtime", v.program, "version", v.version)
	case len(v.lesser) > 0:
		d.logger.Warn("the OCI runtime has known faults, though no way out", "path", paths[i], "runtime", v.program, "version", v.version, "advisories", v.lesser)
	}
	return paths[i], nil
}

// runtimePaths are the programs that a value of Config.Runtime can mean, each once.
func runtimePaths(name, searchPath string) []string {
	candidates := []string{name}
	if filepath.Base(name) == name {
		candidates = nil
		for _, dir := range append(filepath.SplitList(searchPath), "/usr/local/sbin", "/usr/sbin", "/sbin") {
			if filepath.IsAbs(dir) { // the others mean another program wherever the process is
				candidates = append(candidates, filepath.Join(dir, name))
			}
		}
	}
	var paths []string
	var files []os.FileInfo
	for _, c := range candidates {
		path, err := exec.LookPath(c)
		if err != nil {
			continue
		}
		info, err := os.Stat(path)
		if err != nil || slices.ContainsFunc(files, func(f os.FileInfo) bool { return os.SameFile(f, info) }) {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			continue
		}
		paths, files = append(paths, path), append(files, info)
	}
	return paths
}

// versionOf asks a program for its version. Whatever it starts ends with it.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond // for what has left the group and holds the pipe
	out := &bounded{left: mostVersionText}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s --version: %w: %s", path, err, strings.TrimSpace(out.text.String()))
	}
	return out.text.String(), nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	text bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	kept := p[:min(len(p), b.left)]
	b.left -= len(kept)
	b.text.Write(kept)
	return len(p), nil
}
