//go:build linux

// Command vm runs tests in a virtual machine whose kernel has cgroup v2 alone, as the machines of users have, whatever
// the machine has that it runs on. It needs no root.
//
//	vm -kernel .cache/kernel                  # every suite of the table in suites.go
//	vm -kernel .cache/kernel -suites runtime  # those whose names contain "runtime"
//	vm -kernel .cache/kernel -- ls /sys/fs/cgroup
//
// The kernel is Debian's, unpacked into a folder with the programs of kmod run over it. The file system is this
// machine's, shared read-only over 9p under an overlay in the VM's memory, so test binaries, the OCI runtimes and daemons
// are found at the paths that they have here. The first process is this program, or systemd with -init systemd.
//
// QEMU uses KVM where it works and emulates the processor elsewhere, which is ten to thirty times slower.
//
// The whole run is bounded by -timeout. QEMU is ended by its process ID, and with this program if that is killed.
package main
