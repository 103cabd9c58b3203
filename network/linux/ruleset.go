package linux

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fardel-io/fardel/network"
)

// ruleset is one nftables table, as data. It renders to the text that `nft -f` would take, sorted where order has no
// meaning, so that tests compare text and need no kernel.
type ruleset struct {
	Family family
	Table  string
	Sets   []set
	Chains []chain
}

// set is a named set or map.
type set struct {
	Name     string
	Kind     setKind
	Elements []element
}

// setKind says what the elements of a set are.
type setKind int

const (
	addrs         setKind = iota // addresses
	ranges                       // prefixes
	interfaces                   // names of interfaces
	sources                      // interface, address and MAC of an ENI
	hardwares                    // interface and MAC of an ENI
	classes                      // map: interface → class
	verdicts                     // map: class → chain
	translations                 // map: address → address
	groupPairs                   // groups of the interfaces by which a packet comes and goes
	groupVerdicts                // map: group of an interface → chain
	services                     // addresses, protocols and ports
	addrServices                 // map: address, protocol and port → address and port
	portServices                 // map: protocol and port → address and port
	rates                        // interfaces, each with how much it does; the kernel fills it
	counts                       // interfaces and shards, each with its connections; the kernel fills it
)

// element is one element of a set; which fields count depends on the set's kind.
type element struct {
	Addr      netip.Addr
	Prefix    netip.Prefix
	To        netip.Addr
	Interface string
	MAC       network.MAC
	Class     uint32
	Group     uint32 // of an interface
	Protocol  uint8
	Port      uint16
	ToPort    uint16
	Verdict   verdict
}

// setElement is an element and the table's family and the name and kind of the set that it belongs to.
type setElement struct {
	Family family
	Set    string
	Kind   setKind
	element
}

// chain is a list of rules, with a hook if it is a base chain.
type chain struct {
	Name  string
	Hook  *hook
	Rules []rule
}

// hook is where the kernel calls a base chain.
type hook struct {
	Type, Point string // "filter" or "nat"; "prerouting", "input", "forward", "output", "postrouting"
	Priority    int    // of netfilter; -450 is before fragments are put together, -300 before connection tracking, -100 that of destination NAT, 0 the filter's, 100 that of source NAT
	Drop        bool   // policy: drop instead of accept
}

// rule is a list of statements; a verdict comes last.
type rule []statement

// statement is a part of a rule. In its text IP stands for the family's name.
type statement interface{ text() string }

type (
	iif          struct{ Name string }         // came in by the interface
	iifIn        struct{ Set string }          // came in by one of the interfaces
	oif          struct{ Name string }         // leaves by the interface
	oifIn        struct{ Set string }          // leaves by one of the interfaces
	notOIFIn     struct{ Set string }          // leaves by none of the interfaces
	notIIFIn     struct{ Set string }          // came in by none of the interfaces
	source       struct{ Prefix netip.Prefix } // source address in the prefix
	sourceIn     struct{ Set string }          // source address in the set
	dest         struct{ Prefix netip.Prefix } // destination address in the prefix
	destIn       struct{ Set string }          // destination address in the set
	sourceCheck  struct{ Set string }          // interface, source address and source MAC are those of one ENI
	senderCheck  struct{ Set string }          // interface and source MAC are those of one ENI
	arpCheck     struct{ Set string }          // as sourceCheck, of what ARP says of the sender
	markGroup    struct{}                      // marks the packet with the group of the interface by which it comes
	withinGroup  struct{ Set string }          // comes and goes by interfaces of one group
	groupVerdict struct {
		In  bool // decides by the group of the interface by which it comes, else by which it goes
		Map string
	}
	notDest     struct{ Prefix netip.Prefix } // destination address not in the prefix
	toHere      struct{}                      // its destination is an address of this namespace
	serviceIn   struct{ Set string }          // destination address, protocol and destination port in the set
	dnatService struct {                      // its destination becomes what a map has for its address, protocol and port
		Map  string
		Port bool // or for its protocol and port alone
	}
	protocol     struct{ Number uint8 }    // the packet's protocol
	destPort     struct{ From, To uint16 } // destination port of TCP or UDP
	icmp         struct{ Type, Code int }  // network.AnyICMP matches all
	tracked      struct{}                  // belongs to a known connection
	untracked    struct{}                  // cannot belong to any, such as an answer that nobody asked for
	translated   struct{}                  // its destination was another one
	fromHere     struct{}                  // its source is an address of this namespace
	classOf      struct{ Source bool }     // marks the packet with the class of who sends or who gets it
	classVerdict struct{ Map string }      // decides by the mark
	masquerade   struct{}                  // takes the address of the interface it leaves by
	masqPorts    struct{ From, To uint16 } // as masquerade, with a port of a range
	snatMap      struct{ Map string }      // its source becomes what the map has for it
	dnatMap      struct{ Map string }      // its destination becomes what the map has for it
	snat         struct{ To netip.Addr }   // its source becomes the address
	known        struct{}                  // there is a route to its source, by the main table
	verdict      struct{ Kind, Chain string }
	iifHead      struct{ Head string }   // came in by an interface whose name begins so
	oifHead      struct{ Head string }   // leaves by an interface whose name begins so
	confirmed    struct{}                // its connection is in the kernel's table
	fragment     struct{ Family family } // is a part of a packet, before the kernel has put it together
	counter      struct{}                // counts the packet
	icmpTypes    struct{ From, To byte } // of ICMP and ICMPv6
	rateOver     struct {                // its interface does more of this than it may
		Set              string
		In               bool // that by which it comes, else that by which it leaves
		PerSecond, Burst int
	}
	shard     struct{ Of int } // marks the packet with the number of the shard that its connection belongs to
	countOver struct {         // its interface has more connections in the shard than it may
		Set  string
		In   bool // as above
		Open int
	}
)

