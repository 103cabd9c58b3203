//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	kernel  string
	dir     string
	suites  string
	short   bool
	init    string
	cpus    int
	memory  int
	timeout time.Duration
	append  string
	command []string
}

func main() {
	switch {
	case os.Args[0] == runnerName, os.Getenv(runnerVar) != "":
		os.Exit(runnerMain())
	case os.Getpid() == 1:
		initMain()
	}
	o, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	// QEMU is told to end when the thread ends that started it.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("-timeout of %v is over", o.timeout))
	defer cancel()
	code, err := o.do(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		code = 1
	}
	os.Exit(code)
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("vm", flag.ContinueOnError)
	flags.StringVar(&o.kernel, "kernel", ".cache/kernel", "`folder` with boot and lib/modules of a kernel of Debian")
	flags.StringVar(&o.dir, "dir", ".cache/vm", "`folder` for test binaries, logs and the VM's files")
	flags.StringVar(&o.suites, "suites", "", "parts of the `names` of the suites to run, with commas between; \"\" is all")
	flags.BoolVar(&o.short, "short", false, "the reduced set")
	flags.StringVar(&o.init, "init", "", "\"systemd\" makes it the first process")
	flags.IntVar(&o.cpus, "smp", 2, "processors of the VM")
	flags.IntVar(&o.memory, "m", 3072, "memory of the VM in `MiB`")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Hour, "bound on the whole run")
	flags.StringVar(&o.append, "append", "", "more for the kernel's command line")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.command = flags.Args()
	if o.init != "" && o.init != "systemd" {
		err := fmt.Errorf("-init %q: want systemd, or nothing", o.init)
		fmt.Fprintln(os.Stderr, "vm:", err)
		return o, err
	}
	return o, nil
}

// do runs the suites, or the command, and returns the exit code.
func (o options) do(ctx context.Context) (int, error) {
	begin := time.Now()
	k, err := findKernel(o.kernel)
	if err != nil {
		return 0, err
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	cwd, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	m := machine{kernel: k, cpus: o.cpus, memory: o.memory, dir: dir, append: o.append}
	p := plan{Keep: cwd, Systemd: o.init == "systemd", Hosts: "vm"}
	if len(o.command) > 0 {
		p.Steps = []step{{Dir: cwd, Args: o.command, Timeout: o.timeout}}
		outcomes, err := m.run(ctx, p, os.Stdout)
		if err != nil {
			return 0, err
		}
		if outcomes[0].Err != "" {
			return 0, errors.New(outcomes[0].Err)
		}
		return outcomes[0].Code, nil
	}
	chosen, err := choose(o.suites, o.short)
	if err != nil {
		return 0, err
	}
	if p.Steps, err = (builder{cwd, dir}).steps(ctx, chosen); err != nil {
		return 0, err
	}
	fmt.Printf("built after %.0fs\n", time.Since(begin).Seconds())
	log, err := os.Create(filepath.Join(dir, "output.log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	r := newReport(log, os.Stdout)
	outcomes, err := m.run(ctx, p, r)
	good := r.close(outcomes, p.Steps) && err == nil
	fmt.Printf("%.0fs, all output is in %s\n", time.Since(begin).Seconds(), log.Name())
	if !good && err == nil {
		return 1, nil
	}
	return 0, err
}

// lockDir makes sure that one run at a time uses a folder. The lock ends with this process.
func lockDir(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another run uses %s: %w", dir, err), f.Close())
	}
	return f, nil
}
