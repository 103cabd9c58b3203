//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/mount"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/oci"
)

// CreateContainer implements [runtime.Driver].
func (d *Driver) CreateContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	if err := checkID("container", spec.ID); err != nil {
		return err
	}
	if spec.Log != "" && !filepath.IsAbs(spec.Log) {
		return fmt.Errorf("container %s: log %q is not an absolute path: %w", spec.ID, spec.Log, runtime.ErrInvalid)
	}
	ctx = d.context(ctx)
	c, err := d.enter(ctx, spec.ID, true)
	if err != nil {
		return err
	}
	if c.current() != "" {
		defer c.leave()
		if !sameSpec(c.record.Spec, spec) {
			return fmt.Errorf("container %s: %w", spec.ID, runtime.ErrExists)
		}
		return nil
	}
	err = d.operate(ctx, c, false, func(ctx context.Context) error {
		err := d.createIn(ctx, c, spec)
		if err == nil || errors.Is(context.Cause(ctx), runtime.ErrClosed) { // the next driver undoes it
			return err
		}
		undo, cancel := d.undoContext(ctx)
		defer cancel()
		if c.record.Spec.ID != "" {
			_, _, rerr := d.reclaim(undo, c)
			err = errors.Join(err, rerr)
		}
		return errors.Join(err, d.destroyContainer(undo, c))
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("create container %s: %w", spec.ID, ctx.Err())
	}
	return err
}

// createIn makes a container in its sandbox, which stays for that long.
func (d *Driver) createIn(ctx context.Context, c *container, spec runtime.ContainerSpec) error {
	c.makeIn(spec.SandboxID)
	d.mu.Lock()
	s := d.sandboxes[spec.SandboxID]
	d.mu.Unlock()
	if s == nil {
		return fmt.Errorf("container %s: sandbox %q: %w", spec.ID, spec.SandboxID, runtime.ErrNotFound)
	}
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("container %s: %w", spec.ID, err)
	}
	defer s.leave()
	img, err := d.holdForContainer(ctx, spec)
	if err != nil {
		return fmt.Errorf("container %s: %w", spec.ID, err)
	}
	signal, err := spec.StopSignalNumber(img.Image)
	if err != nil {
		return fmt.Errorf("container %s: %w", spec.ID, err)
	}
	public := spec
	public.SecretEnv = nil
	c.record = containerRecord{Spec: public, StopSignal: signal, Snapshot: "fardel-" + spec.ID, Snapshotter: d.snapshotter}
	if err := d.writeRecord(c); err != nil {
		return err
	}
	resolved, release, err := d.resolveMounts(ctx, s.spec, spec, img)
	if err != nil {
		return err
	}
	leave, err := d.enterProcesses(c.target())
	if err != nil {
		return errors.Join(fmt.Errorf("container %s: %w", spec.ID, err), release())
	}
	defer leave() // when it is known to be there
	pid, err := d.createTask(ctx, s, c, resolved, img, false)
	if err := errors.Join(err, release()); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(d.containerDir(spec.ID), createdFile), createdRecord{At: time.Now(), PID: pid}); err != nil {
		return err
	}
	c.mu.Lock()
	c.state, c.pid = runtime.StateCreated, pid
	c.mu.Unlock()
	d.life.spawn(func(ctx context.Context) { d.watch(d.context(ctx), c) })
	return nil
}

// holdForContainer finds the image of a container and holds it until the container is removed.
func (d *Driver) holdForContainer(ctx context.Context, spec runtime.ContainerSpec) (unpacked, error) {
	d.use.gate.RLock()
	defer d.use.gate.RUnlock()
	img, err := d.unpackedImage(ctx, spec.Image)
	if err == nil {
		d.use.hold(containerHolder(spec.ID), spec.Image)
		d.use.hold(containerHolder(spec.ID), img.Ref)
	}
	return img, err
}

// createTask has the OCI runtime make a container whose mounts are resolved, with the file system of its last run if it is
// made again.
func (d *Driver) createTask(ctx context.Context, s *sandbox, c *container, spec runtime.ContainerSpec, img unpacked, again bool) (pid int, err error) {
	creation, err := d.prepare(ctx, s, spec, img, again)
	if err != nil {
		return 0, err
	}
	release, err := d.settle(ctx, s, creation, img, again)
	if err != nil {
		return 0, fmt.Errorf("container %s: %w", c.id, err)
	}
	defer func() { err = errors.Join(err, release()) }()
	creation.snapshot, creation.snapshotter = c.record.Snapshot, c.record.Snapshotter
	err = d.call(ctx, call{target: c.target(), ends: true, soon: c.hurried}, func(ctx context.Context) (err error) {
		pid, err = d.tasks.create(ctx, c.target(), creation)
		return err
	})
	if err != nil {
		return 0, containerError("create", spec, creation.spec.Process, err)
	}
	if err := d.checkCreated(c.id, pid, creation.spec); err != nil {
		return 0, err
	}
	if err := d.denyDevices(c.target(), creation.spec); err != nil {
		return 0, err
	}
	if len(spec.SecretEnv) == 0 {
		return pid, nil
	}
	// The OCI runtime has read its configuration and does not need the values again.
	spec.SecretEnv = nil
	if creation.spec.Process.Env, err = spec.Environment(img.Image, spec.UTSHostname(s.spec)); err != nil {
		return 0, err
	}
	if err := d.tasks.conceal(ctx, c.target(), creation.spec); err != nil {
		return 0, fmt.Errorf("container %s: remove secrets from its configuration: %w", c.id, err)
	}
	return pid, nil
}