// rateIdle is how long the kernel remembers how much an interface did: longer than it takes to be as good as new.
const rateIdle = 10 * time.Second

// How many elements a set of the kernel's making may have: more interfaces than a machine has tasks, and all their shards. The
// kernel takes 16 bytes for each at once. What finds no place is not limited.
const (
	rateSetSize  = 1 << 12
	countSetSize = 1 << 16
)

func (s iif) text() string          { return "iifname " + quote(s.Name) }
func (s iifIn) text() string        { return "iifname @" + s.Set }
func (s oif) text() string          { return "oifname " + quote(s.Name) }
func (s oifIn) text() string        { return "oifname @" + s.Set }
func (s notOIFIn) text() string     { return "oifname != @" + s.Set }
func (s notIIFIn) text() string     { return "iifname != @" + s.Set }
func (s source) text() string       { return "IP saddr " + prefixText(s.Prefix) }
func (s sourceIn) text() string     { return "IP saddr @" + s.Set }
func (s dest) text() string         { return "IP daddr " + prefixText(s.Prefix) }
func (s destIn) text() string       { return "IP daddr @" + s.Set }
func (s sourceCheck) text() string  { return "iifname . IP saddr . ether saddr @" + s.Set }
func (s arpCheck) text() string     { return "iifname . arp saddr ip . arp saddr ether @" + s.Set }
func (s senderCheck) text() string  { return "iifname . ether saddr @" + s.Set }
func (s markGroup) text() string    { return "meta mark set iifgroup" }
func (s withinGroup) text() string  { return "iifgroup . oifgroup @" + s.Set }
func (s protocol) text() string     { return fmt.Sprintf("meta l4proto %d", s.Number) }
func (s tracked) text() string      { return "ct state established,related" }
func (s untracked) text() string    { return "ct state invalid" }
func (s translated) text() string   { return "ct status dnat" }
func (s fromHere) text() string     { return "fib saddr type local" }
func (s classVerdict) text() string { return "meta mark vmap @" + s.Map }
func (s masquerade) text() string   { return "masquerade" }
func (s masqPorts) text() string    { return fmt.Sprintf("masquerade to :%d-%d", s.From, s.To) }
func (s snatMap) text() string      { return "snat to IP saddr map @" + s.Map }
func (s dnatMap) text() string      { return "dnat to IP daddr map @" + s.Map }
func (s snat) text() string         { return "snat to " + s.To.String() }
func (s known) text() string        { return "fib saddr oif exists" }
func (s verdict) text() string      { return strings.TrimSpace(s.Kind + " " + s.Chain) }

func (s notDest) text() string   { return "IP daddr != " + prefixText(s.Prefix) }
func (s toHere) text() string    { return "fib daddr type local" }
func (s serviceIn) text() string { return "IP daddr . meta l4proto . th dport @" + s.Set }

func (s dnatService) text() string {
	if s.Port {
		return "dnat to meta l4proto . th dport map @" + s.Map
	}
	return "dnat to IP daddr . meta l4proto . th dport map @" + s.Map
}

func (s groupVerdict) text() string {
	if s.In {
		return "iifgroup vmap @" + s.Map
	}
	return "oifgroup vmap @" + s.Map
}

func (s destPort) text() string {
	if s.From == s.To {
		return fmt.Sprintf("th dport %d", s.From)
	}
	return fmt.Sprintf("th dport %d-%d", s.From, s.To)
}

func (s icmp) text() string {
	text := fmt.Sprintf("@th,0,8 %d", s.Type)
	if s.Code != network.AnyICMP {
		text += fmt.Sprintf(" @th,8,8 %d", s.Code)
	}
	return text
}

func (s classOf) text() string {
	if s.Source {
		return "meta mark set iifname map @" + classSet
	}
	return "meta mark set oifname map @" + classSet
}

func (s iifHead) text() string   { return "iifname " + quote(s.Head+"*") }
func (s oifHead) text() string   { return "oifname " + quote(s.Head+"*") }
func (s confirmed) text() string { return "ct status confirmed" }
func (s counter) text() string   { return "counter" }

func (s icmpTypes) text() string { return fmt.Sprintf("@th,0,8 %d-%d", s.From, s.To) }

