// Package local opens a cluster on this machine, with everything in it: containerd embedded in the process or a daemon's,
// the Linux network fabric, and a store in a file. It is the only package of the library that chooses backends; a
// program that wants others builds its cluster with package scheduler.
//
//	func main() {
//		if local.Reexec() { // the embedded runtime starts this program again as its shim
//			return
//		}
//		cluster, err := local.Open(ctx, local.Config{Dir: "/var/lib/myapp/fardel"})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer cluster.Close() // detaches: tasks keep running, the next Open adopts them
//		run, err := cluster.Run(ctx, def, scheduler.RunOptions{})
//		...
//	}
//
// Tasks act as the roles that Config.Roles holds:
//
//	roles, err := sts.Open(sts.Config{Store: sts.NewFileStore("/var/lib/myapp/sts.json")})
//	...
//	_, err = roles.CreateRole(sts.RoleInput{Name: "app", TrustPolicy: trust, Inline: map[string]string{"read": document}})
//	...
//	cluster, err := local.Open(ctx, local.Config{Dir: "/var/lib/myapp/fardel", Roles: roles})
//
// It needs Linux, root and runc. Everything on disk is below Config.Dir, which one process at a time can use. In the
// kernel there are, with names that begin with "fardel" and carry a digest of Dir: cgroups, network namespaces, one link
// and one nftables table in the host's namespace. [Cluster.Close] removes them when no task is left, [Cluster.Purge] in
// any case.
package local
