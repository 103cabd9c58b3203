package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/task"
)

// Directory is a [Provider] that keeps every volume in a directory of its own below Dir:
//
//	efs/<file system>/…          with the rootDirectory, which is made if it is missing
//	efs-access-points/<id>       of file systems that are used through an access point
//	fsx/<file system>/…          as for EFS; s3files/<ARN, escaped>/…  too
//	docker/<name>                dockerVolumeConfiguration with scope shared
//	ebs/<task>-<name>            removed with the task unless its terminationPolicy says otherwise
//
// Encryption, IAM settings, throughput and the size of EBS volumes are accepted and have no effect; snapshots and volume
// drivers other than local are refused.
type Directory struct {
	Dir string // absolute; made with mode 0700 if it is missing // required
}

var _ Provider = Directory{}

// Supports implements [Provider].
func (d Directory) Supports(v task.Volume) error {
	if !filepath.IsAbs(d.Dir) {
		return fmt.Errorf("%w: volumes.Directory.Dir %q is not an absolute path", ErrUnsupported, d.Dir)
	}
	if c := v.DockerVolumeConfiguration; v.Kind() == task.VolumeDocker {
		switch {
		case c.Driver != "" && c.Driver != "local":
			return fmt.Errorf("%w: volume driver %q", ErrUnsupported, c.Driver)
		case len(c.DriverOpts) > 0:
			return fmt.Errorf("%w: driverOpts", ErrUnsupported)
		}
	}
	_, err := d.place(Request{TaskARN: "task/x", Volume: v})
	return err
}

// place is where a volume is.
type place struct {
	name string // of its directory below Dir
	path string // in it
	keep bool   // it must be there already
}

func (d Directory) place(r Request) (place, error) {
	v := r.Volume
	switch v.Kind() {
	case task.VolumeEFS:
		c := v.EFSVolumeConfiguration
		if a := c.AuthorizationConfig; a != nil && a.AccessPointID != "" {
			return inside("efs-access-points", a.AccessPointID, "/")
		}
		return inside("efs", c.FileSystemID, c.RootDirectory)
	case task.VolumeFSx:
		c := v.FSxWindowsFileServerVolumeConfiguration
		return inside("fsx", c.FileSystemID, strings.ReplaceAll(c.RootDirectory, `\`, "/"))
	case task.VolumeS3Files:
		c := v.S3FilesVolumeConfiguration
		return inside("s3files", c.FileSystemARN, c.RootDirectory)
	case task.VolumeDocker:
		p, err := inside("docker", v.Name, "/")
		p.keep = !v.DockerVolumeConfiguration.Autoprovision
		return p, err
	case task.VolumeConfiguredAtLaunch:
		return inside("ebs", path.Base(r.TaskARN)+"-"+v.Name, "/")
	case task.VolumeHost:
	}
	return place{}, fmt.Errorf("%w: volume %s of kind %s", ErrUnsupported, v.Name, v.Kind())
}

// inside makes a place of an ID that comes from a task definition.
func inside(kind, id, dir string) (place, error) {
	name := url.PathEscape(id)
	if name == "" || strings.HasPrefix(name, ".") || len(name) > 255 {
		return place{}, fmt.Errorf("%w: %q cannot be the name of a directory", ErrUnsupported, id)
	}
	return place{name: filepath.Join(kind, name), path: path.Clean("/" + dir)}, nil
}

// Mount implements [Provider].
func (d Directory) Mount(_ context.Context, r Request) (Storage, error) {
	if err := d.Supports(r.Volume); err != nil {
		return Storage{}, err
	}
	if c := r.Configuration; c != nil && c.ManagedEBSVolume != nil && c.ManagedEBSVolume.SnapshotID != "" {
		return Storage{}, fmt.Errorf("volume %s: %w: snapshot %s", r.Volume.Name, ErrUnsupported, c.ManagedEBSVolume.SnapshotID)
	}
	p, err := d.place(r)
	if err != nil {
		return Storage{}, err
	}
	top := filepath.Join(d.Dir, p.name)
	if err := os.MkdirAll(filepath.Dir(top), 0o700); err != nil {
		return Storage{}, fmt.Errorf("volume %s: %w", r.Volume.Name, err)
	}
	if p.keep {
		if info, err := os.Stat(top); err != nil || !info.IsDir() {
			return Storage{}, fmt.Errorf("volume %s: there is no shared volume of this name, and autoprovision is off: make %s", r.Volume.Name, top)
		}
	} else if err := makeDir(top); err != nil {
		return Storage{}, fmt.Errorf("volume %s: %w", r.Volume.Name, err)
	}
	if r.Volume.Kind() == task.VolumeDocker {
		return Storage{Path: top, Populate: true}, nil
	}
	if err := makeBelow(top, p.path); err != nil {
		return Storage{}, fmt.Errorf("volume %s: root directory %s: %w", r.Volume.Name, p.path, err)
	}
	return Storage{Root: top, Path: p.path}, nil
}

// makeDir makes a directory with mode 0755 whatever the umask, if there is none.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}

// makeBelow makes a directory in a volume, whose content tasks have written: no link of theirs is followed outside.
func makeBelow(top, dir string) error {
	if dir == "/" {
		return nil
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.MkdirAll(strings.TrimPrefix(dir, "/"), 0o755)
}

// Unmount implements [Provider].
func (d Directory) Unmount(_ context.Context, r Request) error {
	if r.Volume.Kind() != task.VolumeConfiguredAtLaunch || r.Configuration.Keeps() {
		return nil
	}
	p, err := d.place(r)
	if err != nil {
		return err
	}
	if err := rmtree.Remove(filepath.Join(d.Dir, p.name)); err != nil {
		return fmt.Errorf("volume %s: %w", r.Volume.Name, err)
	}
	return nil
}
