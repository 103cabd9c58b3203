package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
)

// netFiles are the files of /etc that are the task's and not the image's.
var netFiles = [...]string{"hosts", "resolv.conf", "hostname"}

// writeFiles writes the files of /etc that say who and where the task is, as the ECS agent does for awsvpc tasks.
func (e *Engine) writeFiles(id string, at network.Attachment) error {
	if e.cfg.Dir == "" {
		return nil
	}
	dir := e.taskDir(id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory of task: %w", err)
	}
	for _, name := range netFiles {
		// In place, so that a file that is mounted already stays the one that is seen.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(netFile(name, at)), 0o644); err != nil {
			return fmt.Errorf("write %s of task: %w", name, err)
		}
	}
	return nil
}

// netFile is the content of one of netFiles.
func netFile(name string, at network.Attachment) string {
	var b strings.Builder
	switch name {
	case "hosts":
		b.WriteString("127.0.0.1 localhost\n")
		fmt.Fprintf(&b, "%s %s\n", at.Address.Addr(), at.Hostname)
	case "hostname":
		fmt.Fprintf(&b, "%s\n", at.Hostname)
	case "resolv.conf":
		for _, s := range at.DNS {
			fmt.Fprintf(&b, "nameserver %s\n", s)
		}
		if len(at.Search) > 0 {
			fmt.Fprintf(&b, "search %s\n", strings.Join(at.Search, " "))
		}
	}
	return b.String()
}

// fileMounts puts a task's files over those of the image.
func (e *Engine) fileMounts(id string) []runtime.Mount {
	if e.cfg.Dir == "" {
		return nil
	}
	var ms []runtime.Mount
	for _, name := range netFiles {
		ms = append(ms, runtime.Mount{Source: filepath.Join(e.taskDir(id), name), Destination: "/etc/" + name})
	}
	return ms
}

// removeFiles deletes the files of a task, without its logs.
func (e *Engine) removeFiles(id string) error {
	if e.cfg.Dir == "" {
		return nil
	}
	if err := os.RemoveAll(e.taskDir(id)); err != nil {
		return fmt.Errorf("remove files of task: %w", err)
	}
	return nil
}
