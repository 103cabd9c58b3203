package dns

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"
)

// Config says what a resolver knows from the start and what it allows.
type Config struct {
	// Domain is that of the names of the VPC's ENIs: [network.PrivateDomain] of its region. Required. It is a zone of the
	// resolver's, and nothing in it is forwarded.
	Domain string

	// CIDRs are the VPC's addresses. Their names in in-addr.arpa and ip6.arpa are the resolver's, too.
	CIDRs []netip.Prefix

	// Forwarder answers for all other names. Several resolvers may share one. Nil refuses them.
	Forwarder *Forwarder

	PacketsPerSecond int           // of one source address, TCP queries included; 0 is 1024, which is Amazon's limit for an ENI
	MaxPending       int           // queries that wait for the forwarder; 0 is 1024. One source may have an eighth of them
	MaxConnections   int           // over TCP; 0 is 512. One source may have an eighth of them
	IdleTimeout      time.Duration // of TCP connections; 0 is 10 s

	Logger *slog.Logger // nil discards
}

func (c Config) withDefaults() (Config, error) {
	name, err := canonical(c.Domain)
	if err != nil {
		return c, fmt.Errorf("configure resolver: Domain: %w", err)
	}
	c.Domain = name
	for _, n := range []struct {
		value *int
		name  string
		usual int
	}{{&c.PacketsPerSecond, "PacketsPerSecond", 1024}, {&c.MaxPending, "MaxPending", 1024}, {&c.MaxConnections, "MaxConnections", 512}} {
		if *n.value == 0 {
			*n.value = n.usual
		}
		if *n.value < 0 {
			return c, fmt.Errorf("configure resolver: %w: %s %d is negative", ErrInvalid, n.name, *n.value)
		}
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 10 * time.Second
	}
	if c.IdleTimeout < 0 {
		return c, fmt.Errorf("configure resolver: %w: IdleTimeout %v is negative", ErrInvalid, c.IdleTimeout)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Resolver is the name server of one VPC. Its methods are safe for concurrent use. What changes takes effect with the
// next query; queries take no lock to read it.
type Resolver struct {
	cfg    Config
	hosts  hosts
	domain *zone // of the hosts' names that are not there
	limits limits
	random chance

	mu    sync.Mutex // of those who change zones
	zones atomic.Pointer[map[string]*zone]
	cidrs atomic.Pointer[[]netip.Prefix]
}

// NewResolver returns a resolver that knows no host and no zone yet. It starts nothing; see [Resolver.Run].
func NewResolver(cfg Config) (*Resolver, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Resolver{cfg: cfg, random: rand.IntN}
	r.limits = newLimits(cfg.PacketsPerSecond, cfg.MaxPending)
	r.domain = &zone{soa: newSOA(cfg.Domain, hostTTL), nodes: map[string]*node{cfg.Domain: {}}}
	r.zones.Store(&map[string]*zone{})
	r.SetCIDRs(cfg.CIDRs)
	return r, nil
}

// SetCIDRs replaces the VPC's addresses.
func (r *Resolver) SetCIDRs(cidrs []netip.Prefix) {
	c := slices.Clone(cidrs)
	r.cidrs.Store(&c)
}

// AddHost adds a host, or addresses to one of the same name. An address that another host has is taken from it. The error
// matches [ErrInvalid].
func (r *Resolver) AddHost(h Host) error { return r.hosts.add(h) }

// RemoveHost forgets an address and, with its last one, the host. Nothing happens if it is not known.
func (r *Resolver) RemoveHost(a netip.Addr) { r.hosts.remove(a) }

// SetZones replaces all zones at once. If one of them is wrong, nothing changes and the error, which matches [ErrInvalid],
// says which.
func (r *Resolver) SetZones(zones []Zone) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]*zone{}
	for _, z := range zones {
		c, err := compile(z)
		if err != nil {
			return err
		}
		if all[c.soa.Hdr.Name] != nil {
			return fmt.Errorf("zone %q: %w: there are two of that name", z.Name, ErrInvalid)
		}
		all[c.soa.Hdr.Name] = c
	}
	r.zones.Store(&all)
	return nil
}

// SetZone adds a zone or replaces the one of its name.
func (r *Resolver) SetZone(z Zone) error {
	c, err := compile(z)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := maps.Clone(*r.zones.Load())
	all[c.soa.Hdr.Name] = c
	r.zones.Store(&all)
	return nil
}

// RemoveZone removes the zone of a name. Nothing happens if there is none.
func (r *Resolver) RemoveZone(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := maps.Clone(*r.zones.Load())
	delete(all, wire.CanonicalName(name))
	r.zones.Store(&all)
}

// local answers a question about a canonical name from what the resolver knows itself. ok is false if the name is
// somebody else's.
func (r *Resolver) local(name string, kind uint16) (res result, ok bool) {
	zones := *r.zones.Load()
	best := (*zone)(nil)
	for at := name; best == nil && at != "."; at = parent(at) {
		best = zones[at]
		if best == nil && at == r.domain.soa.Hdr.Name {
			best = r.domain
		}
	}
	if addrs := r.hosts.addrs(name); len(addrs) > 0 && (best == nil || best == r.domain || best.nodes[name] == nil) {
		soa := newSOA(parent(name), hostTTL)
		if best != nil {
			soa = best.soa
		}
		return r.hosts.lookup(addrs, kind, soa), true
	}
	if best != nil {
		return best.lookup(name, kind, r.random), true
	}
	if a, isReverse := parseReverse(name); isReverse && r.inVPC(a) {
		return r.hosts.reverse(name, a, kind), true
	}
	return special(name, kind)
}

func (r *Resolver) inVPC(a netip.Addr) bool {
	return slices.ContainsFunc(*r.cidrs.Load(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// special answers for names that no resolver may forward: RFC 6761, sections 6.3 and 6.4, and RFC 7686.
func special(name string, kind uint16) (res result, ok bool) {
	switch {
	case wire.IsSubDomain("localhost.", name):
		loopback := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
		return (&hosts{}).lookup(loopback, kind, newSOA("localhost.", hostTTL)), true
	case wire.IsSubDomain("invalid.", name):
		return result{rcode: wire.RcodeNameError, soa: newSOA("invalid.", hostTTL)}, true
	case wire.IsSubDomain("onion.", name):
		return result{rcode: wire.RcodeNameError, soa: newSOA("onion.", hostTTL)}, true
	}
	return result{}, false
}