func (d *Driver) writeRecord(c *container) error {
	dir := d.containerDir(c.id)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, containerFile), c.record); err != nil {
		return err
	}
	log := c.record.Spec.Log
	if log == "" {
		return nil
	}
	if err := os.MkdirAll(log, 0o700); err != nil {
		return fmt.Errorf("container %s: log: %w", c.id, err)
	}
	if !c.record.Spec.LogOptions.Streams {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, apartFile), nil, 0o600)
}

// prepare makes the root file system and the OCI configuration, which need nothing of each other.
func (d *Driver) prepare(ctx context.Context, s *sandbox, spec runtime.ContainerSpec, img unpacked, again bool) (creation, error) {
	var mounts []mount.Mount
	var prepared, configured error
	c := creation{log: spec.Log, bounds: spec.LogOptions, terminal: spec.Terminal, stdin: spec.Stdin, image: spec.Image}
	split(
		func() {
			if again {
				mounts, prepared = d.sameRootfs(ctx, "fardel-"+spec.ID, img)
			} else {
				mounts, prepared = d.prepareRootfs(ctx, "fardel-"+spec.ID, img)
			}
			if prepared == nil && s.spec.Storage > 0 {
				mounts, prepared = d.onDisk(s.spec.ID, spec.ID, mounts, again)
			}
			if prepared == nil && s.ids != nil {
				mounts, prepared = nil, d.mountRootfs(s, spec.ID, mounts, again)
			}
		},
		func() {
			var o oci.Options
			if o, configured = d.ociOptions(ctx, s, spec, img); configured == nil {
				c.spec, configured = oci.Spec(spec, s.spec, img.Image, o)
			}
			if configured == nil && s.ids != nil {
				configured = d.inUserNS(s, spec, c.spec)
			}
		},
	)
	c.rootfs = mounts
	return c, errors.Join(configured, prepared)
}

func (d *Driver) ociOptions(ctx context.Context, s *sandbox, spec runtime.ContainerSpec, img unpacked) (oci.Options, error) {
	if err := d.CheckAppArmor(spec.AppArmorProfile); err != nil { // which would not start, with fewer words
		return oci.Options{}, fmt.Errorf("container %s: %w", spec.ID, err)
	}
	name := spec.User
	if name == "" {
		name = img.User
	}
	user, err := d.user(ctx, img, name)
	if err != nil {
		return oci.Options{}, fmt.Errorf("container %s: %w", spec.ID, err)
	}
	o := oci.Options{
		RootfsPath:       "rootfs",
		CgroupsPath:      d.cgroups.Path(spec.SandboxID, spec.ID),
		User:             user,
		CgroupV2:         d.cgroups.Unified(),
		NoSwapAccounting: !d.cgroups.SwapAccounting(),
		Limits:           d.limits,
		Throttling:       d.throttling,
		AppArmorProfile:  d.appArmor,
		Devices:          hostDevices,
	}
	if s.spec.SharePID {
		if !s.pause.alive() { // its number may be another process's
			return oci.Options{}, fmt.Errorf("container %s: the first process of its PID namespace has ended: %w", spec.ID, runtime.ErrNotRunning)
		}
		o.PIDNamespace = fmt.Sprintf("/proc/%d/ns/pid", s.pause.PID)
	}
	if spec.Init {
		if o.InitPath, err = findInit(); err != nil {
			return oci.Options{}, fmt.Errorf("container %s: %w", spec.ID, err)
		}
	}
	return o, nil
}

// initBinaries are the small init programs of distributions, Docker's and Podman's.
var initBinaries = []string{
	"/usr/bin/docker-init", "/usr/libexec/docker/docker-init", "/usr/bin/tini-static", "/usr/libexec/podman/catatonit", "/usr/bin/catatonit",
}

func findInit() (string, error) {
	for _, path := range initBinaries {
		if _, err := exec.LookPath(path); err == nil {
			return path, nil
		}
	}
	return "", &runtime.UnsupportedError{
		Feature: "initProcessEnabled",
		Needs:   "a static init program at " + initBinaries[0] + ", tini-static or catatonit: apt-get install tini",
	}
}