func (s fragment) text() string {
	if s.Family == ipv6 {
		return "exthdr frag exists"
	}
	return "ip frag-off & 0x3fff != 0" // more to come, or not the first one
}

func (s rateOver) text() string {
	return fmt.Sprintf("update @%s { %s timeout %s limit rate over %d/second burst %d packets }", s.Set, linkKey(s.In), rateIdle, s.PerSecond, s.Burst)
}

func (s countOver) text() string {
	return fmt.Sprintf("add @%s { %s . meta mark ct count over %d }", s.Set, linkKey(s.In), s.Open)
}

func (s shard) text() string { return fmt.Sprintf("meta mark set symhash mod %d", s.Of) }

func linkKey(in bool) string {
	if in {
		return "iifname"
	}
	return "oifname"
}

func quote(s string) string { return `"` + s + `"` }

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// String renders the ruleset as nft reads it.
func (r ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", r.Family, r.Table)
	for _, s := range r.Sets {
		b.WriteString(s.text(r.Family))
	}
	for _, c := range r.Chains {
		fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
		if c.Hook != nil {
			b.WriteString("\t\t" + c.Hook.text() + "\n")
		}
		for _, rule := range c.Rules {
			b.WriteString("\t\t" + r.Family.in(rule.text()) + "\n")
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (h hook) text() string {
	policy := "accept"
	if h.Drop {
		policy = "drop"
	}
	return fmt.Sprintf("type %s hook %s priority %d; policy %s;", h.Type, h.Point, h.Priority, policy)
}

func (r rule) text() string {
	parts := make([]string, len(r))
	for i, s := range r {
		parts[i] = s.text()
	}
	return strings.Join(parts, " ")
}

// equal reports whether two rules are the same.
func (r rule) equal(other rule) bool { return slices.Equal(r, other) }

func (s set) text(f family) string {
	word, kind := "set", ""
	switch s.Kind {
	case addrs:
		kind = "type " + f.addressKind()
	case ranges:
		kind = "type " + f.addressKind() + "; flags interval"
	case interfaces:
		kind = "type ifname"
	case sources:
		kind = "type ifname . " + f.addressKind() + " . ether_addr"
	case hardwares:
		kind = "type ifname . ether_addr"
	case classes:
		word, kind = "map", "type ifname : mark"
	case verdicts:
		word, kind = "map", "type mark : verdict"
	case translations:
		word, kind = "map", "type "+f.addressKind()+" : "+f.addressKind()
	case groupPairs:
		kind = "type devgroup . devgroup"
	case groupVerdicts:
		word, kind = "map", "type devgroup : verdict"
	case services:
		kind = "type " + f.addressKind() + " . inet_proto . inet_service"
	case addrServices:
		word, kind = "map", "type "+f.addressKind()+" . inet_proto . inet_service : "+f.addressKind()+" . inet_service"
	case portServices:
		word, kind = "map", "type inet_proto . inet_service : "+f.addressKind()+" . inet_service"
	case rates:
		kind = fmt.Sprintf("type ifname; size %d; flags dynamic,timeout", rateSetSize)
	case counts:
		kind = fmt.Sprintf("type ifname . mark; size %d; flags dynamic", countSetSize)
	}
	lines := make([]string, len(s.Elements))
	for i, e := range s.Elements {
		lines[i] = e.text(s.Kind)
	}
	sort.Strings(lines)
	text := fmt.Sprintf("\t%s %s {\n\t\t%s;\n", word, s.Name, kind)
	if len(lines) > 0 {
		text += "\t\telements = {\n\t\t\t" + strings.Join(lines, ",\n\t\t\t") + "\n\t\t}\n"
	}
	return text + "\t}\n"
}

func (e element) text(kind setKind) string {
	switch kind {
	case ranges:
		return prefixText(e.Prefix)
	case interfaces:
		return quote(e.Interface)
	case sources:
		return quote(e.Interface) + " . " + e.Addr.String() + " . " + e.MAC.String()
	case hardwares:
		return quote(e.Interface) + " . " + e.MAC.String()
	case classes:
		return fmt.Sprintf("%s : %#08x", quote(e.Interface), e.Class)
	case verdicts:
		return fmt.Sprintf("%#08x : %s", e.Class, e.Verdict.text())
	case translations:
		return e.Addr.String() + " : " + e.To.String()
	case groupPairs:
		return fmt.Sprintf("%d . %d", e.Group, e.Group)
	case groupVerdicts:
		return fmt.Sprintf("%d : %s", e.Group, e.Verdict.text())
	case services:
		return fmt.Sprintf("%s . %d . %d", e.Addr, e.Protocol, e.Port)
	case addrServices:
		return fmt.Sprintf("%s . %d . %d : %s . %d", e.Addr, e.Protocol, e.Port, e.To, e.ToPort)
	case portServices:
		return fmt.Sprintf("%d . %d : %s . %d", e.Protocol, e.Port, e.To, e.ToPort)
	}
	return e.Addr.String()
}
