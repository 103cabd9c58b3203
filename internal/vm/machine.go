//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The VM's ports, by name.
const (
	outputPort = "fardel.output"
	resultPort = "fardel.result"
	shareTag   = "host"
)

// machine is a VM that runs one plan.
type machine struct {
	kernel kernel
	cpus   int
	memory int    // MiB
	dir    string // for its files; the console's log stays there
	append string // to the kernel's command line
}

// run boots the VM, copies what the steps print to out, and returns how each step ended. It returns when QEMU has ended,
// which it does with ctx at the latest.
func (m machine) run(ctx context.Context, p plan, out io.Writer) ([]outcome, error) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return nil, fmt.Errorf("%w: apt-get install qemu-system-x86", err)
	}
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the VM is of amd64, and this program of %s", runtime.GOARCH)
	}
	p.Kernel, p.Modules = m.kernel.release, m.kernel.dir
	initramfs := filepath.Join(m.dir, "initramfs")
	if err := writeInitramfs(initramfs, m.kernel, p); err != nil {
		return nil, err
	}
	defer os.Remove(initramfs)
	results := filepath.Join(m.dir, "results")
	if err := os.WriteFile(results, nil, 0o600); err != nil {
		return nil, err
	}
	console := filepath.Join(m.dir, "console.log")
	if err := m.boot(ctx, qemu, initramfs, results, console, out); err != nil {
		ended, _ := readResults(results, console) // that it is not complete is known
		return ended, fmt.Errorf("%w; the end of %s:\n%s", err, console, tail(console))
	}
	return readResults(results, console)
}

// boot starts QEMU and waits for its end.
func (m machine) boot(ctx context.Context, qemu, initramfs, results, console string, out io.Writer) error {
	accel := []string{"-accel", "tcg,thread=multi", "-cpu", "qemu64"}
	if kvmWorks() {
		accel = []string{"-accel", "kvm", "-cpu", "host"}
	}
	args := append(accel,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc",
		"-smp", strconv.Itoa(m.cpus), "-m", strconv.Itoa(m.memory),
		"-kernel", m.kernel.image(), "-initrd", initramfs,
		"-append", strings.TrimSpace("console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on cgroup_no_v1=all psi=1 tsc=reliable audit=0 "+m.append),
		"-chardev", "file,id=console,path="+console, "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "stdio,id=output,signal=off", "-device", "virtserialport,chardev=output,name="+outputPort,
		"-chardev", "file,id=result,path="+results, "-device", "virtserialport,chardev=result,name="+resultPort,
		"-device", "virtio-rng-pci",
		"-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=host,mount_tag="+shareTag,
	)
	cmd := exec.CommandContext(ctx, qemu, args...)
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of the thread: main keeps it locked
	cmd.WaitDelay = 10 * time.Second
	// Nothing is written to it, but at its end QEMU would take the port for disconnected, and writers in the VM block.
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the VM was ended: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("qemu: %w: %s", err, complaints.Bytes())
	}
	return nil
}

// kvmWorks asks the processor and then tries to make a VM. The device alone says little: in some VMs it is there and a
// guest makes no progress.
func kvmWorks() bool {
	flags, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !bytes.Contains(flags, []byte(" vmx ")) && !bytes.Contains(flags, []byte(" svm ")) {
		return false
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	const createVM = 0xae01 // KVM_CREATE_VM
	fd, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), createVM, 0)
	if errno != 0 {
		return false
	}
	return syscall.Close(int(fd)) == nil
}

// readResults reads the lines that the VM has written, one for each step and a last one that says that all ran.
func readResults(path, console string) ([]outcome, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var outcomes []outcome
	for line := range bytes.Lines(text) {
		if string(line) == complete {
			return outcomes, nil
		}
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return outcomes, fmt.Errorf("%s: %w", path, err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, fmt.Errorf("the VM stopped before the end of its plan; the end of %s:\n%s", console, tail(console))
}

// complete is the last line of the results.
const complete = "complete\n"

// tail is the end of a file, for messages.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}
