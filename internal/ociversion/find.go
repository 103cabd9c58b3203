package ociversion

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// timeout is how long an OCI runtime may take to tell its version; runc and crun take five milliseconds.
	timeout = 20 * time.Second
	// mostVersionText is more than any says.
	mostVersionText = 4 << 10
)

// Paths are the programs that a value of Config.Runtime can mean, each once.
func Paths(name, searchPath string) []string {
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

// Look asks a program for its version and judges it. Whatever it starts ends with it. With an error, too, the verdict says what
// the program is, of which nothing is known then.
func Look(ctx context.Context, path string) (Verdict, error) {
	text, err := ask(ctx, path)
	return Judge(path, text), err
}

// LookAll looks at programs one after the other, until one is safe.
func LookAll(ctx context.Context, paths []string) (found []Verdict, err error) {
	for _, path := range paths {
		v, lerr := Look(ctx, path)
		found, err = append(found, v), errors.Join(err, lerr)
		if v.Safe() || ctx.Err() != nil {
			break
		}
	}
	return found, err
}

func ask(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
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

// Choose returns which of the programs that were looked at is to be used: the first that is safe. Where there is none, one of
// which nothing is known will do if it was asked for by name, and the first of all if that is allowed. If none will do, needs
// says what was found and what to install.
func Choose(paths []string, found []Verdict, asked, allow bool) (chosen int, needs string) {
	if i := slices.IndexFunc(found, Verdict.Safe); i >= 0 {
		return i, ""
	}
	if i := slices.IndexFunc(found, func(v Verdict) bool { return !v.Known }); i >= 0 && asked {
		return i, ""
	}
	if allow {
		return 0, ""
	}
	var list []string
	for i, v := range found {
		list = append(list, paths[i]+" is "+v.String())
	}
	good := goodReleases(found[0].Program)
	if found[0].Program == "runc" || good == "" {
		good = goodReleases("runc") + ", where the distribution has none from https://github.com/opencontainers/runc/releases as /usr/local/sbin/runc"
	}
	return -1, fmt.Sprintf("an OCI runtime without known ways out of them, and %s. Install %s", strings.Join(list, "; "), good)
}
