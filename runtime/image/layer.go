package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Layer is a set of files. Layers are stacked in an image: a file of a later one replaces that of an earlier one.
type Layer struct {
	// list returns the files. It is called once per image, in New.
	list func() ([]File, error)
}

// File is one file, directory or symbolic link of a layer.
type File struct {
	Name string      // absolute path in the image // required
	Mode fs.FileMode // permissions, and the type: fs.ModeDir, fs.ModeSymlink. 0 is a file that all may read
	UID  int
	GID  int
	Link string // target of a symbolic link

	// Content of a regular file: the first of these that is set. Without any it is empty.
	Content []byte
	Path    string                        // a file of this machine
	Open    func() (io.ReadCloser, error) // called twice; must give the same bytes
}

// Files is a layer of single files. Directories that they lie in are made, with mode 0755.
func Files(files ...File) Layer {
	return Layer{list: func() ([]File, error) { return files, nil }}
}

// Dir is a layer of everything in a directory of this machine, with its permissions and owned by root. Symbolic links
// are kept as they are; devices, sockets and pipes are an error.
func Dir(dir string) Layer {
	return Layer{list: func() ([]File, error) {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is not a directory: %w", dir, ErrInvalid)
		}
		return walk(os.DirFS(dir), dir)
	}}
}

// FS is a layer of everything in a file system, such as an embed.FS. Files of an embed.FS can be read by all and executed
// by none.
func FS(fsys fs.FS) Layer {
	return Layer{list: func() ([]File, error) { return walk(fsys, "") }}
}

func walk(fsys fs.FS, dir string) ([]File, error) {
	var files []File
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		f := File{Name: "/" + name, Mode: info.Mode()}
		switch info.Mode().Type() {
		case 0:
			f.Open = func() (io.ReadCloser, error) { return fsys.Open(name) }
		case fs.ModeDir:
		case fs.ModeSymlink:
			if f.Link, err = fs.ReadLink(fsys, name); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is %s, not a file, directory or symbolic link: %w", path.Join(dir, name), info.Mode(), ErrInvalid)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// resolve lists a layer's files, checked, with the directories that they need, sorted by name.
func (l Layer) resolve() ([]File, error) {
	if l.list == nil {
		return nil, nil
	}
	listed, err := l.list()
	if err != nil {
		return nil, err
	}
	byName := make(map[string]File, len(listed))
	for _, f := range listed {
		if !path.IsAbs(f.Name) || strings.ContainsRune(f.Name, 0) {
			return nil, fmt.Errorf("file %q: not an absolute path: %w", f.Name, ErrInvalid)
		}
		f.Name = path.Clean(f.Name)
		if f.Name == "/" {
			continue
		}
		if t := f.Mode.Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			return nil, fmt.Errorf("file %s: %s is not a file, directory or symbolic link: %w", f.Name, f.Mode, ErrInvalid)
		}
		if f.Mode == 0 {
			f.Mode = 0o644
		}
		if _, ok := byName[f.Name]; ok {
			return nil, fmt.Errorf("file %s is there twice: %w", f.Name, ErrInvalid)
		}
		byName[f.Name] = f
	}
	if err := addParents(byName); err != nil {
		return nil, err
	}
	files := make([]File, 0, len(byName))
	for _, f := range byName {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func addParents(byName map[string]File) error {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			parent, ok := byName[dir]
			if ok && !parent.Mode.IsDir() {
				return fmt.Errorf("file %s: %s is not a directory: %w", name, dir, ErrInvalid)
			}
			if !ok {
				byName[dir] = File{Name: dir, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	return nil
}

// write writes the layer's tar.
func write(w io.Writer, files []File) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		if err := f.write(tw); err != nil {
			return fmt.Errorf("file %s: %w", f.Name, err)
		}
	}
	return tw.Close()
}

func (f File) write(tw *tar.Writer) error {
	header := &tar.Header{
		Name: f.Name[1:], Mode: tarMode(f.Mode), Uid: f.UID, Gid: f.GID, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
	switch {
	case f.Mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		return tw.WriteHeader(header)
	case f.Mode.Type() == fs.ModeSymlink:
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
		return tw.WriteHeader(header)
	}
	content, size, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := tw.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(tw, content)
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && n != size {
		return fmt.Errorf("%w: it had %d bytes", ErrChanged, size)
	}
	return err
}

// open returns the content and its size, which a tar has in front.
func (f File) open() (io.ReadCloser, int64, error) {
	var content io.ReadCloser
	var err error
	switch {
	case f.Content != nil:
		return io.NopCloser(bytes.NewReader(f.Content)), int64(len(f.Content)), nil
	case f.Path != "":
		content, err = os.Open(f.Path)
	case f.Open != nil:
		content, err = f.Open()
	default:
		return io.NopCloser(strings.NewReader("")), 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if file, ok := content.(fs.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return content, info.Size(), nil
		}
	}
	all, err := io.ReadAll(content)
	if err := content.Close(); err != nil {
		return nil, 0, err
	}
	return io.NopCloser(bytes.NewReader(all)), int64(len(all)), err
}

// tarMode is the permissions with the set-ID and sticky bits where tar has them.
func tarMode(m fs.FileMode) int64 {
	mode := int64(m.Perm())
	for _, bit := range []struct {
		is  fs.FileMode
		tar int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&bit.is != 0 {
			mode |= bit.tar
		}
	}
	return mode
}
