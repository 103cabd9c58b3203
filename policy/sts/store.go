package sts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Store keeps the one document of a [Service], a few hundred bytes and some for every access key and revocation. It holds
// the key that all others come from: whoever reads it can make credentials of his own. One service at a time uses a store.
type Store interface {
	// Load returns what was saved last, nil if nothing ever was.
	Load() ([]byte, error)
	// Save replaces the document. When it returns without error the document survives a crash, and a crash meanwhile
	// leaves the old one or the new one. It does not keep data.
	Save(data []byte) error
}

// MemoryStore is a [Store] that ends with the process. The zero value is empty and ready to use.
type MemoryStore struct {
	mu   sync.Mutex // guards box
	box  *[]byte    // behind a pointer, so that printing the store shows an address
	lost error      // what Save returns, for tests of this package
}

// Load implements [Store].
func (m *MemoryStore) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.box == nil {
		return nil, nil
	}
	return slices.Clone(*m.box), nil
}

// Save implements [Store].
func (m *MemoryStore) Save(data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost != nil {
		return m.lost
	}
	data = slices.Clone(data)
	m.box = &data
	return nil
}

// FileStore is a [Store] in one file, which only its owner can read.
type FileStore struct {
	path string
	mu   sync.Mutex // one Save at a time
}

// NewFileStore returns the store in a file. The file and its directory need not be there: the first Save makes them, with
// modes 0600 and 0700. It touches nothing. The name with ".new" behind it is the store's, too.
func NewFileStore(path string) *FileStore { return &FileStore{path: path} }

// Load implements [Store]. It refuses a file that others than its owner can read or write.
func (f *FileStore) Load() ([]byte, error) {
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", f.path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s holds keys and has mode %04o: others may have read it; chmod 600 it, or delete it, which ends all credentials issued", f.path, info.Mode().Perm())
	}
	return os.ReadFile(f.path)
}

// Save implements [Store].
func (f *FileStore) Save(data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	next := f.path + ".new"
	// What a crash left there may have another mode, or be a link.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(next, data); err != nil {
		return err
	}
	if err := os.Rename(next, f.path); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeSynced makes a file whose content is on the disk.
func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncDir has the disk know a directory's names.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
