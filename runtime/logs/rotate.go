package logs

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// rotated is a file of lines that begins anew when it has reached a size. Those before it have the names path.1, path.2 and
// so on, as with Docker; with compress they are gzipped and end in .gz.
type rotated struct {
	path     string
	maxSize  int64
	maxFiles int // with the one that is written to
	compress bool

	file *os.File
	size int64
	buf  []byte
}

// openRotated opens a file for appending. Half a line at its end, of a process that was killed, is cut off.
func openRotated(path string, maxSize int64, maxFiles int, compress bool) (*rotated, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	r := &rotated{path: path, maxSize: maxSize, maxFiles: maxFiles, compress: compress}
	if err := r.open(); err != nil {
		return nil, err
	}
	if err := r.trim(); err != nil {
		return nil, errors.Join(err, r.file.Close())
	}
	return r, nil
}

func (r *rotated) open() error {
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.size = f, info.Size()
	return nil
}

// trim cuts off what comes after the last newline.
func (r *rotated) trim() error {
	const step = 64 << 10
	for end := r.size; end > 0; {
		start := max(0, end-step)
		block := make([]byte, end-start)
		if _, err := r.file.ReadAt(block, start); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			r.size = start + int64(i) + 1
			return r.file.Truncate(r.size)
		}
		end = start
	}
	r.size = 0
	return r.file.Truncate(0)
}

// write takes a line, with its newline. It is in the file after flush.
func (r *rotated) write(line []byte) error {
	if have := r.size + int64(len(r.buf)); have > 0 && have+int64(len(line)) > r.maxSize {
		if err := r.flush(); err != nil {
			return err
		}
		if err := r.rotate(); err != nil {
			return fmt.Errorf("rotate %s: %w", r.path, err)
		}
	}
	r.buf = append(r.buf, line...)
	if len(r.buf) >= 64<<10 {
		return r.flush()
	}
	return nil
}

func (r *rotated) flush() error {
	if len(r.buf) == 0 {
		return nil
	}
	n, err := r.file.Write(r.buf)
	if err != nil {
		return errors.Join(err, r.file.Truncate(r.size)) // all or nothing, or a retry would leave half a line in between
	}
	r.size += int64(n)
	r.buf = r.buf[:0]
	return nil
}

// name is that of the i-th file before the one that is written to.
func (r *rotated) name(i int) string {
	name := r.path + "." + strconv.Itoa(i)
	if r.compress {
		name += ".gz"
	}
	return name
}

func (r *rotated) rotate() error {
	if r.maxFiles <= 1 {
		r.size = 0
		return r.file.Truncate(0)
	}
	if err := os.Remove(r.name(r.maxFiles - 1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i := r.maxFiles - 2; i >= 1; i-- {
		if err := os.Rename(r.name(i), r.name(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := r.retire(); err != nil {
		return err
	}
	if err := r.file.Close(); err != nil {
		return err
	}
	return r.open()
}

// retire makes the file that is written to the first of the old ones.
func (r *rotated) retire() error {
	if !r.compress {
		return os.Rename(r.path, r.name(1))
	}
	tmp := r.path + ".tmp"
	if err := compressFile(tmp, r.file); err != nil {
		return err
	}
	if err := os.Rename(tmp, r.name(1)); err != nil {
		return err
	}
	return os.Remove(r.path)
}

func compressFile(path string, from *os.File) (err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	zip := gzip.NewWriter(out)
	if _, err := io.Copy(zip, io.NewSectionReader(from, 0, 1<<62)); err != nil {
		return err
	}
	return zip.Close()
}

func (r *rotated) close() error { return r.file.Close() }

// removeRotated deletes a file and those before it. No error if there is none.
func removeRotated(path string) error {
	names, err := filepath.Glob(escapeGlob(path) + ".*")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range append(names, path) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// escapeGlob makes a path a pattern that matches it alone.
func escapeGlob(path string) string {
	var b []byte
	for i := range len(path) {
		if bytes.IndexByte([]byte(`*?[\`), path[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}
