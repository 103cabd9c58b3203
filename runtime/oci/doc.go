// Package oci translates a [runtime.ContainerSpec] into the configuration that OCI runtimes such as runc and crun take.
//
// It is a model package: [Spec] is a pure function of its arguments, opens nothing and asks the machine nothing but,
// through the seccomp profile, its architecture and kernel version. What only the backend can know, such as the path of
// the cgroup or the numbers behind a user name, comes in [Options].
//
//	user, err := oci.ResolveUser(name, passwd, group)
//	spec, err := oci.Spec(container, sandbox, image, oci.Options{RootfsPath: root, CgroupsPath: cgroup, User: user})
//	config, err := json.Marshal(spec)
//
// The defaults are those of Docker, which Fargate shares: fourteen capabilities, the default seccomp profile, masked
// and read-only paths in /proc and /sys, private IPC, UTS and mount namespaces. Different from Docker is what Fargate
// has differently: 65535 open files, and no network of its own, as the namespace is the task's.
//
// Errors about the spec match [runtime.ErrInvalid] and name the field and the container.
package oci
