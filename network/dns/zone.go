package dns

import (
	"fmt"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// A Zone is a private hosted zone: what its names mean inside the VPC, whatever they mean outside.
type Zone struct {
	Name    string // "shop.internal", with or without the final dot
	Records []RecordSet

	// NegativeTTL is how long clients may remember that a name or a type is not there. 0 is 900 s, which is what Route 53
	// writes into the SOA record of a new zone.
	NegativeTTL time.Duration
}

// A RecordSet is the records of one name and type, or with a routing other than simple one choice among several of them.
type RecordSet struct {
	Name   string        // inside the zone: "db.shop.internal", "*.shop.internal"
	Type   string        // one of "A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"
	TTL    time.Duration // whole seconds, 0 to 2147483647 s
	Values []string      // at least one, in the form of zone files: "10 mail.shop.internal", "\"text\""; names without a final dot are whole, too

	Routing   Routing
	SetID     string // tells sets of one name and type apart; required and unique unless the routing is Simple
	Weight    int    // 0 to 255, of Weighted
	Unhealthy bool   // a health check fails: see Routing
}

// Routing says which of the record sets of a name and type is the answer.
type Routing int

const (
	// Simple is one set, whose records are returned in random order.
	Simple Routing = iota
	// Multivalue returns up to eight records of healthy sets in random order, or of all if none is healthy.
	Multivalue
	// Weighted returns one healthy set, in proportion to the weights, or of all if none is healthy. A set of weight 0 is
	// returned only if no other one that counts has a weight.
	Weighted
)

// maxMultivalue is how many records Route 53 puts into a multivalue answer.
const maxMultivalue = 8

const defaultNegativeTTL = 900 * time.Second

// recordTypes are those that a private hosted zone of Route 53 can hold, but SOA, which is the zone's own, and DS.
func recordTypes() []uint16 {
	return []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeCAA, wire.TypeCNAME, wire.TypeHTTPS, wire.TypeMX, wire.TypeNAPTR, wire.TypeNS,
		wire.TypePTR, wire.TypeSRV, wire.TypeSSHFP, wire.TypeSVCB, wire.TypeTLSA, wire.TypeTXT}
}

// zone is a Zone made ready for queries. It does not change.
type zone struct {
	soa   *wire.SOA
	nodes map[string]*node // by canonical name; also names that only have names below them
}

// node is what a name has: the choice of record sets for each type.
type node struct {
	types map[uint16]*choice
}

// choice is the record sets of one name and type.
type choice struct {
	routing Routing
	sets    []recordSet
}

type recordSet struct {
	id        string
	weight    int
	unhealthy bool
	records   []wire.RR
}

// compile checks a zone and makes it ready.
func compile(z Zone) (*zone, error) {
	name, err := canonical(z.Name)
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", z.Name, err)
	}
	if name == "." {
		return nil, fmt.Errorf("zone %q: %w: a zone cannot be the root", z.Name, ErrInvalid)
	}
	if z.NegativeTTL == 0 {
		z.NegativeTTL = defaultNegativeTTL
	}
	ttl, err := seconds(z.NegativeTTL)
	if err != nil {
		return nil, fmt.Errorf("zone %q: NegativeTTL: %w", z.Name, err)
	}
	c := &zone{soa: newSOA(name, ttl), nodes: map[string]*node{name: {}}}
	for i, r := range z.Records {
		if err := c.add(name, r); err != nil {
			return nil, fmt.Errorf("zone %q: record set %d, %s %s: %w", z.Name, i, r.Name, r.Type, err)
		}
	}
	return c, c.checkCNAMEs()
}

// newSOA returns the record that negative answers carry. Its figures but the TTL are Route 53's and mean nothing here:
// nobody transfers the zone.
func newSOA(zone string, ttl uint32) *wire.SOA {
	return &wire.SOA{
		Hdr: wire.RR_Header{Name: zone, Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: ttl},
		Ns:  "ns." + zone, Mbox: "hostmaster." + zone, Serial: 1, Refresh: 7200, Retry: 900, Expire: 1209600, Minttl: ttl,
	}
}

// add puts a record set into a zone.
func (z *zone) add(apex string, r RecordSet) error {
	name, err := canonical(r.Name)
	if err != nil {
		return err
	}
	if !wire.IsSubDomain(apex, name) {
		return fmt.Errorf("%w: the name is not in the zone", ErrInvalid)
	}
	records, err := parseRecords(name, r)
	if err != nil {
		return err
	}
	kind := wire.StringToType[r.Type]
	if kind == wire.TypeCNAME && name == apex {
		return fmt.Errorf("%w: the zone's own name cannot be a CNAME", ErrInvalid)
	}
	if r.Weight < 0 || r.Weight > 255 {
		return fmt.Errorf("%w: weight %d is not in 0 to 255", ErrInvalid, r.Weight)
	}
	n := z.node(apex, name)
	if n.types == nil {
		n.types = map[uint16]*choice{}
	}
	if n.types[kind] == nil {
		n.types[kind] = &choice{routing: r.Routing}
	}
	return n.types[kind].add(r, records)
}

