package fake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	ociimage "github.com/fardel-io/fardel/runtime/image"
)

// image is an image with its full configuration. It does not change.
type image struct {
	Image
	config runtime.Image
}

// defaultSize is that of an image whose configuration has none, in bytes.
const defaultSize = 1 << 20

func newImage(name runtime.ImageName, img Image) *image {
	c := img.Config
	if len(c.Entrypoint)+len(c.Command) == 0 && img.Main != nil {
		c.Command = []string{"main"}
	}
	if c.Platform == "" {
		c.Platform = "linux/" + goruntime.GOARCH
	}
	if c.Size == 0 {
		c.Size = defaultSize
	}
	c.Name, c.Ref, c.Digest = name.String(), "", ""
	// Functions have no digest; the name stands in for them. Encoding plain data cannot fail.
	identity, _ := json.Marshal(c)
	c.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(identity))
	if name.Digest != "" {
		c.Digest = name.Digest
	}
	c.Ref = name.Pinned(c.Digest)
	return &image{Image: img, config: c}
}

// program finds what runs a command.
func (i *image) program(command string, otherwise Program) Program {
	if p, ok := i.Programs[command]; ok {
		return p
	}
	return otherwise
}

// checkUser wants names that the image knows and numbers that a kernel takes.
func (i *image) checkUser(user string) error {
	name, group, hasGroup := strings.Cut(user, ":")
	if !known(name, i.Users) || hasGroup && (group == "" || !known(group, i.Groups)) {
		return fmt.Errorf("user %q is not in image %s: %w", user, i.config.Name, runtime.ErrInvalid)
	}
	return nil
}

func known(name string, names []string) bool {
	n, err := strconv.ParseInt(name, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return err == nil && n >= 0 && n <= math.MaxInt32
	}
	return name == "" || name == "root" || names == nil || slices.Contains(names, name)
}

// present finds an image of the machine by Ref or by name. The caller holds the lock.
func (m *Machine) present(ref string) *image {
	if img := m.refs[ref]; img != nil {
		return img
	}
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return nil
	}
	if name.Digest != "" {
		return m.refs[name.Pinned(name.Digest)]
	}
	return m.names[name.String()]
}

// add makes an image present. The caller holds the lock.
func (m *Machine) add(img *image, imported bool) {
	if m.kept[img.config.Ref] == nil || m.refs[img.config.Ref] != img {
		m.kept[img.config.Ref] = &kept{imported: imported}
	}
	m.touch(img.config.Ref)
	m.refs[img.config.Ref] = img
	m.names[img.config.Name] = img
}

// Pull implements [runtime.Driver]. A tag that was moved by [Driver.AddImage] is pulled again, as the registry is here.
func (d *Driver) Pull(ctx context.Context, spec runtime.ImageSpec) (runtime.Image, error) {
	var config runtime.Image
	cached := false
	err := d.do(ctx, "Pull", spec.Ref, func(m *Machine) error {
		name, err := runtime.ParseImageName(spec.Ref)
		if err != nil {
			return err
		}
		img := m.present(spec.Ref)
		if !spec.Offline {
			img = m.pull(name, d.cfg.AnyImage)
		}
		if img == nil {
			return fmt.Errorf("image %s: %w", spec.Ref, runtime.ErrImageNotFound)
		}
		if spec.Platform != "" && spec.Platform != img.config.Platform {
			return fmt.Errorf("image %s is for %s, not %s: %w", spec.Ref, img.config.Platform, spec.Platform, runtime.ErrImagePlatform)
		}
		cached = m.refs[img.config.Ref] == img
		m.add(img, false)
		if spec.Holder != "" {
			d.hold(m, spec.Holder, img.config.Ref)
		}
		config = clone(img.config)
		return nil
	})
	if err != nil {
		return runtime.Image{}, err
	}
	if spec.Progress != nil {
		spec.Progress(runtime.PullProgress{
			Ref: config.Ref, Done: config.Size, Total: config.Size, Layers: 1, LayersDone: 1, Cached: cached,
		})
	}
	return config, nil
}

// pull finds an image in the registry, or one that was imported. The caller holds the lock.
func (m *Machine) pull(name runtime.ImageName, anyImage *Image) *image {
	if name.Digest != "" {
		ref := name.Pinned(name.Digest)
		if img := m.refs[ref]; img != nil {
			return img
		}
		for _, img := range m.registry {
			if img.config.Ref == ref {
				return img
			}
		}
	} else if img := cmp.Or(m.registry[name.String()], m.names[name.String()]); img != nil {
		return img
	}
	if anyImage == nil {
		return nil
	}
	return newImage(name, *anyImage)
}

// clone copies what a caller could change.
func clone(c runtime.Image) runtime.Image {
	c.Entrypoint, c.Command, c.Env = slices.Clone(c.Entrypoint), slices.Clone(c.Command), slices.Clone(c.Env)
	c.Volumes, c.ExposedPorts = slices.Clone(c.Volumes), slices.Clone(c.ExposedPorts)
	return c
}

// ImportImage implements [runtime.ImageStore]. An imported image has the programs of Config.AnyImage, as an archive has
// no Go functions.
func (d *Driver) ImportImage(ctx context.Context, ref string, archive io.Reader) ([]runtime.Image, error) {
	found, err := ociimage.Inspect(archive)
	if errors.Is(err, ociimage.ErrCorrupt) {
		err = fmt.Errorf("import image %s: %w: %w", ref, runtime.ErrImageCorrupt, err)
	}
	var imported []runtime.Image
	derr := d.do(ctx, "ImportImage", ref, func(m *Machine) error {
		if err != nil {
			return err
		}
		for _, config := range found {
			name, err := runtime.ParseImageName(cmp.Or(config.Name, ref))
			if err != nil {
				return err
			}
			img := Image{}
			if d.cfg.AnyImage != nil {
				img = *d.cfg.AnyImage
			}
			img.Config = config
			record := newImage(name, img)
			record.config.Digest, record.config.Ref = config.Digest, name.Pinned(config.Digest)
			m.add(record, true)
			imported = append(imported, clone(record.config))
		}
		return nil
	})
	return imported, derr
}

// Images implements [runtime.ImageStore]. It sorts by name.
func (d *Driver) Images(ctx context.Context) ([]runtime.Image, error) {
	var list []runtime.Image
	err := d.do(ctx, "Images", "", func(m *Machine) error {
		for _, img := range m.names {
			list = append(list, clone(img.config))
		}
		return nil
	})
	slices.SortFunc(list, func(a, b runtime.Image) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

// RemoveImage implements [runtime.ImageStore].
func (d *Driver) RemoveImage(ctx context.Context, ref string) error {
	return d.do(ctx, "RemoveImage", ref, func(m *Machine) error {
		img := m.present(ref)
		if img == nil {
			return nil
		}
		name, err := runtime.ParseImageName(ref)
		if err != nil {
			return err
		}
		for key, other := range m.names {
			if other == img && (name.Digest != "" || key == name.String()) {
				delete(m.names, key)
			}
		}
		for _, other := range m.names {
			if other.config.Ref == img.config.Ref {
				return nil // another tag still names it
			}
		}
		delete(m.refs, img.config.Ref)
		delete(m.kept, img.config.Ref)
		return nil
	})
}
