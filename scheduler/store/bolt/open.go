package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/fardel-io/fardel/scheduler/store"
)

// format is the format of the files that this package writes, and the newest it reads.
const format = 1

// The names of what is in a file.
const (
	headBucket  = "fardel"
	formatKey   = "format"
	revisionKey = "revision"
	entryBucket = "entries"
)

const (
	// pageSize is the same on every machine, so that a file can be carried to another.
	pageSize = 4096

	// mapped is how much of the file is mapped from the start. bbolt must wait for all views when it maps anew, and so
	// would updates. It is address space, not memory.
	mapped = 256 << 20

	// growth is how much a full file grows at a time; bbolt's own is 16 MiB.
	growth = 1 << 20
)

// Options are the options of [Open].
type Options struct {
	// LockTimeout is how long Open waits for another process to close the file; 0 means 1 s, which a process that is
	// being replaced needs to end.
	LockTimeout time.Duration
}

// Open opens the store in a file, and makes it if there is none. Its folder must exist.
//
// Errors match [store.ErrInUse] if another process (or this one) has the file open, and [store.ErrCorrupt] if the file
// is damaged. A file of something else, or of a later release, is refused and left as it is.
func Open(path string, o Options) (*Store, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("bolt: open %s: %w", path, err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("bolt: make %s: %w", path, err)
		}
	}
	s, err := openFile(path, o.LockTimeout)
	if err != nil {
		return nil, err
	}
	err = s.guard(func() error { return verify(s.db) })
	if err == nil {
		err = removeUnfinished(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// openFile opens and locks a file that exists.
func openFile(path string, timeout time.Duration) (*Store, error) {
	var file *os.File
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:         timeout,
			FreelistType:    bbolt.FreelistMapType,
			InitialMmapSize: mapped,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				var err error
				file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		return err
	})
	switch {
	case err == nil:
		db.AllocSize = growth
		return newStore(path, db, file), nil
	case errors.Is(err, store.ErrCorrupt):
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), abandon(file))
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("bolt: open %s: %w: another process has it open, or this one has it twice (waited %s)", path, store.ErrInUse, timeout)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("bolt: open %s: %w or not a bbolt file: %w", path, store.ErrCorrupt, err)
	}
	return nil, fmt.Errorf("bolt: open %s: %w", path, err)
}

// create makes an empty store at a path. If another process makes it at the same time one of the two files stays.
func create(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(f.Name(), 0o600, &bbolt.Options{PageSize: pageSize, Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		head, err := tx.CreateBucket([]byte(headBucket))
		if err != nil {
			return err
		}
		_, err = tx.CreateBucket([]byte(entryBucket))
		return errors.Join(err,
			head.Put([]byte(formatKey), strconv.AppendInt(nil, format, 10)),
			head.Put([]byte(revisionKey), make([]byte, 8)))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// A link does not replace a file that is there meanwhile, as a rename would.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) && !exists(path) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// syncFolder makes the names in a folder survive a crash of the machine.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeUnfinished removes what killed calls of create left. The caller has the lock of the file at path; a create that
// is under way has lost the race for its name already.
func removeUnfinished(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		// Not filepath.Glob: the path may hold its special characters.
		if prefix := filepath.Base(path) + ".new-"; len(e.Name()) > len(prefix) && e.Name()[:len(prefix)] == prefix {
			if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// verify reads the whole file.
func verify(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		info, err := os.Stat(db.Path())
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: the file has %d bytes of %d: it was cut off", store.ErrCorrupt, info.Size(), tx.Size())
		}
		head := tx.Bucket([]byte(headBucket))
		if head == nil {
			return errors.New("a bbolt file of something else")
		}
		version, err := strconv.Atoi(string(head.Get([]byte(formatKey))))
		switch {
		case err != nil || version < 1:
			return fmt.Errorf("%w: format %q", store.ErrCorrupt, head.Get([]byte(formatKey)))
		case version > format:
			return fmt.Errorf("format %d is of a later release; this program reads up to %d: use the later release, or another file", version, format)
		}
		if n := len(head.Get([]byte(revisionKey))); n != 8 {
			return fmt.Errorf("%w: the revision has %d bytes", store.ErrCorrupt, n)
		}
		return verifyEntries(tx, head)
	})
}

func verifyEntries(tx *bbolt.Tx, head *bbolt.Bucket) error {
	entries := tx.Bucket([]byte(entryBucket))
	if entries == nil {
		return fmt.Errorf("%w: no bucket %q", store.ErrCorrupt, entryBucket)
	}
	last := store.Revision(binary.BigEndian.Uint64(head.Get([]byte(revisionKey))))
	err := entries.ForEach(func(key, record []byte) error {
		e, err := decode(key, record)
		if err == nil && e.Revision > last {
			err = fmt.Errorf("%w: %q is of revision %d, the state of %d", store.ErrCorrupt, key, e.Revision, last)
		}
		return err
	})
	if err != nil {
		return err
	}
	// Only now: bbolt's check follows page numbers in a goroutine of its own, and would die of a wild one.
	var errs []error
	for err := range tx.Check() {
		errs = append(errs, fmt.Errorf("%w: %w", store.ErrCorrupt, err))
	}
	return errors.Join(errs...)
}
