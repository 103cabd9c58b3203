// Package containerd is the [runtime.Driver] that runs real containers: with a containerd daemon that the machine has
// ([Connect]), or with containerd inside this process ([Embed]), which needs nothing installed but an OCI runtime such
// as runc.
//
//	func main() {
//		if containerd.Reexec() { // this binary is also its own shim; must come first
//			return
//		}
//		driver, err := containerd.Embed(ctx, containerd.Config{Owner: "myapp", Dir: "/var/lib/myapp/containers"})
//		...
//		defer driver.Close() // detaches; containers go on running
//
// # Processes
//
// Embed starts no server and listens nowhere. Containerd's content store, metadata and snapshotter are called directly.
// What runs containers is one process for each sandbox, a shim: this program's binary under the name "fardel-shim", with
// containerd's task service and nothing else. It is started by CreateSandbox and is ready by the time that a container
// has a root file system. It gets its listening socket from the driver, ignores SIGTERM, outlives the program and is
// killed by RemoveSandbox. It is started through /proc/self/exe, so the program's file may be replaced or deleted at any time.
//
// Containers that share a PID namespace (SandboxSpec.SharePID) find a first process there, "fardel-pause": a program of a page
// in memory, which has namespaces of its own, an empty root, and no descriptors, capabilities or system calls but the wait.
//
// With Connect the daemon's shims start this program as "fardel-log" for each container that has a log. It gives up its
// capabilities but DAC_OVERRIDE, all changes of files outside of the log's directory where the kernel has Landlock, and the
// system calls that reach beyond files.
//
// # Tracing
//
// The OCI runtime comes into a PID namespace with all of root's powers, and gives them up on its way to the program. So no
// process is added where a container with the capability SYS_PTRACE runs: see [Driver.LimitsTracing].
//
// Shims are children of the program. One that ends after Close, while the program goes on without another driver, stays
// a zombie until the program ends.
//
// # Owner marks
//
// Everything is found again by its name, by the next driver with the same Config, also after SIGKILL: what is below
// Config.Dir, mounts included; cgroups below Config.CgroupParent and what is in them; processes whose command line is a role, the
// containerd namespace "fardel-<Owner>", the sandbox and Config.Dir; and snapshots, leases and containers in that namespace that are
// labelled io.fardel/owner. What no record names is removed when a driver is opened. A reboot ends all containers; they
// are then stopped with code 137.
//
// # Errors
//
// What the machine lacks is a [*runtime.UnsupportedError] from Embed or Connect. A second driver for the same Dir or
// Owner is refused at once. The OCI runtime has no error codes, so its messages are recognised by their words.
package containerd
