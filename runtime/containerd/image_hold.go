//go:build linux

package containerd

import (
	"path/filepath"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

var (
	_ runtime.ImageCollector = (*Driver)(nil)
)

// imageUse is who uses the images of a driver, and when they were used last. The zero value is ready for use.
type imageUse struct {
	// gate is shared by those who find an image and hold it, and exclusive for who finds that nobody holds one and removes
	// it: between the two steps of either, the other does none.
	gate sync.RWMutex

	mu    sync.Mutex
	holds map[any]map[string]bool // names of records, by holder
	last  map[string]time.Time    // by name of record
	saved bool                    // last is what imageUseFile holds
}

// containerHolder holds the image of a container; strings are the holders of callers, and flights hold what they bring.
type containerHolder string

// imageUseFile keeps imageUse.last from one driver to the next. What the last minutes before a kill were is lost.
const imageUseFile = "images-used.json"

// HoldImages implements [runtime.ImageCollector].
func (d *Driver) HoldImages(holder string, refs ...string) {
	for _, ref := range refs {
		d.use.hold(holder, ref)
	}
}

// ReleaseImages implements [runtime.ImageCollector].
func (d *Driver) ReleaseImages(holder string) { d.use.release(holder) }

func (u *imageUse) hold(holder any, ref string) {
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.holds == nil {
		u.holds = map[any]map[string]bool{}
	}
	if u.holds[holder] == nil {
		u.holds[holder] = map[string]bool{}
	}
	u.holds[holder][recordName(name)] = true
	u.touch(recordName(name))
}

// release ends a hold; what was held has been used until now.
func (u *imageUse) release(holder any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.holds[holder] {
		u.touch(name)
	}
	delete(u.holds, holder)
}

func (u *imageUse) mark(ref string) {
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.touch(recordName(name))
}

// touch notes a use. The caller holds mu.
func (u *imageUse) touch(name string) {
	if u.last == nil {
		u.last = map[string]time.Time{}
	}
	u.last[name], u.saved = time.Now(), false
}

// held reports whether anybody holds one of the names.
func (u *imageUse) held(names []string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, held := range u.holds {
		for _, name := range names {
			if held[name] {
				return true
			}
		}
	}
	return false
}

// lastUse is the latest use of any of the names, or otherwise.
func (u *imageUse) lastUse(names []string, otherwise time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	latest := otherwise
	for _, name := range names {
		if at := u.last[name]; at.After(latest) {
			latest = at
		}
	}
	return latest
}

// load reads what the driver before knew.
func (u *imageUse) load(dir string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, err := readJSON(filepath.Join(dir, imageUseFile), &u.last)
	return err
}

// save writes down what is known, without what is not there any more if present is not nil.
func (u *imageUse) save(dir string, present map[string]bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for name := range u.last {
		if present != nil && !present[name] {
			delete(u.last, name)
			u.saved = false
		}
	}
	if u.saved || u.last == nil {
		return nil
	}
	if err := writeJSON(filepath.Join(dir, imageUseFile), u.last); err != nil {
		return err
	}
	u.saved = true
	return nil
}
