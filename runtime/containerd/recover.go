//go:build linux

package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/runtime"
)

// recover takes over what an earlier driver with the same directory made, and removes what it left half made.
//
// The owner marks by which all of it is found again: records in Config.Dir, and everything else there; the containerd
// namespace "fardel-<Owner>"; the cgroup Config.CgroupParent, and what is in it; processes whose command line begins with
// the name of a role, that namespace and, third, Config.Dir; mounts below Config.Dir and /run/fardel-<Owner>. A scratch
// directory is found by the record of its sandbox.
func (d *Driver) recover(ctx context.Context) error {
	if err := d.use.load(d.cfg.Dir); err != nil {
		return err
	}
	if err := d.recoverSandboxes(ctx); err != nil {
		return err
	}
	if err := d.recoverContainers(ctx); err != nil {
		return err
	}
	if err := d.sweepTransfers(ctx); err != nil {
		return err
	}
	return d.sweep(ctx)
}

func (d *Driver) recoverSandboxes(ctx context.Context) error {
	ids, err := subdirs(filepath.Join(d.cfg.Dir, "sandboxes"))
	if err != nil {
		return err
	}
	var exposed []string
	for _, id := range ids {
		s := &sandbox{made: true}
		found, err := readJSON(filepath.Join(d.sandboxDir(id), sandboxFile), &s.spec)
		if err != nil {
			return err
		}
		if !found || s.spec.ID != id {
			continue // swept
		}
		if _, err := readJSON(filepath.Join(d.sandboxDir(id), pauseFile), &s.pause); err != nil {
			return err
		}
		d.sandboxes[id] = s
		// It may have been half made. Its containers, if any, are found to be dead when its shim is a new one.
		if err := d.makeSandbox(ctx, s); err != nil {
			return fmt.Errorf("recover sandbox %s: %w", id, err)
		}
		if err := d.sharePID(ctx, s); ctx.Err() != nil {
			return fmt.Errorf("recover sandbox %s: %w", id, err)
		} else if err != nil { // the machine was restarted, and has none of the namespaces that it would join
			d.logger.Warn("no container can be made in a sandbox whose containers have ended with its PID namespace", "sandbox", id, "error", err)
		}
		if d.exposed(s.pause) {
			exposed = append(exposed, id)
		}
	}
	if len(exposed) > 0 {
		d.logger.Warn("containers that share processes (pidMode task) were started by an earlier version, and those with the "+
			"capability SYS_PTRACE can reach the host through the first process: start their tasks again", "sandboxes", exposed)
	}
	return nil
}

