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
package containerd
