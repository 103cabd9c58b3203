// Command launch measures what it costs to start a task with fardel, beside what a user would take instead: unshare,
// runc, ctr, docker and podman, all with the same image and command, one after the other, round by round, on the machine
// it runs on.
//
//	make bench-launch bench-scale
//	go build -o /tmp/launch ./internal/bench/launch && sudo /tmp/launch [-n 20] [-json] [-only fardel,ctr]
//
// It prints the time of a whole launch and where the time of fardel's goes; what running tasks cost in memory, and whether
// they slow down the next launch and in which phase (-only scale); how long 100 launches at once take and how much memory
// meanwhile (burst); and what 300 idle tasks cost in five minutes, and how long it takes to take them over after the host
// program was killed (idle). With peers, runc, docker and podman take part in the last two. It needs root, a static busybox
// and runc; of the others those that are missing are left out, with a line that says so.
//
// # What it touches
//
// The program starts a copy of itself as part of new PID, mount and network namespaces, with empty file systems over
// /run and /var/lib, and measures there: daemons are the program's own, packets stay in namespaces it made, and when it
// ends, is stopped or is killed, the kernel ends whatever runs and drops whatever is mounted. Outside of these
// namespaces there are one folder below TMPDIR and cgroups, which the first process removes; it says what it could not
// remove, and looks for processes and mounts too.
//
// # What the numbers are
//
// A launch of a command is the whole command, from its start to its end: the container is made, runs true and is
// removed. A launch of fardel is a Fargate task of one container, with an interface, an address and security groups of
// its own and 256 CPU units and 512 MiB as hard limits; RUNNING is the time from the call of Run to the status, STOPPED
// the time from there, also, to the moment when all that the task held is released. The others run with their defaults:
// docker and podman with a bridge and without limits, ctr and runc without any network and without a seccomp profile, which
// alone takes runc a good part of its time. Before each launch the program waits until the one before has left no
// process. On a busy machine the least time says more than the median; the load average is in the head of the report.
//
// Memory is in PSS, the share of a process when pages that several use are divided among them, so that sums are true.
// Memory of the kernel is not in it; where a column has it, it is the machine's, whoever made it use that.
//
// In a burst and while tasks are idle, everything that holds them counts but their own processes: of fardel the host
// program, with containerd embedded, and the shims; of docker dockerd, containerd, its shims and, in a burst, the commands;
// of podman conmon and the commands. CPU time is that of the scheduler, in nanoseconds, of threads that live at both ends.
package main