// exposed reports whether the first process of a PID namespace is one of an earlier version: a copy of the host program,
// with its files and powers. It goes on, as its end would be that of the containers.
func (d *Driver) exposed(p process) bool {
	if p.PID == 0 || !p.alive() {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	_, _, ours := d.role(line)
	return err == nil && ours
}

func (d *Driver) recoverContainers(ctx context.Context) error {
	ids, err := subdirs(filepath.Join(d.cfg.Dir, "containers"))
	if err != nil {
		return err
	}
	// Most of them wait for an answer, and those that hang for the end of somebody's patience.
	return each(32, ids, func(id string) error {
		if err := d.recoverContainer(ctx, id); err != nil {
			return fmt.Errorf("recover container %s: %w", id, err)
		}
		return nil
	})
}

func (d *Driver) recoverContainer(ctx context.Context, id string) error {
	dir := d.containerDir(id)
	c := newContainer(id)
	var created createdRecord
	var started startedRecord
	known, err := readJSON(filepath.Join(dir, containerFile), &c.record)
	complete, cerr := readJSON(filepath.Join(dir, createdFile), &created)
	_, serr := readJSON(filepath.Join(dir, startedFile), &started)
	c.restarts = created.Restarts
	exit, ended, eerr := d.notedExit(c)
	if err := errors.Join(err, cerr, serr, eerr); err != nil {
		return err
	}
	if !known || !complete || d.sandboxes[c.record.Spec.SandboxID] == nil {
		return d.destroyHalfMade(ctx, c, known)
	}
	d.use.hold(containerHolder(id), c.record.Spec.Image)
	d.mu.Lock()
	d.containers[id] = c
	d.mu.Unlock()
	if c.pid = created.PID; started.Restarts == created.Restarts {
		c.startedAt = started.At
	}
	now, err := d.stateAtLast(ctx, c)
	switch {
	case ctx.Err() != nil:
	case isUnknown(err): // it is nobody's any more
		c.state = runtime.StateRunning
		d.hurry(c)
		d.life.spawn(func(ctx context.Context) { d.watch(d.context(ctx), c) })
	case errdefs.IsNotFound(err) && ended: // noted and deleted
		c.finish(exit)
	case ended && stateOf(now.status) == runtime.StateCreated: // a restart that was cut off; whoever wanted it asks again
		if _, _, err := d.reclaim(ctx, c); err != nil {
			return err
		}
		c.finish(exit)
	case err != nil || stateOf(now.status) == runtime.StateStopped:
		c.hasten() // who opens waits for it
		d.watch(ctx, c)
	default:
		c.state = stateOf(now.status)
		d.life.spawn(func(ctx context.Context) { d.watch(d.context(ctx), c) })
		d.life.spawn(func(ctx context.Context) { d.sweepExecs(d.context(ctx), c) })
	}
	return ctx.Err()
}

// stateAtLast is state for one who takes over: what the OCI runtime was asked for by an earlier driver, and hangs in, is ended,
// and after that what runs the task.
func (d *Driver) stateAtLast(ctx context.Context, c *container) (taskState, error) {
	now, err := d.state(ctx, c)
	if !isUnknown(err) || ctx.Err() != nil {
		return now, err
	}
	if err := d.endCalls(ctx, c.target(), false); err != nil {
		d.logger.Error("end the OCI runtime", "container", c.id, "error", err)
	}
	now, err = d.state(ctx, c)
	if !isUnknown(err) || ctx.Err() != nil {
		return now, err
	}
	d.logger.Warn("what runs a container does not answer and is ended", "container", c.id, "error", err)
	return now, errors.Join(err, d.tasks.abandon(c.target()))
}

// isUnknown reports whether an error of state says neither that there is no such task nor that what ran it is gone.
func isUnknown(err error) bool {
	return err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err)
}

// destroyHalfMade removes a container whose making was cut off. A request of the earlier driver may only now reach the
// shim, which then works in the directory that is being removed; so it is tried again.
func (d *Driver) destroyHalfMade(ctx context.Context, c *container, known bool) error {
	c.hasten()
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		var err error
		if known {
			_, _, err = d.reclaim(ctx, c)
		}
		if err == nil {
			err = d.destroyContainer(ctx, c)
		}
		if !inTheWay(err) || wait > 5*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}

// inTheWay reports whether something could not be removed because somebody works in it.
func inTheWay(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) }

// sweepTimeout bounds the removal of tasks that no record names, which is work for a daemon.
const sweepTimeout = 2 * time.Minute

// sweep removes what no record names.
func (d *Driver) sweep(ctx context.Context) error {
	known := func(id string) bool { return d.containers[id] != nil }
	short, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := d.tasks.sweep(short, known); err != nil {
		return err
	}
	if err := d.sweepProcesses(); err != nil {
		return err
	}
	groups, err := d.cgroups.List()
	if err != nil {
		return err
	}
	for _, name := range groups {
		if d.sandboxes[name] == nil {
			if err := d.sweepGroup(ctx, name); err != nil {
				return err
			}
		}
	}
	if err := d.sweepMounts(); err != nil {
		return err
	}
	if err := d.sweepRoots(); err != nil {
		return err
	}
	if err := d.sweepDirs(); err != nil {
		return err
	}
	if err := d.sweepSnapshots(ctx); err != nil {
		return err
	}
	return d.sweepTransfers(ctx)
}

