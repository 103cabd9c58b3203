package linux

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/network"
)

// enterNew takes the calling thread to a new network namespace, which belongs to a user namespace whose IDs begin with
// first, or to that of the thread if first is 0. The thread keeps its own user namespace.
func enterNew(first uint32) error {
	if first == 0 {
		return unsupported(os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)))
	}
	ns, err := userns.NewNet(first)
	if err != nil {
		return &network.UnsupportedError{Feature: "a network namespace with a user namespace of its own", Err: err,
			Needs: "user namespaces in the kernel, and a limit for them in /proc/sys/user/max_user_namespaces that is not reached"}
	}
	defer ns.Close()
	return unsupported(os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)))
}

// claimIDs takes the IDs of a user namespace for an ENI and returns the first, 0 if ENIs get none. They are its own until
// the ENI is gone.
func (f *Fabric) claimIDs(eni string) (uint32, error) {
	if f.cfg.UserNamespaces == nil {
		return 0, nil
	}
	own, _ := userns.Range(*f.cfg.UserNamespaces).Halves()
	f.mu.Lock()
	defer f.mu.Unlock()
	first, ok := own.Pick(eni, func(first uint32) bool { _, taken := f.ids[first]; return taken })
	if !ok {
		return 0, fmt.Errorf("%s: %w", eni, errNoIDs)
	}
	f.ids[first] = eni
	return first, nil
}

var errNoIDs = errors.New("all IDs for user namespaces are taken: enlarge Config.UserNamespaces")
