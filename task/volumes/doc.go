// Package volumes is where the storage of a task comes from that outlives it or lies elsewhere: file systems of EFS, FSx
// and S3 Files, EBS volumes configured at launch, and Docker volumes with the scope shared. Volumes that live as long as
// their task are the container runtime's and no concern of this package.
//
// A [Provider] gives a directory of this machine for each volume that a task mounts. [Directory] keeps all kinds below
// one directory, which is what tests and one machine need:
//
//	local.Open(ctx, local.Config{Dir: dir, Volumes: volumes.Directory{Dir: "/srv/volumes"}})
//
// A provider of one's own can mount NFS, attach block devices or hand out snapshots. It is asked before the first
// container of a task is created, again whenever the host program was restarted, and told when the task is released; both
// may be repeated. No error of a provider should hold a secret: it becomes the task's stopped reason.
package volumes
