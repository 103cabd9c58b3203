//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeInitramfs writes the VM's first file system: this program as /init, the early modules in the order in which they
// are to be loaded, and the plan.
func writeInitramfs(path string, k kernel, p plan) error {
	modules, err := k.earlyModules()
	if err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	a := archive{w: &buf}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/lower", "/upper", "/root", modulesDir} {
		a.add(dir, modeDir|0o755, nil)
	}
	a.device("/dev/console", 5, 1)
	a.add("/init", modeFile|0o755, self)
	a.add(planPath, modeFile|0o644, text)
	for i, module := range modules {
		content, err := os.ReadFile(module)
		if err != nil {
			return err
		}
		a.add(fmt.Sprintf("%s/%02d-%s", modulesDir, i, filepath.Base(module)), modeFile|0o644, content)
	}
	a.add("TRAILER!!!", 0, nil)
	if a.err != nil {
		return a.err
	}
	return os.WriteFile(path, buf.Bytes(), 0o600)
}

// The kinds of files, as in the st_mode of stat.
const (
	modeFile = 0o100000
	modeDir  = 0o040000
	modeChar = 0o020000
)

// archive writes cpio's "newc" format, which is what kernels take as their first file system.
type archive struct {
	w   io.Writer
	ino int
	err error
}

func (a *archive) add(name string, mode int, content []byte) { a.entry(name, mode, 0, 0, content) }

func (a *archive) device(name string, major, minor int) {
	a.entry(name, modeChar|0o600, major, minor, nil)
}

func (a *archive) entry(name string, mode, major, minor int, content []byte) {
	if len(name) > 1 && name[0] == '/' {
		name = name[1:]
	}
	a.ino++
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.ino, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0)
	a.write(append([]byte(header), name+"\x00"...))
	a.write(content)
}

// write pads to four bytes.
func (a *archive) write(b []byte) {
	if a.err != nil {
		return
	}
	if _, a.err = a.w.Write(b); a.err == nil {
		_, a.err = a.w.Write(make([]byte, -len(b)&3))
	}
}
