package containerd

import (
	"os"
	"sync/atomic"
)

// The names under which this binary starts itself, argv[0].
const (
	shimName  = "fardel-shim"  // holds the containers of a sandbox, see serveShim
	pauseName = "fardel-pause" // first process of a PID namespace that containers share, see servePause
)

// reexecs tells that the host program calls Reexec, without which it would start a second copy of itself for every
// sandbox. It is a property of the program and hence the one variable of this package.
var reexecs atomic.Bool

// Reexec must be called first thing in the main function, or TestMain, of a program that uses [Embed]. The embedded
// runtime starts the program's own binary again, for a small process that holds the containers of a sandbox and outlives
// the program. In that process Reexec does its work and returns true when it is done; main must return then.
func Reexec() bool {
	switch os.Args[0] {
	case shimName:
		serveShim(os.Args[1:])
		return true
	case pauseName:
		servePause()
		return true
	}
	reexecs.Store(true)
	return false
}
