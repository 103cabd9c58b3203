package fake

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// kept is what a machine knows of an image beside the image.
type kept struct {
	imported bool
	used     time.Time
	order    int // of the use, among those at one time
}

// touch notes that an image was used. The caller holds the lock.
func (m *Machine) touch(ref string) {
	if k := m.kept[ref]; k != nil {
		m.uses++
		k.used, k.order = time.Now(), m.uses
	}
}

// hold notes a hold of a driver. The caller holds the lock.
func (d *Driver) hold(m *Machine, holder, ref string) {
	if m.holds[d] == nil {
		m.holds[d] = map[string][]string{}
	}
	m.holds[d][holder] = append(m.holds[d][holder], ref)
}

// HoldImages implements [runtime.ImageCollector].
func (d *Driver) HoldImages(holder string, refs ...string) {
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	for _, ref := range refs {
		d.hold(d.machine, holder, ref)
	}
}

// ReleaseImages implements [runtime.ImageCollector].
func (d *Driver) ReleaseImages(holder string) {
	m := d.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range m.holds[d][holder] {
		if img := m.present(ref); img != nil {
			m.touch(img.config.Ref)
		}
	}
	delete(m.holds[d], holder)
}

// CollectImages implements [runtime.ImageCollector]. No two images share anything here.
func (d *Driver) CollectImages(ctx context.Context, limit runtime.ImageLimit) (runtime.ImageCollection, error) {
	var done runtime.ImageCollection
	err := d.do(ctx, "CollectImages", "", func(m *Machine) error {
		spared := m.inUse()
		var candidates []*image
		for ref, img := range m.refs {
			if m.kept[ref].imported {
				continue
			}
			done.Bytes += img.config.Size
			if !spared[ref] && time.Since(m.kept[ref].used) >= limit.MinAge {
				candidates = append(candidates, img)
			}
		}
		slices.SortFunc(candidates, func(a, b *image) int {
			return cmp.Compare(m.kept[a.config.Ref].order, m.kept[b.config.Ref].order)
		})
		for _, img := range candidates {
			if done.Bytes <= limit.MaxBytes {
				return nil
			}
			done.Bytes -= img.config.Size
			done.Removed = append(done.Removed, clone(img.config))
			delete(m.refs, img.config.Ref)
			delete(m.kept, img.config.Ref)
			maps.DeleteFunc(m.names, func(_ string, other *image) bool { return other.config.Ref == img.config.Ref })
		}
		return nil
	})
	return done, err
}

// inUse are the images that containers have or drivers hold, by Ref. The caller holds the lock.
func (m *Machine) inUse() map[string]bool {
	used := map[string]bool{}
	for _, c := range m.containers {
		used[c.image.config.Ref] = true
	}
	for _, holders := range m.holds {
		for _, refs := range holders {
			for _, ref := range refs {
				if img := m.present(ref); img != nil {
					used[img.config.Ref] = true
				}
			}
		}
	}
	return used
}
