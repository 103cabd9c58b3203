//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// units are what systemd is to start. They are the only ones in /etc/systemd/system: this machine's own stay out.
var units = map[string]string{
	"fardel-vm.service": `[Unit]
Description=Steps of the plan
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
ExecStart=` + runnerFile + `
Environment=` + runnerVar + `=1
StandardOutput=file:/dev/console
StandardError=file:/dev/console
KillMode=process
LimitNOFILE=1048576
`,
	"fardel-vm.target": `[Unit]
Description=Steps of the plan, and what a machine needs for them
Requires=sysinit.target basic.target fardel-vm.service
After=basic.target
AllowIsolate=yes
`,
}

// runnerVar tells this program, started by systemd, that it is the runner.
const runnerVar = "FARDEL_VM_RUNNER"

// startSystemd becomes systemd, which starts the runner in a service and powers off after it.
func startSystemd(p plan) error {
	if err := installRunner(p); err != nil {
		return err
	}
	if err := mountAll([]mounting{
		{"tmpfs", "/etc/systemd/system", "tmpfs", 0, "mode=755"},
		{"tmpfs", "/var/log/journal", "tmpfs", 0, "mode=755"},
	}); err != nil {
		return err
	}
	for name, text := range units {
		if err := os.WriteFile(filepath.Join("/etc/systemd/system", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	// Nothing of this machine is mounted, and a machine ID is made anew.
	for _, file := range []string{"/etc/fstab", "/etc/machine-id"} {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			return err
		}
	}
	const systemd = "/lib/systemd/systemd"
	err := syscall.Exec(systemd, []string{systemd, "--unit=fardel-vm.target", "--log-target=console", "--show-status=no"},
		[]string{"PATH=" + os.Getenv("PATH"), "container="})
	return fmt.Errorf("start %s: %w: apt-get install systemd", systemd, err)
}
