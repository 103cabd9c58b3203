//go:build linux

package containerd

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// The names under which this binary starts itself, argv[0].
const (
	shimName = "fardel-shim" // holds the containers of a sandbox, see serveShim
	logName  = "fardel-log"  // keeps the output of a container, see serveLog; a path, as a daemon's shim starts it
)

// reexecs tells that the host program calls Reexec, without which it would start a second copy of itself for every
// sandbox. It is a property of the program and hence the one variable of this package.
var reexecs atomic.Bool

// Reexec must be called first thing in the main function, or TestMain, of a program that uses [Embed]. The embedded
// runtime starts the program's own binary again, for a small process that holds the containers of a sandbox and outlives
// the program. In that process Reexec does its work and returns true when it is done; main must return then. In the
// program itself it returns false at once, having silenced containerd's package-level logger.
func Reexec() bool {
	switch filepath.Base(os.Args[0]) {
	case shimName:
		serveShim(os.Args[1:])
		return true
	case logName:
		serveLog(os.Args[1:])
		return true
	}
	reexecs.Store(true)
	// Some of containerd logs to stderr, through a variable of its own, whatever logger it is given. Nothing else runs
	// yet, so it can be changed; one that somebody else has set stays.
	if log.L.Logger == logrus.StandardLogger() {
		log.L = quietLog(slog.New(slog.DiscardHandler))
	}
	return false
}

// hide has the kernel write no dump of this process, which knows what was given to containers and to Exec, and keep others from
// its memory. A machine that withholds SYS_PTRACE would keep the OCI runtime from it, too, which finds the sockets of terminals
// there.
func hide() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	if sets[0].Effective&(1<<unix.CAP_SYS_PTRACE) == 0 {
		return nil
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
