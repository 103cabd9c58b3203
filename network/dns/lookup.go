package dns

import (
	"slices"

	wire "github.com/miekg/dns"
)

// result is what one zone knows of one question.
type result struct {
	rcode   int       // RcodeSuccess or RcodeNameError
	records []wire.RR // of the type, or the CNAME in their place
	target  string    // of that CNAME, canonical
	soa     *wire.SOA // of the zone, if there are no records
}

// chance returns a number below n, at random.
type chance func(n int) int

// lookup answers a question about a canonical name of the zone.
func (z *zone) lookup(name string, kind uint16, random chance) result {
	n := z.find(name)
	switch {
	case n == nil:
		return result{rcode: wire.RcodeNameError, soa: z.soa}
	case kind == wire.TypeSOA && name == z.soa.Hdr.Name:
		return result{records: []wire.RR{z.soa}}
	case kind == wire.TypeANY:
		return result{records: []wire.RR{minimalAny()}}
	}
	if c := n.types[kind]; c != nil {
		return result{records: c.pick(random)}
	}
	if c := n.types[wire.TypeCNAME]; c != nil {
		if records := c.pick(random); len(records) == 1 {
			return result{records: records, target: wire.CanonicalName(records[0].(*wire.CNAME).Target)}
		}
	}
	return result{soa: z.soa}
}

// find returns the node that answers for a name: its own, or the wildcard below the closest name that exists (RFC 4592).
func (z *zone) find(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	for at := parent(name); at != "."; at = parent(at) {
		if z.nodes[at] != nil {
			return z.nodes["*."+at]
		}
	}
	return nil
}

// minimalAny is the answer to a question for all types of a name that exists: RFC 8482, section 4.2.
func minimalAny() wire.RR {
	return &wire.HINFO{Hdr: wire.RR_Header{Rrtype: wire.TypeHINFO, Class: wire.ClassINET, Ttl: 3600}, Cpu: "RFC8482"}
}

// pick chooses the records of an answer.
func (c *choice) pick(random chance) []wire.RR {
	sets := c.candidates()
	if c.routing == Weighted {
		return weighted(sets, random).records
	}
	var all []wire.RR
	for _, s := range sets {
		all = append(all, s.records...)
	}
	shuffle(all, random)
	if c.routing == Multivalue && len(all) > maxMultivalue {
		all = all[:maxMultivalue]
	}
	return all
}

// candidates returns the healthy sets, or all if none is.
func (c *choice) candidates() []recordSet {
	sick := func(s recordSet) bool { return s.unhealthy }
	if !slices.ContainsFunc(c.sets, sick) {
		return c.sets
	}
	if healthy := slices.DeleteFunc(slices.Clone(c.sets), sick); len(healthy) > 0 {
		return healthy
	}
	return c.sets
}

func total(sets []recordSet) (sum int) {
	for _, s := range sets {
		sum += s.weight
	}
	return sum
}

// weighted chooses one set in proportion to the weights, or evenly if there are none.
func weighted(sets []recordSet, random chance) recordSet {
	sum := total(sets)
	if sum == 0 {
		return sets[random(len(sets))]
	}
	at := random(sum)
	for _, s := range sets {
		if at -= s.weight; at < 0 {
			return s
		}
	}
	return sets[0]
}

// shuffle puts records in random order.
func shuffle(records []wire.RR, random chance) {
	for i := len(records) - 1; i > 0; i-- {
		j := random(i + 1)
		records[i], records[j] = records[j], records[i]
	}
}
