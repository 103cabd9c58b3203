package linux

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

func TestNew(t *testing.T) {
	good := Config{Dir: "/var/lib/fardel/network", Owner: "me-1"}
	tests := []struct {
		name string
		edit func(*Config)
	}{
		{"no directory", func(c *Config) { c.Dir = "" }},
		{"relative directory", func(c *Config) { c.Dir = "fardel" }},
		{"no owner", func(c *Config) { c.Owner = "" }},
		{"owner with a space", func(c *Config) { c.Owner = "a b" }},
		{"long owner", func(c *Config) { c.Owner = strings.Repeat("a", 33) }},
		{"relative namespace", func(c *Config) { c.HostNetNS = "ns" }},
		{"long name of a link", func(c *Config) { c.PublicAddressLink = strings.Repeat("a", 16) }},
		{"path of a link", func(c *Config) { c.PublicAddressLink = "a/b" }},
		{"link of a fabric", func(c *Config) { c.PublicAddressLink = "fardel-0" }},
		{"link of an isolated fabric", func(c *Config) { c.PublicAddressLink, c.Isolated = "eth0", true }},
		{"the machine's own IDs", func(c *Config) { c.UserNamespaces = &IDRange{First: 1000, Count: 1 << 20} }},
		{"more connections than there are", func(c *Config) { c.ConnectionLimits.PerSecond = 1 << 30 }},
		{"loopback name server", func(c *Config) { c.DNS = []netip.Addr{netip.MustParseAddr("127.0.0.53")} }},
	}
	if _, err := New(good); err != nil {
		t.Errorf("good configuration: %v", err)
	}
	for _, tt := range tests {
		c := good
		tt.edit(&c)
		if _, err := New(c); !errors.Is(err, network.ErrInvalid) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestParseResolvConf(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"nameserver 127.0.0.53\noptions edns0\n", ""},
		{"# x\nsearch a.example\nnameserver 192.0.2.1\n nameserver\t192.0.2.2 # second\nnameserver 192.0.2.1", "192.0.2.1 192.0.2.2"},
		{"nameserver ::1\nnameserver 2001:db8::1\nnameserver 169.254.169.254\nnameserver 0.0.0.0\nnameserver x\nnameserver", ""},
	}
	for _, tt := range tests {
		var got []string
		for _, a := range parseResolvConf(tt.text) {
			got = append(got, a.String())
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("parseResolvConf(%q) (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestMark(t *testing.T) {
	for _, m := range []mark{{"me", "vpc-1", false}, {"me-2", "vpc-0123456789abcdef0", true}} {
		if got, ok := parseMark(m.String()); !ok || got != m {
			t.Errorf("parseMark(%q) = %+v, %t", m, got, ok)
		}
	}
	for _, alias := range []string{"", "uplink to the router", "fardel", "fardel owner=me"} {
		if got, ok := parseMark(alias); ok {
			t.Errorf("parseMark(%q) = %+v", alias, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{linkName(network.NewID("eni", "x")), hostLinkName(strings.Repeat("a", 32), network.NewID("vpc", "x")), uplinkName, eniName} {
		if len(name) > 15 { // IFNAMSIZ with its zero
			t.Errorf("%s is too long for a link", name)
		}
	}
}

func TestRecords(t *testing.T) {
	files := &recordFiles{dir: t.TempDir()}
	rec := record{Version: recordVersion, VPC: "vpc-1", ENI: network.ENI{ID: "eni-1", SecurityGroups: []string{"sg-1"}}}
	shorter := record{Version: recordVersion, ENI: network.ENI{ID: "eni-2"}}
	check := func(what string, attached, partial int) {
		t.Helper()
		a, p, err := files.read()
		if err != nil || len(a) != attached || len(p) != partial {
			t.Errorf("%s: %d attached, %d partial, %v, want %d, %d", what, len(a), len(p), err, attached, partial)
		}
	}
	steps := []struct {
		what              string
		do                func() error
		attached, partial int
	}{
		{"nothing", func() error { return nil }, 0, 0},
		{"created", func() error { return files.create(rec) }, 1, 0},
		{"replaced", func() error { return files.replace(rec) }, 1, 0},
		{"buried", func() error { return files.bury("eni-1") }, 0, 1},
		{"buried again", func() error { return files.bury("eni-1") }, 0, 1},
		{"forgotten", func() error { return files.forget("eni-1") }, 0, 0},
		{"forgotten again", func() error { return files.forget("eni-1") }, 0, 0},
		{"created from a spare file", func() error { return files.create(shorter) }, 1, 0},
		{"gone again", func() error { return errors.Join(files.bury("eni-2"), files.forget("eni-2")) }, 0, 0},
		{"created though the spare file is lost", func() error {
			return errors.Join(os.Remove(filepath.Join(files.dir, "eni-2.spare")), files.create(rec))
		}, 1, 0},
		{"gone for good", func() error {
			return errors.Join(files.bury("eni-1"), files.forget("eni-1"), files.clear(), os.Remove(files.dir))
		}, 0, 0},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Errorf("%s: %v", s.what, err)
		}
		check(s.what, s.attached, s.partial)
	}
}

// TestRecordTorn has files that a crash cut short or that a later version wrote: they vouch for nothing.
func TestRecordTorn(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":1,"networkInterface":{"networkInterfaceId":"eni-2"}}`, `{"version":99,"networkInterface":{"networkInterfaceId":"eni-1"}}`} {
		files := &recordFiles{dir: t.TempDir()}
		if err := os.WriteFile(filepath.Join(files.dir, "eni-1.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		attached, partial, err := files.read()
		if err != nil || len(attached) != 0 || !partial["eni-1"] {
			t.Errorf("record %q: %v, %v, %v", text, attached, partial, err)
		}
	}
}
