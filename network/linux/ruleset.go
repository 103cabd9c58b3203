package linux

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"github.com/fardel-io/fardel/network"
)

// ruleset is one nftables table of family ip, as data. It renders to the text that `nft -f` would take, sorted where
// order has no meaning, so that tests compare text and need no kernel.
type ruleset struct {
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
	addrs      setKind = iota // IPv4 addresses
	interfaces                // names of interfaces
	sources                   // interface, IPv4 address and MAC of an ENI
	classes                   // map: IPv4 address → class
	verdicts                  // map: class → chain
)

// element is one element of a set; which fields count depends on the set's kind.
type element struct {
	Addr      netip.Addr
	Interface string
	MAC       network.MAC
	Class     uint32
	Verdict   verdict
}

// setElement is an element and the name and kind of the set that it belongs to.
type setElement struct {
	Set  string
	Kind setKind
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
	Type, Point string // "filter" or "nat"; "prerouting", "input", "forward", "postrouting"
	Priority    int    // of netfilter; -300 is before connection tracking, 0 is the filter's, 100 that of source NAT
	Drop        bool   // policy: drop instead of accept
}

// rule is a list of statements; a verdict comes last.
type rule []statement

// statement is a part of a rule.
type statement interface{ text() string }

type (
	iif          struct{ Name string }         // came in by the interface
	iifIn        struct{ Set string }          // came in by one of the interfaces
	oif          struct{ Name string }         // leaves by the interface
	oifIn        struct{ Set string }          // leaves by one of the interfaces
	notOIFIn     struct{ Set string }          // leaves by none of the interfaces
	source       struct{ Prefix netip.Prefix } // source address in the prefix
	sourceIn     struct{ Set string }          // source address in the set
	dest         struct{ Prefix netip.Prefix } // destination address in the prefix
	destIn       struct{ Set string }          // destination address in the set
	sourceCheck  struct{ Set string }          // interface, source address and source MAC are those of one ENI
	protocol     struct{ Number uint8 }        // the packet's protocol
	destPort     struct{ From, To uint16 }     // destination port of TCP or UDP
	icmp         struct{ Type, Code int }      // network.AnyICMP matches all
	tracked      struct{}                      // belongs to a known connection
	untracked    struct{}                      // cannot belong to any, such as an answer that nobody asked for
	classOf      struct{ Source bool }         // marks the packet with the class of its source or destination
	classVerdict struct{ Map string }          // decides by the mark
	masquerade   struct{}                      // takes the address of the interface it leaves by
	verdict      struct{ Kind, Chain string }  // "accept", "drop"; "jump" or "goto" a chain
)

func (s iif) text() string          { return "iifname " + quote(s.Name) }
func (s iifIn) text() string        { return "iifname @" + s.Set }
func (s oif) text() string          { return "oifname " + quote(s.Name) }
func (s oifIn) text() string        { return "oifname @" + s.Set }
func (s notOIFIn) text() string     { return "oifname != @" + s.Set }
func (s source) text() string       { return "ip saddr " + prefixText(s.Prefix) }
func (s sourceIn) text() string     { return "ip saddr @" + s.Set }
func (s dest) text() string         { return "ip daddr " + prefixText(s.Prefix) }
func (s destIn) text() string       { return "ip daddr @" + s.Set }
func (s sourceCheck) text() string  { return "iifname . ip saddr . ether saddr @" + s.Set }
func (s protocol) text() string     { return fmt.Sprintf("ip protocol %d", s.Number) }
func (s tracked) text() string      { return "ct state established,related" }
func (s untracked) text() string    { return "ct state invalid" }
func (s classVerdict) text() string { return "meta mark vmap @" + s.Map }
func (s masquerade) text() string   { return "masquerade" }
func (s verdict) text() string      { return strings.TrimSpace(s.Kind + " " + s.Chain) }

func (s destPort) text() string {
	if s.From == s.To {
		return fmt.Sprintf("th dport %d", s.From)
	}
	return fmt.Sprintf("th dport %d-%d", s.From, s.To)
}

func (s icmp) text() string {
	text := fmt.Sprintf("icmp type %d", s.Type)
	if s.Code != network.AnyICMP {
		text += fmt.Sprintf(" icmp code %d", s.Code)
	}
	return text
}

func (s classOf) text() string {
	if s.Source {
		return "meta mark set ip saddr map @" + classSet
	}
	return "meta mark set ip daddr map @" + classSet
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
	fmt.Fprintf(&b, "table ip %s {\n", r.Table)
	for _, s := range r.Sets {
		b.WriteString(s.text())
	}
	for _, c := range r.Chains {
		fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
		if c.Hook != nil {
			b.WriteString("\t\t" + c.Hook.text() + "\n")
		}
		for _, rule := range c.Rules {
			b.WriteString("\t\t" + rule.text() + "\n")
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

func (s set) text() string {
	word, kind := "set", ""
	switch s.Kind {
	case addrs:
		kind = "type ipv4_addr"
	case interfaces:
		kind = "type ifname"
	case sources:
		kind = "type ifname . ipv4_addr . ether_addr"
	case classes:
		word, kind = "map", "type ipv4_addr : mark"
	case verdicts:
		word, kind = "map", "type mark : verdict"
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
	case interfaces:
		return quote(e.Interface)
	case sources:
		return quote(e.Interface) + " . " + e.Addr.String() + " . " + e.MAC.String()
	case classes:
		return fmt.Sprintf("%s : %#08x", e.Addr, e.Class)
	case verdicts:
		return fmt.Sprintf("%#08x : %s", e.Class, e.Verdict.text())
	}
	return e.Addr.String()
}
