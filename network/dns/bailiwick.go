package dns

import (
	wire "github.com/miekg/dns"
)

// maxAliases is how many CNAMEs of an answer are followed.
const maxAliases = 16

// asked keeps of the records of an answer those that are about the question: of its type, and of its name or of one that a
// chain of CNAMEs leads to from there. A server may send others along, and clients that remember them would believe it about
// names that are not its own. Nothing here remembers them: the cache knows an answer by its question alone.
func (q question) asked(answer, authority []wire.RR) (kept, about []wire.RR) {
	chain := q.chain(answer)
	for _, rr := range answer {
		h := rr.Header()
		name := wire.CanonicalName(h.Name)
		switch {
		case h.Rrtype == wire.TypeDNAME, h.Rrtype == wire.TypeRRSIG && !chain[name]:
			if above(name, chain) {
				kept = append(kept, rr)
			}
		case chain[name] && (h.Rrtype == q.kind || h.Rrtype == wire.TypeCNAME || h.Rrtype == wire.TypeRRSIG):
			kept = append(kept, rr)
		}
	}
	for _, rr := range authority {
		switch kind := rr.Header().Rrtype; kind {
		case wire.TypeNSEC, wire.TypeNSEC3, wire.TypeRRSIG: // of names beside the one that is not there; they are signed
			if q.do {
				about = append(about, rr)
			}
		default:
			if above(wire.CanonicalName(rr.Header().Name), chain) {
				about = append(about, rr)
			}
		}
	}
	return kept, about
}

// chain returns the question's name and those that CNAMEs lead to.
func (q question) chain(answer []wire.RR) map[string]bool {
	chain := map[string]bool{q.name: true}
	if q.kind == wire.TypeCNAME {
		return chain
	}
	targets := map[string]string{}
	for _, rr := range answer {
		if c, ok := rr.(*wire.CNAME); ok {
			targets[wire.CanonicalName(c.Hdr.Name)] = wire.CanonicalName(c.Target)
		}
	}
	at := q.name
	for range maxAliases {
		next, ok := targets[at]
		if !ok || chain[next] {
			break
		}
		chain[next] = true
		at = next
	}
	return chain
}

// above reports whether a name is one of the chain or above one.
func above(name string, chain map[string]bool) bool {
	for c := range chain {
		if wire.IsSubDomain(name, c) {
			return true
		}
	}
	return false
}