func (c *choice) add(r RecordSet, records []wire.RR) error {
	switch {
	case r.Routing < Simple || r.Routing > Weighted:
		return fmt.Errorf("%w: there is no routing %d", ErrInvalid, r.Routing)
	case r.Routing != c.routing:
		return fmt.Errorf("%w: another set of this name and type has another routing", ErrInvalid)
	case r.Routing == Simple && len(c.sets) > 0:
		return fmt.Errorf("%w: there is another set of this name and type", ErrInvalid)
	case r.Routing != Simple && r.SetID == "":
		return fmt.Errorf("%w: SetID is required unless the routing is simple", ErrInvalid)
	}
	for _, s := range c.sets {
		if s.id == r.SetID {
			return fmt.Errorf("%w: there is another set %q of this name and type", ErrInvalid, r.SetID)
		}
	}
	c.sets = append(c.sets, recordSet{r.SetID, r.Weight, r.Unhealthy, records})
	return nil
}

// node returns the node of a name, and makes it and those between it and the zone's own.
func (z *zone) node(apex, name string) *node {
	for at := name; at != apex; at = parent(at) {
		if z.nodes[at] == nil {
			z.nodes[at] = &node{}
		}
	}
	return z.nodes[name]
}

// checkCNAMEs refuses a CNAME beside anything else, and several at once: RFC 1034, section 3.6.2.
func (z *zone) checkCNAMEs() error {
	for name, n := range z.nodes {
		c := n.types[wire.TypeCNAME]
		if c == nil {
			continue
		}
		several := slices.ContainsFunc(c.sets, func(s recordSet) bool { return len(s.records) > 1 })
		if len(n.types) > 1 || several || c.routing == Multivalue {
			return fmt.Errorf("zone %q: %w: %s has a CNAME and other records", z.soa.Hdr.Name, ErrInvalid, name)
		}
	}
	return nil
}

// parseRecords makes records of the values of a set.
func parseRecords(name string, r RecordSet) ([]wire.RR, error) {
	kind, known := wire.StringToType[r.Type]
	if !known || !slices.Contains(recordTypes(), kind) {
		return nil, fmt.Errorf("%w: a zone cannot hold records of type %q", ErrInvalid, r.Type)
	}
	ttl, err := seconds(r.TTL)
	if err != nil {
		return nil, fmt.Errorf("TTL: %w", err)
	}
	if len(r.Values) == 0 {
		return nil, fmt.Errorf("%w: it has no values", ErrInvalid)
	}
	var records []wire.RR
	for _, v := range r.Values {
		rr, err := parseValue(v, r.Type)
		if err != nil {
			return nil, err
		}
		*rr.Header() = wire.RR_Header{Name: name, Rrtype: kind, Class: wire.ClassINET, Ttl: ttl}
		records = append(records, rr)
	}
	return records, nil
}

// parseValue makes a record of a value. A newline would be the end of the record, and a parenthesis let it go on.
func parseValue(value, kind string) (wire.RR, error) {
	if strings.TrimSpace(value) == "" || strings.ContainsAny(value, "\r\n\x00") {
		return nil, fmt.Errorf("%w: the value %q is not one of type %s", ErrInvalid, value, kind)
	}
	rr, err := wire.NewRR(". 0 IN " + kind + " " + value)
	if err != nil || rr == nil || wire.Type(rr.Header().Rrtype).String() != kind {
		return nil, fmt.Errorf("%w: the value %q is not one of type %s", ErrInvalid, value, kind)
	}
	return rr, nil
}

// seconds converts a TTL.
func seconds(d time.Duration) (uint32, error) {
	const most = 1<<31 - 1 // RFC 2181, section 8
	if d < 0 || d > most*time.Second || d%time.Second != 0 {
		return 0, fmt.Errorf("%w: %v is not 0 to %d whole seconds", ErrInvalid, d, most)
	}
	return uint32(d / time.Second), nil
}

// canonical returns a name in lower case and with its final dot.
func canonical(name string) (string, error) {
	if _, ok := wire.IsDomainName(name); !ok || name == "" {
		return "", fmt.Errorf("%w: %q is not a domain name", ErrInvalid, name)
	}
	return wire.CanonicalName(name), nil
}

// parent returns a canonical name without its first label; that of the root is the root.
func parent(name string) string {
	next, end := wire.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}
