//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kernel is an unpacked kernel package.
type kernel struct {
	dir     string // has boot and lib/modules
	release string
}

// early are the modules without which the shared file system cannot be mounted; the others are found in it.
var early = []string{"virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"}

// findKernel finds the one kernel in a folder.
func findKernel(dir string) (kernel, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return kernel{}, err
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil {
		return kernel{}, err
	}
	if len(images) != 1 {
		return kernel{}, fmt.Errorf("%s has %d kernels, want one: run `make test-cgroup2`, which unpacks Debian's there", dir, len(images))
	}
	return kernel{dir, strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")}, nil
}

func (k kernel) image() string { return filepath.Join(k.dir, "boot", "vmlinuz-"+k.release) }

func (k kernel) modules() string { return filepath.Join(k.dir, "lib", "modules", k.release) }

// earlyModules returns the files of the early modules, each after those that it depends on.
func (k kernel) earlyModules() ([]string, error) {
	f, err := os.Open(filepath.Join(k.modules(), "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("%w: run depmod -b %s %s", err, k.dir, k.release)
	}
	defer f.Close()
	deps := map[string][]string{} // file to files; modules.dep has all that it needs, nearest first
	files := map[string]string{}  // name to file
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		file, needs, _ := strings.Cut(lines.Text(), ":")
		deps[file] = strings.Fields(needs)
		name, _, _ := strings.Cut(filepath.Base(file), ".ko")
		files[strings.ReplaceAll(name, "-", "_")] = file
	}
	var order []string
	add := func(file string) {
		if !slices.Contains(order, file) {
			order = append(order, file)
		}
	}
	var errs []error
	for _, name := range early {
		file, ok := files[name]
		if !ok { // built in, or missing: then the mount fails and says so
			continue
		}
		if !strings.HasSuffix(file, ".ko") {
			errs = append(errs, fmt.Errorf("module %s is compressed, which only Debian's of release 13 and later and other distributions do: not supported", file))
		}
		for _, need := range slices.Backward(deps[file]) {
			add(need)
		}
		add(file)
	}
	if lines.Err() != nil {
		errs = append(errs, lines.Err())
	}
	for i, file := range order {
		order[i] = filepath.Join(k.modules(), file)
	}
	return order, errors.Join(errs...)
}
