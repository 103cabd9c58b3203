package bolt

import (
	"fmt"
	"runtime/debug"

	"github.com/fardel-io/fardel/scheduler/store"
)

// guard calls fn and makes an error of what bbolt does about a damaged file: it panics, or reads the mapped file where
// there is none (SIGBUS, when a disk cannot read a page or the file was truncated under us). A host program must not
// die of that.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &damage{what: p}
		}
	}()
	return fn()
}

// damage is what guard saved the process from. bbolt may hold its locks for ever after it.
type damage struct{ what any }

// Error implements error.
func (d *damage) Error() string { return fmt.Sprintf("%v: %v", store.ErrCorrupt, d.what) }

// Is reports whether target is [store.ErrCorrupt].
func (d *damage) Is(target error) bool { return target == store.ErrCorrupt }
