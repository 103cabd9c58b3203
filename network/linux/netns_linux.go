package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace, with a socket that configures it from any thread.
type namespace struct {
	file   *os.File
	handle *netlink.Handle
}

func (n *namespace) fd() int { return int(n.file.Fd()) }

func (n *namespace) close() {
	n.handle.Close()
	_ = n.file.Close()
}

// makeNamespace makes a network namespace, mounts it at path and sets its sysctls, which are paths below /proc/sys/net
// and values. The namespace lives as long as the mount or a process in it.
func makeNamespace(path string, sysctls []sysctl) (*namespace, error) {
	return makeOwnedNamespace(path, sysctls, 0)
}

// makeOwnedNamespace makes one that belongs to a user namespace whose IDs begin with first, or to the machine's if that is 0.
func makeOwnedNamespace(path string, sysctls []sysctl, first uint32) (*namespace, error) {
	if err := clearMountPoint(path); err != nil {
		return nil, err
	}
	if err := makeMountPoint(path); err != nil {
		return nil, err
	}
	n := &namespace{}
	err := inThread(func() error {
		if err := enterNew(first); err != nil {
			return err
		}
		proc := freshProc()
		defer proc.close()
		if err := proc.write(sysctls); err != nil {
			return err
		}
		var err error
		if n.handle, err = newHandle(); err != nil {
			return err
		}
		if n.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		if err := n.handle.LinkSetUp(loopback()); err != nil {
			return err
		}
		return unsupported(os.NewSyscallError("mount", unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")))
	})
	if err == nil {
		return n, nil
	}
	if n.handle != nil {
		n.handle.Close()
	}
	_ = n.file.Close()
	return nil, fmt.Errorf("make network namespace: %w", errors.Join(err, clearMountPoint(path)))
}

// openNamespace opens the namespace at path.
func openNamespace(path string) (*namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	n := &namespace{file: file}
	if err := inNamespace(file, func() (err error) { n.handle, err = newHandle(); return err }); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	return n, nil
}

// newHandle opens sockets in the calling thread's namespace: one for links, addresses and routes, one for netfilter.
func newHandle() (*netlink.Handle, error) {
	return netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
}

// inNamespace runs fn on a thread in a namespace.
func inNamespace(ns *os.File, fn func() error) error {
	return inThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return unsupported(os.NewSyscallError("setns", err))
		}
		return fn()
	})
}

// isMounted reports whether a namespace is mounted at path, rather than just a file lying there.
func isMounted(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, os.NewSyscallError("statfs", err)
	}
	return st.Type == unix.NSFS_MAGIC, nil
}

// anchorSuffix follows the name of a directory of mount points in that of a file beside it.
const anchorSuffix = ".point"

// makeMountPoint makes an empty file at path, which is not there: another name of the one file beside the directory if
// there is that. A new file may cost a millisecond, see [spareMost], and one that is kept and renamed would keep the
// mounts that it has in other mount namespaces.
func makeMountPoint(path string) error {
	if os.Link(filepath.Dir(path)+anchorSuffix, path) == nil {
		return nil
	}
	point, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	return point.Close()
}

// clearMountPoint removes what is at the path of a namespace: every mount on it, then the file. The namespace goes when
// the last process in it ends.
func clearMountPoint(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return removeFile(path)
		}
		if err != nil {
			return &fs.PathError{Op: "unmount", Path: path, Err: unsupported(err)}
		}
	}
}

// sysctl is a file below /proc/sys/net and what is written to it.
type sysctl struct {
	path, value string
	otherwise   string // written if the kernel finds value invalid, unless empty
}

// writeSysctls writes values in the calling thread's namespace.
func writeSysctls(sysctls []sysctl) error { return proc{unix.AT_FDCWD, "/proc/"}.write(sysctls) }

// proc is a proc file system.
type proc struct {
	dir  int    // descriptor of a directory
	path string // from there, with a slash at its end unless empty
}

// freshProc returns a proc file system that is mounted nowhere and goes with its descriptor. The kernel looks names below
// /proc/sys/net up among those of all namespaces, which takes longer the more there are; in a proc of its own there are
// those of one. Where the kernel or a container's rules give none it is the machine's.
func freshProc() proc {
	context, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return proc{unix.AT_FDCWD, "/proc/"}
	}
	defer func() { _ = unix.Close(context) }()
	if err := unix.FsconfigCreate(context); err != nil {
		return proc{unix.AT_FDCWD, "/proc/"}
	}
	dir, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return proc{unix.AT_FDCWD, "/proc/"}
	}
	return proc{dir, ""}
}

func (p proc) close() {
	if p.dir != unix.AT_FDCWD {
		_ = unix.Close(p.dir)
	}
}

