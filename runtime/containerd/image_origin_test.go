package containerd

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/runtime"
)

func TestPublicAddr(t *testing.T) {
	for addr, want := range map[string]bool{
		"1.1.1.1": true, "9.255.255.255": true, "11.0.0.0": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true,
		"100.128.0.0": true, "169.253.255.255": true, "192.167.255.255": true, "223.255.255.255": true, "2606:4700::1111": true,
		"::ffff:1.1.1.1": true, "64:ff9b::101:101": true, "2002:101:101::": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.127.255.255": false, "127.0.0.1": false,
		"127.255.255.254": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.170": false,
		"192.0.2.1": false, "192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false,
		"203.0.113.1": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::127.0.0.1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false,
		"::ffff:0:127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false, "100::1": false,
		"2001::1": false, "2001:db8::1": false, "2002:7f00:1::": false, "2002:a00:1::1": false, "3fff::1": false, "fc00::1": false,
		"fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "2606:4700::1111%eth0": false, "fec0::1": false,
		"ff02::1": false, "5f00::1": false, "1::1": false, "4000::1": false,
	} {
		if got := publicAddr(netip.MustParseAddr(addr)); got != want {
			t.Errorf("publicAddr(%s) = %t, want %t", addr, got, want)
		}
	}
	if publicAddr(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// testRules are those of a registry on the Internet, of a named one with HTTPS, and of a named one without.
func testRules(t *testing.T, name string) rules {
	t.Helper()
	r, err := newRules(map[string]Registry{
		"docker.io":        {},
		"own.example:5000": {TokenServers: []string{"auth.example", "auth.example:8443"}, Mirrors: []string{"10.0.0.7:5001/hub"}},
		"10.0.0.5:5000":    {PlainHTTP: true, TokenServers: []string{"10.0.0.6"}},
		"[fd00::1]:5000":   {},
	}, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRulesRealm(t *testing.T) {
	const public, named, plain = "evil.example", "own.example:5000", "10.0.0.5:5000"
	for _, tt := range []struct {
		registry, realm           string
		anonymously, confidential bool // may be asked without credentials, and with
	}{
		{public, "https://evil.example/token", true, true},
		{public, "https://EVIL.example:443/token", true, true},
		{public, "https://evil.example:8443/token", true, false},
		{public, "https://other.example/token", true, false},
		{public, "http://evil.example/token", false, false},
		{public, "https://sub.evil.example/token", true, false},
		{public, "https://u:p@evil.example/token", false, false},
		{public, "https://127.0.0.1/token", false, false},
		{public, "https://10.0.0.5:5000/token", false, false},
		{public, "https://own.example:5000/token", true, false},
		{public, "https://[::ffff:169.254.169.254]/", false, false},
		{public, "https://localhost/", false, false},
		{public, "https://a.localhost./", false, false},
		{public, "https://2130706433/", false, false},
		{public, "https://0x7f.1/", false, false},
		{public, "https://127.1/", false, false},
		{public, "https://0177.0.0.0x1/", false, false},
		{public, "file:///etc/passwd", false, false},
		{public, "unix://evil.example/run", false, false},
		{public, "/token", false, false},
		{public, "", false, false},
		{public, "https://" + strings.Repeat("a.", 200) + "example/", false, false},
		{named, "https://own.example:5000/token", true, true},
		{named, "https://own.example/token", true, false},
		{named, "https://auth.example/token", true, true},
		{named, "https://auth.example:8443/token", true, true},
		{named, "https://auth.example:444/token", true, false},
		{named, "http://auth.example/token", false, false},
		{named, "http://own.example:5000/token", false, false},
		{named, "https://10.0.0.7:5001/token", true, false}, // a mirror of its own
		{named, "https://10.0.0.8:5001/token", false, false},
		{plain, "http://10.0.0.5:5000/token", true, true},
		{plain, "http://10.0.0.6/token", true, true},
		{plain, "https://10.0.0.6/token", true, true},
		{plain, "http://10.0.0.6:81/token", false, false},
		{plain, "https://[fd00::1]:5000/", true, false},
		{"docker.io", "https://auth.docker.io/token", true, true},
		{"docker.io", "https://auth.docker.io:444/token", true, false},
		{"docker.io", "http://auth.docker.io/token", false, false},
		{"registry.gitlab.com", "https://gitlab.com/jwt/auth", true, true},
		{"registry.gitlab.com", "https://auth.docker.io/token", true, false},
	} {
		r := testRules(t, tt.registry)
		for credentials, want := range map[bool]bool{false: tt.anonymously, true: tt.confidential} {
			err := r.realm(tt.realm, credentials)
			if (err == nil) != want || err != nil && !errors.Is(err, runtime.ErrRegistryNotAllowed) {
				t.Errorf("registry %s, realm %s, credentials %t: %v, want allowed %t", tt.registry, tt.realm, credentials, err, want)
			}
			if u, uerr := url.Parse(tt.realm); credentials && uerr == nil && u.User == nil && u.Host != "" && r.trusted(u) && err != nil && r.target(u) == nil {
				t.Errorf("registry %s trusts %s, and does not: %v", tt.registry, tt.realm, err)
			}
		}
	}
}

func TestRulesAddress(t *testing.T) {
	for _, tt := range []struct {
		registry, to, addr string
		want               string // words of the error
	}{
		{"evil.example", "evil.example:443", "1.1.1.1", ""},
		{"evil.example", "evil.example:443", "127.0.0.1", `Config.Registries["evil.example"]`},
		{"127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1", `Config.Registries["127.0.0.1:5000"]`},
		{"evil.example", "own.example:5000", "10.0.0.9", `Config.Registries["evil.example"] and ["own.example:5000"]`},
		{"own.example:5000", "own.example:5000", "10.0.0.9", ""},
		{"own.example:5000", "own.example:443", "10.0.0.9", `["own.example:443"]`},
		{"own.example:5000", "10.0.0.5:5000", "10.0.0.5", ""},
		{"docker.io", "registry-1.docker.io:443", "10.0.0.5", ""},
	} {
		err := testRules(t, tt.registry).address(tt.to, netip.MustParseAddr(tt.addr))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s, %s at %s: %v", tt.registry, tt.to, tt.addr, err)
		case tt.want != "" && (!errors.Is(err, runtime.ErrRegistryNotAllowed) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s, %s at %s: %v, want %q", tt.registry, tt.to, tt.addr, err, tt.want)
		}
	}
}

func TestConfigRegistries(t *testing.T) {
	for name, cfg := range map[string]map[string]Registry{
		"a URL":                   {"https://registry.example": {}},
		"a path":                  {"registry.example/path": {}},
		"nothing":                 {"": {}},
		"a user":                  {"user@registry.example": {}},
		"a token server as a URL": {"registry.example": {TokenServers: []string{"https://auth.example/token"}}},
		"no mirror":               {"registry.example": {Mirrors: []string{"/path"}}},
	} {
		if _, err := (Config{Owner: "o", Dir: "/d", Registries: cfg}).withDefaults(); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func FuzzPublicAddr(f *testing.F) {
	f.Add("::ffff:127.0.0.1")
	f.Add("64:ff9b::7f00:1")
	f.Fuzz(func(t *testing.T, text string) {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return
		}
		if public := publicAddr(addr); public != publicAddr(addr.Unmap()) ||
			public && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified()) {
			t.Errorf("publicAddr(%s) = %t", addr, public)
		}
	})
}
