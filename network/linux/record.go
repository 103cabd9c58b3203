package linux

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fardel-io/fardel/network"
)

// record is what is kept on disk of an ENI that is completely attached, one file each. It is written last and renamed
// first when the ENI goes, so a file named .json vouches for the rest. The kernel forgets everything when the machine
// stops, so a record is not worth a sync: one that cannot be read counts as missing.
type record struct {
	Version    int                `json:"version"`
	VPC        string             `json:"vpcId"`
	ENI        network.ENI        `json:"networkInterface"`
	Attachment network.Attachment `json:"attachment"`
	FirstID    uint32             `json:"firstId,omitempty"` // of the user namespace that the network namespace belongs to; 0 is the machine's
}

const (
	recordVersion = 1
	recordSuffix  = ".json"
	goneSuffix    = ".gone" // an ENI whose removal has begun
	draftSuffix   = ".new"
	spareSuffix   = ".spare" // nobody's; what it says means nothing
)

// spareMost is how many files are kept for the next ENIs when theirs are gone. A new file costs ext4 more the more were
// removed in the last minute, up to a millisecond: it does not give their inodes away again, and looks at each.
const spareMost = 256

// recordFiles are the records of a directory.
type recordFiles struct {
	dir string

	mu     sync.Mutex
	spares []string // IDs that files of spareSuffix have
}

// create writes the record of an ENI that has none. A crash leaves a part of it, which counts as none.
func (r *recordFiles) create(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, rec.ENI.ID+recordSuffix)
	if spare, ok := r.spare(); ok {
		if err := overwrite(spare, data); err == nil {
			return os.Rename(spare, path)
		}
		_ = os.Remove(spare)
	}
	return os.WriteFile(path, data, 0o600)
}

// overwrite replaces what a file says. It is never empty, for what is written to a file that was emptied goes to the
// disk when it is closed.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Truncate(int64(len(data))), f.Close())
}

// spare returns the path of a file that is nobody's any more.
func (r *recordFiles) spare() (path string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.spares) - 1
	if last < 0 {
		return "", false
	}
	path = filepath.Join(r.dir, r.spares[last]+spareSuffix)
	r.spares = r.spares[:last]
	return path, true
}

// keep makes a file that is to go a spare one, if there are few of them.
func (r *recordFiles) keep(path, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spares) >= spareMost || slices.Contains(r.spares, id) {
		return removeFile(path)
	}
	err := os.Rename(path, filepath.Join(r.dir, id+spareSuffix))
	if err == nil {
		r.spares = append(r.spares, id)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// clear removes the spare files.
func (r *recordFiles) clear() error {
	var errs []error
	for path, ok := r.spare(); ok; path, ok = r.spare() {
		errs = append(errs, removeFile(path))
	}
	return errors.Join(errs...)
}

// replace writes the record of an ENI that may have one. A crash leaves the old one or the new one.
func (r *recordFiles) replace(rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir, rec.ENI.ID)
	if err := os.WriteFile(path+draftSuffix, data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+draftSuffix, path+recordSuffix)
}

// bury notes that an ENI's removal has begun.
func (r *recordFiles) bury(id string) error {
	path := filepath.Join(r.dir, id)
	err := os.Rename(path+recordSuffix, path+goneSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forget removes all files of an ENI whose removal is complete.
func (r *recordFiles) forget(id string) error {
	path := filepath.Join(r.dir, id)
	return errors.Join(removeFile(path+recordSuffix), r.keep(path+goneSuffix, id), removeFile(path+draftSuffix))
}

// read returns the records of attached ENIs and the IDs of those that are on their way out or in, and finds spare files.
func (r *recordFiles) read() (attached map[string]record, partial map[string]bool, err error) {
	attached, partial = map[string]record{}, map[string]bool{}
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return attached, partial, nil
	}
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spares = nil
	for _, entry := range entries {
		id, suffix, _ := strings.Cut(entry.Name(), ".")
		switch suffix = "." + suffix; suffix {
		case recordSuffix:
		case spareSuffix:
			r.spares = append(r.spares, id)
			continue
		default:
			partial[id] = true
			continue
		}
		data, err := os.ReadFile(filepath.Join(r.dir, entry.Name()))
		if err != nil {
			return nil, nil, err
		}
		var rec record
		if json.Unmarshal(data, &rec) != nil || rec.Version != recordVersion || rec.ENI.ID != id {
			partial[id] = true
			continue
		}
		attached[id] = rec
	}
	return attached, partial, nil
}

// removeFile removes a file that may be missing.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