// write writes values in the calling thread's namespace. What the kernel does not have needs no setting: it was built or
// started without IPv6.
//
// The directories below sys/net are opened once, as finding one may take long.
func (p proc) write(sysctls []sysctl) error {
	dirs := map[string]int{}
	defer func() {
		for _, fd := range dirs {
			_ = unix.Close(fd)
		}
	}()
	for _, s := range sysctls {
		family, name, _ := strings.Cut(s.path, "/")
		dir, opened := dirs[family]
		if !opened {
			var err error
			dir, err = unix.Openat(p.dir, p.path+"sys/net/"+family, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			if err != nil {
				return unsupported(&fs.PathError{Op: "open", Path: "/proc/sys/net/" + family, Err: err})
			}
			dirs[family] = dir
		}
		err := writeAt(dir, name, s.value)
		if errors.Is(err, unix.EINVAL) && s.otherwise != "" {
			err = writeAt(dir, name, s.otherwise)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return unsupported(&fs.PathError{Op: "write", Path: "/proc/sys/net/" + s.path, Err: err})
		}
	}
	return nil
}

// writeAt writes a value to a file in a directory.
func writeAt(dir int, name, value string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(value))
	return errors.Join(err, unix.Close(fd))
}

// taskSysctls are those of a task's namespace.
func taskSysctls(withIPv6 bool) []sysctl {
	list := noIPv6()
	if withIPv6 {
		list = staticIPv6()
	}
	return append(list,
		// As on Fargate and in Docker: a container that does not run as root may listen on any port and send pings.
		sysctl{path: "ipv4/ip_unprivileged_port_start", value: "0"},
		// In a user namespace, groups that it does not map are invalid.
		sysctl{path: "ipv4/ping_group_range", value: "0 2147483647", otherwise: "0 0"},
	)
}

// noIPv6 switches IPv6 off for all interfaces to come: nothing would filter it.
func noIPv6() []sysctl {
	return []sysctl{{path: "ipv6/conf/all/disable_ipv6", value: "1"}, {path: "ipv6/conf/default/disable_ipv6", value: "1"}}
}

// staticIPv6 switches off what interfaces do by themselves: they have the addresses and routes that they are given.
func staticIPv6() []sysctl {
	return append(staticIPv6Of("all"), staticIPv6Of("default")...)
}

// staticIPv6Of is staticIPv6 for one interface.
func staticIPv6Of(name string) []sysctl {
	conf := "ipv6/conf/" + name
	return []sysctl{
		{path: conf + "/accept_ra", value: "0"},
		{path: conf + "/autoconf", value: "0"},
		{path: conf + "/accept_redirects", value: "0"},
		{path: conf + "/accept_dad", value: "0"},
		{path: conf + "/addr_gen_mode", value: "1"}, // IN6_ADDR_GEN_MODE_NONE: no link-local addresses
		{path: conf + "/disable_ipv6", value: "0"},
	}
}

// routerSysctls are those of a router's namespace. All are written, since a new namespace takes some from the host.
// Whether a source address may come by a link is for the ruleset to say, which knows better than routes.
func routerSysctls() []sysctl {
	list := append(staticIPv6(), forwardingSysctls()...)
	list = append(list,
		sysctl{path: "ipv6/conf/all/forwarding", value: "1"},
		sysctl{path: "ipv6/conf/default/forwarding", value: "1"},
		sysctl{path: "ipv4/neigh/default/proxy_delay", value: "0"}, // else an answer for another's address waits up to 0.8 s
	)
	// The router answers for every address: a task that asks for a neighbour's gets the router's.
	return append(list, sysctl{path: "ipv4/conf/default/proxy_arp", value: "1"})
}

// natSysctls are those of a NAT gateway's namespace.
func natSysctls() []sysctl { return append(noIPv6(), forwardingSysctls()...) }

func forwardingSysctls() []sysctl {
	list := []sysctl{{path: "ipv4/ip_forward", value: "1"}}
	for _, scope := range []string{"all", "default"} {
		list = append(list,
			sysctl{path: "ipv4/conf/" + scope + "/rp_filter", value: "0"},
			sysctl{path: "ipv4/conf/" + scope + "/send_redirects", value: "0"},
			sysctl{path: "ipv4/conf/" + scope + "/accept_redirects", value: "0"},
			sysctl{path: "ipv4/conf/" + scope + "/accept_source_route", value: "0"},
			sysctl{path: "ipv4/conf/" + scope + "/route_localnet", value: "0"},
			sysctl{path: "ipv4/conf/" + scope + "/arp_ignore", value: "0"},
		)
	}
	return list
}

// loopback returns the link that every namespace is born with; its index is LOOPBACK_IFINDEX.
func loopback() netlink.Link {
	return &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 1, Name: "lo"}}
}
