package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Remove ends every process in a group and in those below it and removes them in all hierarchies. The kernel refuses
// while processes are on their way out, so it tries until ctx ends. No error if there is no such group.
func (t *Tree) Remove(ctx context.Context, name string) error {
	if !filepath.IsLocal(name) || filepath.Clean(name) == "." {
		return fmt.Errorf("cgroup: %q is not below the parent", name)
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := t.Kill(ctx, name)
		for _, dir := range t.dirs(name) {
			err = errors.Join(err, removeTree(dir))
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}

// AddProcess moves a process into a group of its own below name, in the hierarchies where name exists.
func (t *Tree) AddProcess(name, child string, pid int) error {
	for _, dir := range t.dirs(name) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		dir = filepath.Join(dir, child)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := writeAll([]setting{{dir, "cgroup.procs", strconv.Itoa(pid)}}); err != nil {
			return err
		}
	}
	return nil
}

// OpenProcesses opens the files through which a process enters a group of its own below name, by writing "0" to each of
// them: it is then never outside of it, if it does so before anything else. Those that were opened are returned with an
// error, too.
func (t *Tree) OpenProcesses(name, child string) ([]*os.File, error) {
	var files []*os.File
	for _, dir := range t.dirs(name) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		dir = filepath.Join(dir, child)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return files, err
		}
		f, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

// removeTree removes a group and those below it.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		if gone(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(dirs) { // children come after their parents
		if err := syscall.Rmdir(d); err != nil && !gone(err) {
			return &fs.PathError{Op: "rmdir", Path: d, Err: err}
		}
	}
	return nil
}

// gone reports whether a group was removed meanwhile: its files then answer with ENODEV.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}
