package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// pair is two namespaces that reach each other.
type pair struct {
	client, server string // paths
	addr           string // of the server, with a port
}

// How long each measurement takes, how often the two take turns, and how many connections ask at a time.
const (
	duration = 500 * time.Millisecond
	turns    = 16
	askers   = 8
)

// speeds compares two tasks with two namespaces on a bridge, by turns.
func (b *bench) speeds() error {
	tasks, err := b.tasks()
	if err != nil {
		return err
	}
	bridge, err := b.bridge()
	if err != nil {
		return err
	}
	var gbits, asked [2][]float64
	for turn := range turns {
		for n := range 2 {
			i := (turn + n) % 2 // none is always the first
			p := []pair{tasks, bridge}[i]
			sent, err := transfer(p)
			if err != nil {
				return err
			}
			answers, err := ask(p)
			if err != nil {
				return err
			}
			gbits[i], asked[i] = append(gbits[i], sent), append(asked[i], answers)
		}
	}
	fmt.Printf("TCP throughput: tasks %.2f Gbit/s, bridge %.2f Gbit/s: %s\n", median(gbits[0]), median(gbits[1]), ratios(gbits))
	fmt.Printf("requests a second, %d connections: tasks %.0f, bridge %.0f: %s\n", askers, median(asked[0]), median(asked[1]), ratios(asked))
	return nil
}

// ratios compares the turns of two.
func ratios(of [2][]float64) string {
	var all []float64
	for i := range of[0] {
		all = append(all, of[0][i]/of[1][i])
	}
	return fmt.Sprintf("%.2f (%d turns, %.2f to %.2f)", median(all), len(all), slices.Min(all), slices.Max(all))
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return (list[len(list)/2] + list[(len(list)-1)/2]) / 2
}

func (b *bench) tasks() (pair, error) {
	s, err := newState()
	if err != nil {
		return pair{}, err
	}
	s.ENIs = []network.ENI{eni(s, 0), eni(s, 1)}
	if err := b.fabric.Apply(b.ctx, s); err != nil {
		return pair{}, err
	}
	list, err := b.fabric.Attachments(b.ctx)
	if err != nil {
		return pair{}, err
	}
	return pair{list[0].NetNS, list[1].NetNS, list[1].Address.Addr().String() + ":5001"}, nil
}

// bridge makes two namespaces on a bridge.
func (b *bench) bridge() (pair, error) {
	p := pair{filepath.Join(b.dir, "client"), filepath.Join(b.dir, "server"), "10.99.0.2:5001"}
	if err := ip("link", "add", "plain0", "type", "bridge"); err != nil {
		return p, err
	}
	if err := ip("link", "set", "plain0", "up"); err != nil {
		return p, err
	}
	for i, path := range []string{p.client, p.server} {
		if err := newNamespace(path); err != nil {
			return p, err
		}
		b.mounted = append(b.mounted, path)
		near, addr := fmt.Sprintf("plain%d", i+1), fmt.Sprintf("10.99.0.%d/24", i+1)
		for _, args := range [][]string{
			{"link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", path},
			{"link", "set", near, "master", "plain0", "up"},
		} {
			if err := ip(args...); err != nil {
				return p, err
			}
		}
		err := inside(path, func() error {
			for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", addr, "dev", "eth0"}, {"link", "set", "eth0", "up"}} {
				if err := ip(args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// transfer sends for a while and returns Gbit a second.
func transfer(p pair) (float64, error) {
	l, err := listen(p)
	if err != nil {
		return 0, err
	}
	received := make(chan int64, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			received <- 0
			return
		}
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
		_ = c.Close()
		received <- n
	}()
	c, err := dial(p)
	if err != nil {
		_ = l.Close()
		return 0, err
	}
	start, buffer := time.Now(), make([]byte, 256<<10)
	for time.Since(start) < duration {
		if _, err := c.Write(buffer); err != nil {
			return 0, err
		}
	}
	_ = c.Close()
	n := <-received
	took := time.Since(start)
	return float64(n) * 8 / took.Seconds() / 1e9, l.Close()
}

// ask asks on connections that stay, and returns answers a second.
func ask(p pair) (float64, error) {
	l, err := listen(p)
	if err != nil {
		return 0, err
	}
	var servers, clients sync.WaitGroup
	servers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 256))
				_ = c.Close()
			})
		}
	})
	var mu sync.Mutex
	var total int
	var failed error
	start := time.Now()
	for range askers {
		c, err := dial(p)
		if err != nil {
			return 0, err
		}
		clients.Go(func() {
			message, n := make([]byte, 128), 0
			var err error
			for time.Since(start) < duration && err == nil {
				if _, err = c.Write(message); err == nil {
					_, err = io.ReadFull(c, message)
				}
				n++
			}
			_ = c.Close()
			mu.Lock()
			defer mu.Unlock()
			total += n
			if err != nil {
				failed = err
			}
		})
	}
	clients.Wait()
	took := time.Since(start)
	_ = l.Close()
	servers.Wait()
	return float64(total) / took.Seconds(), failed
}

func listen(p pair) (l net.Listener, err error) {
	err = inside(p.server, func() (err error) { l, err = net.Listen("tcp4", p.addr); return err })
	return l, err
}

func dial(p pair) (c net.Conn, err error) {
	err = inside(p.client, func() (err error) { c, err = net.Dial("tcp4", p.addr); return err })
	return c, err
}

// onThread calls f on a thread that ends with the call, so that f may change the namespaces of the thread.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		goruntime.LockOSThread() // and never unlock
		done <- f()
	}()
	return <-done
}

// inside calls f in a network namespace; processes that f starts are in it, too.
func inside(path string, f func() error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return onThread(func() error {
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// newNamespace makes a network namespace and mounts it at path.
func newNamespace(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
}

// plugins is where Debian has the CNI plugins.
const plugins = "/usr/lib/cni"

// cni measures what a namespace and the bridge plugin take, with addresses from host-local.
func (b *bench) cni() error {
	program := filepath.Join(plugins, "bridge")
	if _, err := os.Stat(program); err != nil {
		fmt.Println("CNI bridge: not installed (Debian: containernetworking-plugins)")
		return nil
	}
	config := `{"cniVersion": "0.4.0", "name": "bench", "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
		"ipam": {"type": "host-local", "subnet": "10.98.0.0/16", "dataDir": "` + filepath.Join(b.dir, "ipam") + `", "routes": [{"dst": "0.0.0.0/0"}]}}`
	var add, del []time.Duration
	for n := range rounds / 2 {
		path := filepath.Join(b.dir, fmt.Sprint("cni", n))
		run := func(command string) error {
			cmd := exec.Command(program)
			cmd.Stdin = strings.NewReader(config)
			cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+fmt.Sprint("bench", n), "CNI_NETNS="+path,
				"CNI_IFNAME=eth0", "CNI_PATH="+plugins)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("CNI bridge %s: %w: %s", command, err, out)
			}
			return nil
		}
		start := time.Now()
		if err := newNamespace(path); err != nil {
			return err
		}
		if err := run("ADD"); err != nil {
			return err
		}
		add = append(add, time.Since(start))
		start = time.Now()
		if err := run("DEL"); err != nil {
			return err
		}
		del = append(del, time.Since(start))
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return err
		}
	}
	fmt.Printf("CNI bridge and host-local: add p50 %.2f ms, del p50 %.2f ms\n", at(add, 50), at(del, 50))
	return nil
}
