// Package rmtree removes directories that containers have written to.
package rmtree

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	maxDepth = 32   // directories in each other that are open at once
	batch    = 1024 // names that are read at once
)

// Remove removes what there is at a path, with all that is in it, as [os.RemoveAll] does: but with few open files, however
// many directories are in each other. A process may have fewer files open than a container can make directories in a second,
// and what cannot be removed is in the way for good. Nothing that is mounted below is emptied: that is an error.
func Remove(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		if err := removeContent(path); err != nil {
			return err
		}
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func removeContent(dir string) error {
	top, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer top.Close()
	return remover{top}.empty(top, ".", 0)
}

type remover struct{ top *os.Root }

// empty removes what is in a directory, whose path from the top is given.
func (r remover) empty(dir *os.Root, path string, depth int) error {
	for {
		names, err := someNames(dir)
		if len(names) == 0 {
			return err
		}
		for _, name := range names {
			if err := r.remove(dir, path, name, depth); err != nil {
				return err
			}
		}
	}
}

// remove removes a name from a directory. A directory that is too deep in others is moved to the top, where there is nothing
// left in the end.
func (r remover) remove(dir *os.Root, path, name string, depth int) error {
	err := dir.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) { // which a directory is that has something in it
		return err
	}
	if depth == maxDepth {
		return r.top.Rename(filepath.Join(path, name), ".fardel-"+rand.Text())
	}
	child, err := dir.OpenRoot(name)
	if err != nil {
		return err
	}
	defer child.Close()
	if err := r.empty(child, filepath.Join(path, name), depth+1); err != nil {
		return err
	}
	return dir.Remove(name)
}

func someNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(batch)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
