// Package leaktest finds what a test left on the machine: it compares what there is of somebody's before and after.
//
//	before := leaktest.Take(t, owner, dir) // the owner mark in names, and the folder of the instance
//	... run tasks, kill things, sweep ...
//	before.Check()
//
// Everything that fardel makes carries a mark (see ARCHITECTURE.md), which is how it is told from what other tests make
// at the same time. Looked at are, as far as the process may: mounts, network interfaces, cgroups, AppArmor profiles, nftables tables and
// processes whose name, path, command line or cgroup holds a mark; inside network namespaces that are mounted at a path
// with a mark everything: interfaces, addresses, routes, rules, nftables; and the files of folders that are named with
// [Snapshot.Folder]. Counters and other things that change by themselves are left out.
//
// The package is for tests. It runs ip, nft and nsenter, and skips the kinds of things whose program is not there unless
// the lane promised it.
package leaktest
