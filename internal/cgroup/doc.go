// Package cgroup makes, measures and removes control groups below one parent of our own, with cgroup v1, where every
// controller has a tree of its own, and with v2, which has one tree. The machine says which of them it uses.
//
//	tree, err := cgroup.Open("fardel/myapp")
//	err = tree.Create("task", cgroup.Limits{CPU: 250 * time.Millisecond, Memory: 512 << 20})
//	... // an OCI runtime makes the groups of containers at tree.Path("task", "container")
//	killed, err := tree.OOMKills("task/container")
//	err = tree.Remove(ctx, "task")
//
// It writes files and starts nothing. A group is named by its path below the parent.
package cgroup
