package containerd

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

// webOrigin is whom a request goes to. Credentials belong to one, and to no other port or scheme of the same host.
type webOrigin struct {
	scheme, host, port string // "https", "registry.example", "443"
}

// maxHost is as long as a name and a port can be.
const maxHost = 253 + 6

func webOriginOf(u *url.URL) webOrigin {
	o := webOrigin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	if o.port == "" {
		o.port = defaultPorts[o.scheme]
	}
	return o
}

// defaultPorts are those of the schemes of registries and of proxies.
var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func (o webOrigin) String() string { return o.scheme + "://" + o.hostPort() }

func (o webOrigin) hostPort() string { return net.JoinHostPort(o.host, o.port) }

// registryOrigin is where the registry or mirror of this name answers.
func registryOrigin(name string, plain bool) (webOrigin, error) {
	name = endpointHost(name)
	scheme := "https"
	if plain {
		scheme = "http"
	}
	u, err := url.Parse(scheme + "://" + name)
	if err != nil || u.Host != name || u.Hostname() == "" {
		return webOrigin{}, fmt.Errorf("%q is not a host, or a host with a port: %w", name, runtime.ErrInvalid)
	}
	return webOriginOf(u), nil
}

// tokenServers are of registries whose token server everybody knows to be another host.
var tokenServers = map[string]string{dockerHub: "auth.docker.io", "registry.gitlab.com": "gitlab.com"}

// rules say where the requests of a pull from one registry or mirror may go, and which of them may carry credentials.
type rules struct {
	name     string // of the registry or mirror, as in Config.Registries
	registry webOrigin
	tokens   map[string]bool // host and port of the token servers that may have the credentials
	named    map[string]bool // host and port that may have an address of this machine or of a private network
}

// newRules makes the rules for a registry or mirror. What Config.Registries names counts only for registries that it names
// themselves: any other could send us to ask something of what the operator has for itself.
func newRules(cfg map[string]Registry, name string) (rules, error) {
	entry := cfg[name]
	o, err := registryOrigin(name, entry.PlainHTTP)
	if err != nil {
		return rules{}, err
	}
	r := rules{name: name, registry: o, tokens: map[string]bool{}, named: map[string]bool{}}
	for _, server := range append([]string{tokenServers[name]}, entry.TokenServers...) {
		if err := addOrigins(r.tokens, server, entry.PlainHTTP); err != nil {
			return rules{}, err
		}
	}
	named, err := namedHosts(cfg)
	if err != nil {
		return rules{}, err
	}
	if named[o.hostPort()] {
		r.named = named
	}
	return r, nil
}

// namedHosts are the host and port of all that Config.Registries names.
func namedHosts(cfg map[string]Registry) (map[string]bool, error) {
	named := map[string]bool{}
	for name, entry := range cfg {
		o, err := registryOrigin(name, entry.PlainHTTP)
		if err != nil {
			return nil, fmt.Errorf("Config.Registries: %w", err)
		}
		named[o.hostPort()] = true
		for _, mirror := range entry.Mirrors {
			host, _, _ := strings.Cut(mirror, "/")
			if o, err = registryOrigin(host, cfg[host].PlainHTTP); err != nil {
				return nil, fmt.Errorf("Config.Registries[%q].Mirrors: %w", name, err)
			}
			named[o.hostPort()] = true
		}
		for _, server := range entry.TokenServers {
			if err := addOrigins(named, server, entry.PlainHTTP); err != nil {
				return nil, fmt.Errorf("Config.Registries[%q].TokenServers: %w", name, err)
			}
		}
	}
	return named, nil
}

// addOrigins adds a token server, which a registry with plain HTTP may ask with and without TLS.
func addOrigins(to map[string]bool, server string, plain bool) error {
	if server == "" {
		return nil
	}
	for _, plain := range []bool{false, plain} {
		o, err := registryOrigin(server, plain)
		if err != nil {
			return err
		}
		to[o.hostPort()] = true
	}
	return nil
}

// own reports whether a URL is the registry's, so that its credentials and tokens may go there.
func (r rules) own(u *url.URL) bool { return webOriginOf(u) == r.registry }

// trusted reports whether the credentials may go to a URL in exchange for a token.
func (r rules) trusted(u *url.URL) bool {
	return r.own(u) || r.scheme(u) == nil && r.tokens[webOriginOf(u).hostPort()]
}

