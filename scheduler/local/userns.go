package local

import "github.com/fardel-io/fardel/internal/userns"

// UserNamespaces are the user and group IDs of this machine that tasks get, 65536 each. Nobody else may have them, also not in
// /etc/subuid; two clusters with the same range choose at random in it. The zero value is the 16384 times 65536 IDs from
// 1073741824.
//
// Owners in images and volumes are as ever, 0 to 65535: the kernel shows them to each task as its own (idmapped mounts), and
// what a task writes to the host's directories or to a provider's has on disk the owner that it has in the task. What it
// writes to its root file systems and own volumes belongs on disk to its IDs.
//
// It needs runc 1.2 or another OCI runtime that mounts so, Linux 5.19, overlayfs, and for Config.Dir and volumes ext4, xfs or
// btrfs, or tmpfs from Linux 6.3 on; [Open] fails with [runtime.ErrUnsupported] if one is missing, or a task does not start,
// with a reason that names what. Root file systems are mounted below /run/fardel-…, as nobody can pass Config.Dir. Refused are privileged containers, and users above 65535. What a capability of
// Linux needs in the machine's user namespace is not to be had with it: a task with SYS_NICE, SYS_TIME, IPC_LOCK or
// SYS_RESOURCE added can do no more than without. With gVisor, which has user namespaces of its own, it is refused.
type UserNamespaces struct {
	First uint32 // 65536 or above
	Count uint32 // a multiple of 65536, at least twice that; the last ID is at most 2147483647
}

// ids are those to give to driver and fabric, with the default.
func (u *UserNamespaces) ids() *struct{ First, Count uint32 } {
	if u == nil {
		return nil
	}
	if *u == (UserNamespaces{}) {
		all := userns.Default()
		return &struct{ First, Count uint32 }{all.First, all.Count}
	}
	return &struct{ First, Count uint32 }{u.First, u.Count}
}
