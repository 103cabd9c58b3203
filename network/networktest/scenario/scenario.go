package scenario

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// Feature is something of a VPC that a fabric may lack.
type Feature uint

// The features that can be left out.
const (
	IPv6            Feature = 1 << iota
	Overlap                 // VPCs with the same IPv4 addresses
	NetworkACLs             //
	SubnetTables            // route tables of subnets, blackholes
	PublicAddresses         // of an ENI's own, elastic ones included, and packets to them
	NATGateways             // need PublicAddresses
	Peering
	PrefixLists
	Forwarding     // ENIs without source/destination check, and as targets of routes
	PublishedPorts // ports of the machine that lead to ENIs
)

// Config says how large and how colourful states are. The zero value is three VPCs with everything.
type Config struct {
	Seed    uint64
	VPCs    int     // at most; 0 is 3
	MinENIs int     // in all VPCs together; 0 is 3
	MaxENIs int     // 0 is 30
	Without Feature // what must not occur

	PublicPool  netip.Prefix // IPv4, /24 or larger; the zero value is 203.0.113.0/24
	Outside     []netip.Addr // of machines outside, both families; nil is 198.51.100.7, 198.51.100.200 and fd00:0:0:ffff::7
	HostAddrs   []netip.Addr // of the machine itself, which it can send from; nil is 192.0.2.10
	NoHostFlows bool         // the machine itself neither sends nor is sent to, at ports that ENIs publish either
}

// Generator makes states and packets. It is not safe for concurrent use.
type Generator struct {
	*rand.Rand
	cfg  Config
	made int // states so far
}

// New returns a generator.
func New(cfg Config) *Generator {
	if cfg.VPCs == 0 {
		cfg.VPCs = 3
	}
	if cfg.MinENIs == 0 {
		cfg.MinENIs = 3
	}
	if cfg.MaxENIs == 0 {
		cfg.MaxENIs = 30
	}
	if !cfg.PublicPool.IsValid() {
		cfg.PublicPool = netip.MustParsePrefix("203.0.113.0/24")
	}
	if cfg.Outside == nil {
		cfg.Outside = []netip.Addr{addr("198.51.100.7"), addr("198.51.100.200"), addr("fd00:0:0:ffff::7")}
	}
	if cfg.HostAddrs == nil {
		cfg.HostAddrs = []netip.Addr{addr("192.0.2.10")}
	}
	return &Generator{Rand: rand.New(rand.NewPCG(cfg.Seed, 0)), cfg: cfg}
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func all4() netip.Prefix           { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }
func all6() netip.Prefix           { return netip.PrefixFrom(netip.IPv6Unspecified(), 0) }

func (g *Generator) has(f Feature) bool { return g.cfg.Without&f == 0 }

// chance is true once in n.
func (g *Generator) chance(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *Generator, list ...T) T { return list[g.IntN(len(list))] }

// some returns 1 to n of the list, in random order.
func some[T any](g *Generator, list []T, n int) []T {
	var out []T
	for _, i := range g.Perm(len(list))[:1+g.IntN(min(n, len(list)))] {
		out = append(out, list[i])
	}
	return out
}

// State returns a new random state.
func (g *Generator) State() network.State {
	g.made++
	b := &builder{Generator: g, publicNext: 1}
	for i := range 1 + g.IntN(g.cfg.VPCs) {
		b.vpc(i)
	}
	if g.has(PrefixLists) {
		b.prefixLists()
	}
	if g.has(Peering) {
		b.peering()
	}
	if g.has(PublicAddresses) {
		b.s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: b.id("ipv4pool-ec2"), CIDRs: []netip.Prefix{g.cfg.PublicPool}}}
	}
	for _, v := range b.s.VPCs {
		b.groups(v)
	}
	b.enis()
	if g.has(PublishedPorts) {
		b.published()
	}
	for _, v := range b.s.VPCs {
		b.tables(v)
		if g.has(NetworkACLs) {
			b.acls(v)
		}
	}
	for _, grp := range b.indexes(len(b.s.SecurityGroups)) {
		b.s.SecurityGroups[grp].Ingress = b.rules(b.s.SecurityGroups[grp])
		if !g.chance(3) {
			continue
		}
		b.s.SecurityGroups[grp].Egress = b.rules(b.s.SecurityGroups[grp])
	}
	return b.s
}

// builder makes one state.
type builder struct {
	*Generator
	s          network.State
	alloc      *network.Allocator
	publicNext int
	ids        int
}

func (b *builder) id(prefix string) string {
	b.ids++
	return network.NewID(prefix, fmt.Sprint(b.cfg.Seed, " ", b.made, " ", b.ids))
}

func (b *builder) indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// publicAddr returns the next unused address of the pool.
func (b *builder) publicAddr() netip.Addr {
	a := b.cfg.PublicPool.Addr()
	for range b.publicNext {
		a = a.Next()
	}
	b.publicNext++
	return a
}
