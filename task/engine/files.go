package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/internal/rmtree"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// netFiles are the files of /etc that are the task's and not the image's.
var netFiles = [...]string{"hosts", "resolv.conf", "hostname"}

// offline reports whether a container has no network but its own loopback. As with Docker two such containers of a task do
// not reach each other.
func (w *worker) offline(d *task.ContainerDefinition) bool {
	return w.def.NetworkMode == task.NetworkModeNone || d.DisableNetworking
}

// scratchDir is what the sandbox has for files that containers may write to, "" where there are no files.
func (w *worker) scratchDir() string {
	if w.e.cfg.Dir == "" || w.filesOnDisk() {
		return ""
	}
	return filepath.Join(w.e.taskDir(w.id), "scratch")
}

// filesOnDisk reports whether the task is one of an earlier version, which had such files in the task's directory.
func (w *worker) filesOnDisk() bool {
	_, err := os.Lstat(filepath.Join(w.e.taskDir(w.id), netFiles[0]))
	return err == nil
}

// sharedNetDir is where the files of /etc are that the containers share.
func (w *worker) sharedNetDir() string {
	if dir := w.scratchDir(); dir != "" {
		return filepath.Join(dir, "etc")
	}
	return w.e.taskDir(w.id)
}

// netDir is where the files of /etc of a container are: the task's, unless the container asks for others.
func (w *worker) netDir(d *task.ContainerDefinition) string {
	if !w.offline(d) && d.Hostname == "" && len(d.ExtraHosts)+len(d.DNSServers)+len(d.DNSSearchDomains) == 0 {
		return w.sharedNetDir()
	}
	if dir := w.scratchDir(); dir != "" {
		return filepath.Join(dir, "containers", d.Name)
	}
	return filepath.Join(w.e.taskDir(w.id), "containers", d.Name)
}

// writeFiles writes the files of /etc that say who and where the task is, as the ECS agent does for awsvpc tasks and Docker
// for containers.
func (w *worker) writeFiles() error {
	if w.e.cfg.Dir == "" {
		return nil
	}
	hostname := w.sandboxSpec(w.attached).UTSHostname()
	shared := w.sharedNetDir()
	files := map[string]etc{shared: {at: w.attached, hostname: hostname}}
	for _, c := range w.containers {
		dir := w.netDir(c.def)
		if dir == shared {
			continue
		}
		f := etc{hostname: hostname, def: c.def}
		if c.def.Hostname != "" {
			f.hostname = c.def.Hostname
		}
		if !w.offline(c.def) {
			f.at = w.attached
		}
		files[dir] = f
	}
	for dir, f := range files {
		if err := f.write(dir); err != nil {
			return err
		}
	}
	return nil
}

// etc is what the files of /etc say.
type etc struct {
	at       network.Attachment // zero without a network
	hostname string
	def      *task.ContainerDefinition // of whose own the files are, nil for those of a task
}

// write makes the files, in place, so that one that is mounted already stays the one that is seen.
func (e etc) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory of task: %w", err)
	}
	for _, name := range netFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(e.text(name)), 0o644); err != nil {
			return fmt.Errorf("write %s of task: %w", name, err)
		}
	}
	return nil
}

// text is the content of one of netFiles.
func (e etc) text(name string) string {
	var b strings.Builder
	switch name {
	case "hosts":
		b.WriteString("127.0.0.1 localhost\n")
		if a := e.at.Address.Addr(); a.IsValid() {
			fmt.Fprintf(&b, "%s %s\n", a, e.hostname)
		}
		if e.def != nil {
			for _, h := range e.def.ExtraHosts {
				fmt.Fprintf(&b, "%s %s\n", h.IPAddress, h.Hostname)
			}
		}
	case "hostname":
		fmt.Fprintf(&b, "%s\n", e.hostname)
	case "resolv.conf":
		servers, search := e.resolver()
		for _, s := range servers {
			fmt.Fprintf(&b, "nameserver %s\n", s)
		}
		if len(search) > 0 {
			fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
		}
	}
	return b.String()
}

// resolver returns the name servers and search domains: the container's own where it names some.
func (e etc) resolver() (servers, search []string) {
	search = e.at.Search
	for _, s := range e.at.DNS {
		servers = append(servers, s.String())
	}
	if e.def != nil && len(e.def.DNSServers) > 0 {
		servers = e.def.DNSServers
	}
	if e.def != nil && len(e.def.DNSSearchDomains) > 0 {
		search = e.def.DNSSearchDomains
	}
	return servers, search
}

// fileMounts puts the files over those of the image. As with Docker they can be written to unless nothing of the root file
// system can.
func (w *worker) fileMounts(d *task.ContainerDefinition) []runtime.Mount {
	if w.e.cfg.Dir == "" {
		return nil
	}
	readOnly := d.ReadonlyRootFilesystem && !w.filesOnDisk()
	var ms []runtime.Mount
	for _, name := range netFiles {
		ms = append(ms, runtime.Mount{Source: filepath.Join(w.netDir(d), name), Destination: "/etc/" + name, ReadOnly: readOnly})
	}
	return ms
}

// removeFiles deletes the files of a task, without its logs.
func (e *Engine) removeFiles(id string) error {
	if e.cfg.Dir == "" {
		return nil
	}
	if err := rmtree.Remove(e.taskDir(id)); err != nil {
		return fmt.Errorf("remove files of task: %w", err)
	}
	return nil
}
