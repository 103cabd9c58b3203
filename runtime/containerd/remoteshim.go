//go:build linux

package containerd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"
)

// bundles are the directories in which a daemon's shims work, by container. They are how a shim is asked while there is no
// daemon: containerd 2 forgets how a container ended meanwhile when it is back, and its shim with it.
type bundles struct {
	mu   sync.Mutex
	dirs map[string]string
}

// note finds the bundle of a container by the first process of it, whose parent is the shim. A process that has ended may
// have left its number to another, of which nothing is believed: bundles have the names of their containers.
func (b *bundles) note(container string, pid int) {
	dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", parentOf(pid)))
	if err != nil || filepath.Base(dir) != daemonID(container) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dirs == nil {
		b.dirs = map[string]string{}
	}
	b.dirs[container] = dir
}

func (b *bundles) forget(container string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.dirs, container)
}

func (b *bundles) dir(container string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dirs[container]
}

// parentOf is the parent of a process, 0 if that has ended.
func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("\nPPid:"))
	line, _, _ := strings.Cut(string(rest), "\n")
	parent, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0
	}
	return parent
}

// bootstrap is what containerd 2 has in a bundle about its shim.
type bootstrap struct {
	Version  int    `json:"version"`
	Address  string `json:"address"`
	Protocol string `json:"protocol"`
}

// waitWithoutDaemon waits for the end of a container at its shim, and reports false if that cannot be reached, which is so
// with containerd 1: it asks its shims itself when it is back.
func (r *remote) waitWithoutDaemon(ctx context.Context, container string) (ended, bool) {
	dir := r.bundles.dir(container)
	if dir == "" {
		return ended{}, false
	}
	var b bootstrap
	if found, err := readJSON(filepath.Join(dir, "bootstrap.json"), &b); err != nil || !found {
		return ended{}, false
	}
	path, local := strings.CutPrefix(b.Address, "unix://")
	if !local || b.Version != 3 || b.Protocol != "ttrpc" {
		return ended{}, false
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return ended{}, false
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	resp, err := taskapi.NewTTRPCTaskClient(client).Wait(ctx, &taskapi.WaitRequest{ID: daemonID(container)})
	if err != nil {
		return ended{}, false
	}
	return ended{code: int(resp.ExitStatus), at: resp.ExitedAt.AsTime()}, true
}
