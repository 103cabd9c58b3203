package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	goruntime "runtime"
	"slices"
	"strings"
)

// FromExecutable makes an image of a program of this machine, which gets the place /bin/<name> and is the entry point
// unless cfg has one. A dynamically linked program brings the loader and the shared libraries that it names; what it
// loads by itself at run time it does not. The image has [Base] below the program and layers above it.
func FromExecutable(file string, cfg Config, layers ...Layer) (*Image, error) {
	return fromExecutable(executable{path: file, name: path.Base(file)}, cfg, layers)
}

// Self makes an image of the running program, see [FromExecutable]: a program can run itself in a container, in another
// role that its arguments name.
func Self(cfg Config, layers ...Layer) (*Image, error) {
	name, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := name
	if goruntime.GOOS == "linux" {
		file = "/proc/self/exe" // also when the file was replaced or removed since
	}
	return fromExecutable(executable{path: file, name: path.Base(strings.TrimSuffix(name, " (deleted)"))}, cfg, layers)
}

// executable is a program and what it is called in the image.
type executable struct{ path, name string }

func fromExecutable(e executable, cfg Config, layers []Layer) (*Image, error) {
	target := "/bin/" + e.name
	files, arch, err := programFiles(e.path, target)
	if err != nil {
		return nil, err
	}
	if cfg.Architecture == "" {
		cfg.Architecture = arch
	}
	if len(cfg.Entrypoint) == 0 {
		cfg.Entrypoint = []string{target}
	}
	return New(cfg, slices.Concat([]Layer{Base(), Files(files...)}, layers)...)
}

// Program is a layer of one program of this machine at a path in the image, with its loader and shared libraries if it
// is dynamically linked.
func Program(file, target string) Layer {
	return Layer{list: func() ([]File, error) {
		files, _, err := programFiles(file, target)
		return files, err
	}}
}

// architectures are Go's names of the machines that ELF has numbers for.
var architectures = map[elf.Machine]string{
	elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_386: "386", elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64",
	elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
}

func programFiles(file, target string) (files []File, arch string, err error) {
	f, err := elf.Open(file)
	if _, isFormat := errors.AsType[*elf.FormatError](err); isFormat || errors.Is(err, io.EOF) {
		return nil, "", fmt.Errorf("%s is not a Linux program: %w: %w", file, err, ErrInvalid)
	}
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	arch, ok := architectures[f.Machine]
	if !ok {
		return nil, "", fmt.Errorf("%s is for %s: %w", file, f.Machine, ErrInvalid)
	}
	files = []File{{Name: target, Path: file, Mode: 0o755}}
	interp, err := interpreter(f)
	if err != nil || interp == "" {
		return files, arch, err
	}
	files = append(files, File{Name: interp, Path: interp, Mode: 0o755})
	l := &linker{root: os.DirFS("/"), machine: f.Machine, class: f.Class, found: map[string]bool{path.Base(interp): true}}
	if err := l.add(f, file, target); err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	return append(files, l.files...), arch, nil
}

// interpreter is the dynamic loader that a program names, "" for a static one.
func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, min(p.Filesz, 4096))
		if _, err := io.ReadFull(p.Open(), name); err != nil {
			return "", err
		}
		return strings.TrimRight(string(name), "\x00"), nil
	}
	return "", nil
}

// linker finds shared libraries as the dynamic loader would: in the run path of who needs them, then in the directories
// of /etc/ld.so.conf, then in the loader's own. It does not read LD_LIBRARY_PATH, which a container would not have.
type linker struct {
	root    fs.FS
	machine elf.Machine
	class   elf.Class
	dirs    []string // nil until first needed
	found   map[string]bool
	files   []File
	cached  bool // /etc/ld.so.cache is among the files
}

// ldCache tells the loader where libraries are that lie in none of its own directories.
const ldCache = "/etc/ld.so.cache"

// ownDirs are where loaders look without being told. Debian's look in a directory per architecture, too.
var ownDirs = []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"}

// add adds what a program or library needs. hostPath is where it is here, imagePath where in the image.
func (l *linker) add(f *elf.File, hostPath, imagePath string) error {
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range needed {
		if l.found[name] {
			continue
		}
		l.found[name] = true
		host, target, err := l.find(f, name, path.Dir(hostPath), path.Dir(imagePath))
		if err != nil {
			return err
		}
		l.files = append(l.files, File{Name: target, Path: host, Mode: 0o755})
		library, err := elf.Open(host)
		if err != nil {
			return err
		}
		err = l.add(library, host, target)
		library.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
	}
	return nil
}

func (l *linker) find(f *elf.File, name, hostOrigin, imageOrigin string) (host, target string, err error) {
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		values, err := f.DynString(tag)
		if err != nil {
			return "", "", err
		}
		for dir := range strings.SplitSeq(strings.Join(values, ":"), ":") {
			here, there := origin(dir, hostOrigin), origin(dir, imageOrigin)
			if path.IsAbs(here) && l.fits(path.Join(here, name)) {
				return path.Join(here, name), path.Join(there, name), nil
			}
		}
	}
	if l.dirs == nil {
		l.dirs = append(configuredDirs(l.root, "etc/ld.so.conf", 0), ownDirs...)
	}
	for _, dir := range l.dirs {
		if file := path.Join(dir, name); l.fits(file) {
			l.cache(dir)
			return file, file, nil
		}
	}
	return "", "", fmt.Errorf("shared library %s is in none of %s: %w", name, strings.Join(l.dirs, ", "), fs.ErrNotExist)
}

// cache brings the loader's cache along for a directory that it would not look into by itself.
func (l *linker) cache(dir string) {
	own := slices.ContainsFunc(ownDirs, func(d string) bool {
		return dir == d || path.Dir(dir) == d && strings.Contains(path.Base(dir), "-linux-")
	})
	if own || l.cached {
		return
	}
	if info, err := fs.Stat(l.root, ldCache[1:]); err == nil && info.Mode().IsRegular() {
		l.files, l.cached = append(l.files, File{Name: ldCache, Path: ldCache}), true
	}
}

func origin(dir, at string) string {
	return strings.NewReplacer("$ORIGIN", at, "${ORIGIN}", at).Replace(dir)
}

// fits reports whether there is a library for the program's machine; systems with two have both in the search path.
func (l *linker) fits(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Machine == l.machine && f.Class == l.class
}

// configuredDirs reads a file of directories, one a line, and those it includes.
func configuredDirs(root fs.FS, name string, depth int) []string {
	content, err := fs.ReadFile(root, name)
	if err != nil || depth > 4 { // a file that includes itself
		return nil
	}
	var dirs []string
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "include":
			pattern := fields[1]
			if !path.IsAbs(pattern) {
				pattern = path.Join("/", path.Dir(name), pattern)
			}
			included, _ := fs.Glob(root, strings.TrimPrefix(pattern, "/")) // a bad pattern includes nothing, as with ldconfig
			for _, file := range included {
				dirs = append(dirs, configuredDirs(root, file, depth+1)...)
			}
		case len(fields) == 1 && path.IsAbs(fields[0]):
			dirs = append(dirs, fields[0])
		}
	}
	return dirs
}