// sweepGroup removes a cgroup, unless processes in uninterruptible I/O keep it: the next driver tries again.
func (d *Driver) sweepGroup(ctx context.Context, name string) error {
	short, cancel := context.WithTimeout(ctx, d.cfg.callPatience)
	defer cancel()
	err := d.cgroups.Remove(short, name)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		d.logger.Error("a cgroup that belongs to nothing stays", "cgroup", name, "error", err)
		return nil
	}
	return err
}

// sweepProcesses ends shims that were started but not noted, and first processes of PID namespaces that an earlier version
// did. Today's are found by their cgroups.
func (d *Driver) sweepProcesses() error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue
		}
		role, id, ours := d.role(line)
		if !ours {
			continue
		}
		file := map[string]string{shimName: shimFile, pauseName: pauseFile}[role]
		var noted process
		if _, err := readJSON(filepath.Join(d.sandboxDir(id), file), &noted); err != nil {
			return err
		}
		p, err := identify(pid)
		if err != nil || p == noted && d.sandboxes[id] != nil {
			continue
		}
		if err := p.kill(); err != nil {
			return err
		}
	}
	return nil
}

// pauseName begins the command line of the first process of a PID namespace that an earlier version started.
const pauseName = "fardel-pause"

// role reads the command line of a process.
func (d *Driver) role(cmdline []byte) (role, sandbox string, ours bool) {
	args := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
	if len(args) != 4 || args[0] != shimName && args[0] != pauseName || args[1] != d.namespace || args[3] != d.cfg.Dir {
		return "", "", false
	}
	return args[0], args[2], true
}

// sweepMounts unmounts what is mounted below our directory and belongs to no container.
func (d *Driver) sweepMounts() error {
	// The kernel's names have no links in them. What is not found here would be removed with the directory it is in.
	dir, err := filepath.EvalSymlinks(d.cfg.Dir)
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	mounts = slices.DeleteFunc(mounts, func(m *mountinfo.Info) bool { return d.ownsMount(dir, m.Mountpoint) })
	for _, m := range mounts {
		if err := ignoreAbsent(makePrivate(m.Mountpoint)); err != nil { // of a copy that was not private yet
			return err
		}
	}
	for _, m := range slices.Backward(mounts) { // the last one mounted is on top
		if err := mount.UnmountAll(m.Mountpoint, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
		}
	}
	return nil
}

// ownsMount reports whether what is mounted at a path is not to be swept. dir is Config.Dir as the kernel has it.
func (d *Driver) ownsMount(dir, path string) bool {
	for _, sub := range []string{"tmp/", "containers/", "sandboxes/"} {
		rest, ok := strings.CutPrefix(path, filepath.Join(dir, sub)+"/")
		if !ok {
			continue
		}
		id, _, _ := strings.Cut(rest, "/")
		return sub == "containers/" && d.containers[id] != nil || sub == "sandboxes/" && d.sandboxes[id] != nil
	}
	return true // the caller's: Config.Dir may be a mount point, or contain one
}

// sweepDirs removes directories of sandboxes without record, and what calls that were cut off had mounted something at.
func (d *Driver) sweepDirs() error {
	for _, parent := range []string{"sandboxes", "tmp"} {
		dir := filepath.Join(d.cfg.Dir, parent)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return ignoreAbsent(err)
		}
		for _, e := range entries {
			if parent == "sandboxes" && d.sandboxes[e.Name()] != nil {
				continue
			}
			if err := rmtree.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Driver) sweepSnapshots(ctx context.Context) error {
	used := map[string]bool{}
	for _, c := range d.containers {
		used[c.record.Snapshot] = true
	}
	sn := d.client.SnapshotService(d.snapshotter)
	var unused []string
	err := sn.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if info.Labels[ownerLabel] == d.cfg.Owner && info.Kind != snapshots.KindCommitted && !used[info.Name] {
			unused = append(unused, info.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range unused {
		if err := d.removeSnapshot(ctx, d.snapshotter, key); err != nil {
			return err
		}
	}
	return nil
}

// subdirs lists the directories in a directory, none if that does not exist.
func subdirs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
