//go:build linux

package local_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/scheduler"
)

// seek is a container that looks for neighbors that there are not, on its own link: with MSG_DONTROUTE every address is there.
func seek() error {
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	var s, s6 int
	var last, last6 error
	for n := range 3000 {
		if n%50 == 0 { // a socket has no more than some packets on their way
			if s, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0); err == nil {
				err = unix.BindToDevice(s, "eth0")
			}
			if err != nil {
				return err
			}
			s6, last6 = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
		}
		last = unix.Sendto(s, []byte("x"), unix.MSG_DONTROUTE, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 77, byte(n >> 8), byte(n)}})
		to := unix.SockaddrInet6{Port: 9, ZoneId: uint32(eth0.Index)}
		copy(to.Addr[:], []byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, byte(n >> 8), byte(n)})
		if last6 == nil {
			last6 = unix.Sendto(s6, []byte("x"), 0, &to)
		}
	}
	fmt.Println("sought:", last, last6)
	return stay()
}

// neighborTable is how often the kernel's one table of neighbors was full, and what is in it.
func neighborTable(t *testing.T, name string) (entries, full int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/1/net/stat/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		f := strings.Fields(line)
		if i == 0 {
			continue
		}
		entries, _ = strconv.ParseInt(f[0], 16, 64)
		n, _ := strconv.ParseInt(f[12], 16, 64)
		full += n
	}
	return entries, full
}

// TestHostileSeek has a task look for neighbors on its link until the kernel's one table of them, for the host and all
// namespaces, is full.
func TestHostileSeek(t *testing.T) {
	c := open(t)
	before := map[string]int64{}
	for _, name := range []string{"arp_cache", "ndisc_cache"} {
		_, before[name] = neighborTable(t, name)
	}
	run := start(t, c, define([]string{"app", "hostile-seek"}), scheduler.RunOptions{})
	awaitOutput(t, run, "app", "sought")
	for name, was := range before {
		entries, full := neighborTable(t, name)
		hostiletest.Report(t, "the table of neighbors full: "+name, full > was, fmt.Sprintf("%d entries, was full %d times, %s", entries, full-was, output(t, run, "app")))
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}
