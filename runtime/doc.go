// Package runtime is what the engine needs of a container runtime: the [Driver] interface, the specs it takes and the
// errors it returns. It holds no runtime itself.
//
// A *sandbox* is what the containers of one task share: a network namespace made by a network fabric, a cgroup with
// the task's CPU and memory size, and, when the definition says so, one PID namespace. A *container* runs in a
// sandbox. With a VM-based OCI runtime the sandbox is the VM.
//
//	img, err := driver.Pull(ctx, runtime.ImageSpec{Ref: "docker.io/library/nginx:1.29"})
//	err = driver.CreateSandbox(ctx, runtime.SandboxSpec{ID: id, NetNS: ns, Size: task.Size{CPU: 256, Memory: 512}})
//	err = driver.CreateContainer(ctx, runtime.ContainerSpec{ID: id + "-web", SandboxID: id, Image: img.Ref, Log: path})
//	err = driver.Start(ctx, id+"-web")
//	exit, err := driver.Wait(ctx, id+"-web")
//
// Drivers live in the folders below: runtime/containerd for real containers, runtime/fake for tests of host programs.
// Every driver passes the suite in runtime/runtimetest.
package runtime
