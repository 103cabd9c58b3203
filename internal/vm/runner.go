//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// commonEnv is what every step has.
var commonEnv = []string{
	"PATH=" + stepPath, "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8",
	"FARDEL_LANE=root",
}

// runnerMain runs the steps of the plan. Its exit code says only whether it could say how they ended.
func runnerMain() int {
	if err := runPlan(runnerFile + ".json"); err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return 1
	}
	return 0
}

func runPlan(path string) error {
	p, err := readPlan(path)
	if err != nil {
		return err
	}
	// As systemd gives it to services; the kernel's own is 4096 for the first process.
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 524288}); err != nil {
		return err
	}
	if first, err := os.ReadFile("/proc/1/comm"); err != nil || p.Systemd != (string(first) == "systemd\n") {
		return errors.Join(fmt.Errorf("the first process is %q, and the plan says systemd: %t", first, p.Systemd), err)
	}
	out, err := openPort(outputPort)
	if err != nil {
		return err
	}
	results, err := openPort(resultPort)
	if err != nil {
		return err
	}
	for _, s := range p.Steps {
		if s.Name != "" {
			if _, err := fmt.Fprintf(out, "%s%s\n", stepMark, s.Name); err != nil {
				return err
			}
		}
		line, err := json.Marshal(runStep(s, out))
		if err != nil {
			return err
		}
		if _, err := results.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	_, err = io.WriteString(results, complete)
	return err
}

func openPort(name string) (*os.File, error) {
	device, err := portDevice(name)
	if err != nil {
		return nil, err
	}
	// Without the flag Go would poll the descriptor, which these devices answer wrongly while nobody reads.
	fd, err := syscall.Open(device, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), device), nil
}

func runStep(s step, out io.Writer) outcome {
	ctx, cancel := context.WithTimeoutCause(context.Background(), s.Timeout, fmt.Errorf("not done within %v", s.Timeout))
	defer cancel()
	begin := time.Now()
	cmd := exec.CommandContext(ctx, s.Args[0], s.Args[1:]...)
	cmd.Dir, cmd.Env = s.Dir, append(commonEnv[:len(commonEnv):len(commonEnv)], s.Env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its process group
	cmd.WaitDelay = 5 * time.Second                                                      // for the output of what it left running
	err := cmd.Run()
	o := outcome{Name: s.Name, Took: time.Since(begin)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		o.Code, o.Err = -1, context.Cause(ctx).Error()
	case errors.As(err, &exit):
		o.Code = exit.ExitCode()
		if o.Code < 0 {
			o.Err = exit.Error()
		}
	case err != nil:
		o.Code, o.Err = -1, err.Error()
	}
	return o
}

func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// stepPath is where steps find programs.
const stepPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// substitute is the folder of a program that stands for another: crun under the name runc, a script under the name go.
func substitute(name string) string { return "/usr/local/lib/fardel-vm/" + name }
