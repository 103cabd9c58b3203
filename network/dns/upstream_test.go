package dns

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func servers(list ...string) []netip.AddrPort {
	var all []netip.AddrPort
	for _, s := range list {
		all = append(all, netip.MustParseAddrPort(s))
	}
	return all
}

var cmpAddrPort = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func TestParseResolvConf(t *testing.T) {
	for _, c := range []struct {
		text string
		want []netip.AddrPort
	}{
		{"", servers("127.0.0.1:53")},
		{"# nameserver 192.0.2.1\n;\nsearch a b\noptions ndots:2", servers("127.0.0.1:53")},
		{"nameserver 192.0.2.1\nnameserver\t127.0.0.53  # stub\n nameserver 192.0.2.1\n", servers("192.0.2.1:53", "127.0.0.53:53")},
		{"nameserver fe80::1%eth0\nnameserver ::1", servers("[fe80::1%eth0]:53", "[::1]:53")},
		{"nameserver\nnameserver x\nnameserver 0.0.0.0\nnameserver 192.0.2.300", servers("127.0.0.1:53")},
	} {
		if diff := cmp.Diff(c.want, ParseResolvConf(c.text), cmpAddrPort); diff != "" {
			t.Errorf("%q: -want +got\n%s", c.text, diff)
		}
	}
}

func TestHostServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	h := &hostServers{path: path}
	now := time.Now()
	step := func(what string, wait time.Duration, want []netip.AddrPort) {
		t.Helper()
		now = now.Add(wait)
		if diff := cmp.Diff(want, h.servers(now), cmpAddrPort); diff != "" {
			t.Errorf("%s: -want +got\n%s", what, diff)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	step("no file", 0, nil)
	write("nameserver 192.0.2.1\n")
	step("looked at just now", time.Second, nil)
	step("a file", recheck, servers("192.0.2.1:53"))
	write("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
	step("changed", recheck, servers("192.0.2.1:53", "192.0.2.2:53"))
	step("unchanged", recheck, servers("192.0.2.1:53", "192.0.2.2:53"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	step("gone", recheck, nil)
}
