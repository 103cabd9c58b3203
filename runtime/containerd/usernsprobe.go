//go:build linux

package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/mount"

	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/runtime"
)

// featuresTimeout bounds the wait for an OCI runtime to say what it can.
const featuresTimeout = 10 * time.Second

// checkUserNS finds out by trying whether this machine can give sandboxes user namespaces, if it is to. binary is the OCI
// runtime.
func (d *Driver) checkUserNS(ctx context.Context, binary string) error {
	if d.cfg.UserNamespaces == nil {
		return nil
	}
	if d.isGVisor() {
		return &runtime.UnsupportedError{Feature: usernsFeature, Needs: "an OCI runtime other than " + gVisor + ", which has user namespaces of its own"}
	}
	if d.snapshotter != "overlayfs" {
		return needsOverlay()
	}
	if err := runtimeMaps(ctx, binary, d.cfg.Runtime); err != nil {
		return err
	}
	ns, err := userns.New(d.cfg.UserNamespaces.First)
	if err != nil {
		return &runtime.UnsupportedError{Feature: usernsFeature,
			Needs: fmt.Sprintf("user namespaces in the kernel, and a limit for them in /proc/sys/user/max_user_namespaces that is not reached: %v", err)}
	}
	defer ns.Close()
	return d.tryLayers(ns)
}

// runtimeMaps asks an OCI runtime whether it mounts with other owners: those that do not leave it out without a word.
func runtimeMaps(ctx context.Context, binary, name string) error {
	ctx, cancel := context.WithTimeout(ctx, featuresTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "features")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var f struct {
		Linux struct {
			MountExtensions struct {
				IDMap struct{ Enabled bool } `json:"idmap"`
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &f)
	}
	if err == nil && f.Linux.MountExtensions.IDMap.Enabled {
		return nil
	}
	needs := fmt.Sprintf("an OCI runtime with idmapped mounts, such as runc 1.2 or later; %s says it has none", name)
	if err != nil {
		needs = fmt.Sprintf("an OCI runtime with idmapped mounts, such as runc 1.2 or later; %s features: %v", name, err)
	}
	return &runtime.UnsupportedError{Feature: usernsFeature, Needs: needs}
}

// tryLayers mounts an overlay whose lower layer is idmapped, in Config.Dir.
func (d *Driver) tryLayers(ns *os.File) (err error) {
	dir, err := os.MkdirTemp(d.tempDir(), "userns-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, sub := range []string{"layers/1/fs", "upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	overlay := []mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"lowerdir=" + filepath.Join(dir, "layers/1/fs"), "upperdir=" + filepath.Join(dir, "upper"), "workdir=" + filepath.Join(dir, "work"),
	}}}
	mapped, release, err := d.mapLayers(ns, overlay)
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	err = mount.All(mapped, root)
	if err == nil {
		return errors.Join(release(), mount.UnmountAll(root, 0))
	}
	return errors.Join(&runtime.UnsupportedError{Feature: usernsFeature,
		Needs: fmt.Sprintf("overlayfs with idmapped layers, as Linux 5.19 and later have it: %v", err)}, release())
}
