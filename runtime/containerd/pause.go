//go:build linux

package containerd

import (
	"os"
	"os/signal"
	"syscall"
)

// servePause is the first process of a PID namespace that the containers of a sandbox share. It must outlive all of
// them: when it ends the kernel kills the namespace. Its one duty is to reap processes whose parents have ended.
func servePause() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for range signals {
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err != nil || pid <= 0 {
				break
			}
		}
	}
}