// scheme allows HTTPS, and HTTP for a registry that has it itself.
func (r rules) scheme(u *url.URL) error {
	switch s := strings.ToLower(u.Scheme); {
	case s == "https", s == "http" && r.registry.scheme == "http":
		return nil
	case s == "http":
		return fmt.Errorf("registry %s has HTTPS and sends to %s without: %w", r.name, webOriginOf(u), runtime.ErrRegistryNotAllowed)
	default:
		return fmt.Errorf("registry %s sends to a URL of the scheme %.20q: %w", r.name, s, runtime.ErrRegistryNotAllowed)
	}
}

// sent checks a URL that the registry sends to, by a redirect or as a token server. One that names a user would have us show
// credentials of the registry's choice to whom it chooses.
func (r rules) sent(u *url.URL) error {
	if len(u.Host) > maxHost {
		return fmt.Errorf("registry %s sends to a host with a name of %d bytes: %w", r.name, len(u.Host), runtime.ErrRegistryNotAllowed)
	}
	if u.User != nil {
		return fmt.Errorf("registry %s sends to a URL with a user in it, at %s: %w", r.name, webOriginOf(u), runtime.ErrRegistryNotAllowed)
	}
	if err := r.scheme(u); err != nil {
		return err
	}
	return r.target(u)
}

// realm checks where the registry wants tokens to be fetched, and if there are credentials, that they may go there.
func (r rules) realm(realm string, credentials bool) error {
	u, err := url.Parse(realm)
	if err != nil || u.Host == "" {
		return fmt.Errorf("registry %s names no token server: %w", r.name, runtime.ErrRegistryNotAllowed)
	}
	if err := r.sent(u); err != nil {
		return err
	}
	if credentials && !r.trusted(u) {
		return fmt.Errorf("registry %s wants its credentials sent to %s: name %q in Config.Registries[%q].TokenServers if that is its token server: %w",
			r.name, webOriginOf(u), u.Host, r.name, runtime.ErrRegistryNotAllowed)
	}
	return nil
}

// target checks the host of a URL as far as it can be seen before it is looked up. A proxy may do that, and then nobody else
// looks at the address.
func (r rules) target(u *url.URL) error {
	o := webOriginOf(u)
	if r.named[o.hostPort()] {
		return nil
	}
	host := strings.TrimSuffix(o.host, ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return r.address(o.hostPort(), addr)
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || numeric(host) {
		return r.notNamed(o.hostPort(), "it is a name of this machine, or an address in another form")
	}
	return nil
}

// numeric recognises addresses as inet_aton reads them: "127.1", "0x7f000001", "2130706433".
func numeric(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last == "" || strings.Trim(last, "0123456789") == "" ||
		strings.HasPrefix(last, "0x") && strings.Trim(last[2:], "0123456789abcdef") == ""
}

// address checks the address that a connection to hostPort is about to be made to.
func (r rules) address(hostPort string, addr netip.Addr) error {
	if r.named[hostPort] || publicAddr(addr) {
		return nil
	}
	return r.notNamed(hostPort, fmt.Sprintf("its address %s is of this machine, of a private network or of none", addr))
}

func (r rules) notNamed(hostPort, why string) error {
	if hostPort == r.registry.hostPort() {
		return fmt.Errorf("registry %s: %s, and it is not named: needs an entry Config.Registries[%q]: %w", r.name, why, r.name, runtime.ErrRegistryNotAllowed)
	}
	return fmt.Errorf("registry %s sends to %s: %s, and it is not named: needs entries Config.Registries[%q] and [%q]: %w",
		r.name, hostPort, why, r.name, hostPort, runtime.ErrRegistryNotAllowed)
}

// notPublic are the addresses of IANA's registries for special purposes that are not globally reachable, and reachable
// of IPv6 are none but those of globalIPv6. Those that hold an IPv4 address are looked through before.
var (
	notPublic = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"), // behind a carrier's NAT, where clouds have services of their own
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), // with the metadata services of clouds
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("224.0.0.0/3"), // multicast, and what is reserved
		netip.MustParsePrefix("2001::/23"),   // with Teredo, which hides an address
		netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("3fff::/20"),
	}
	globalIPv6 = netip.MustParsePrefix("2000::/3")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

// publicAddr reports whether an address is of the public Internet.
func publicAddr(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	bytes := addr.As16()
	switch {
	case nat64.Contains(addr):
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	case sixToFour.Contains(addr):
		addr = netip.AddrFrom4([4]byte(bytes[2:6]))
	}
	if addr.Is6() && !globalIPv6.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(addr) })
}
