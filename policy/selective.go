package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// space is a kind of text that values of a condition key are compared in, when a bucket is split by them.
type space uint8

const (
	spaceNone space = iota
	spaceString
	spaceSuffix // from the end, for patterns that begin with a wildcard
	spaceARN
	spaceAddress
)

// space is the space of the operator's values; none where no trie can find them.
func (c *condition) space() space {
	if c.op.quantify != single || c.op.negated || c.op.ifExists {
		return spaceNone // true for what it does not list
	}
	switch c.op.of {
	case typeString:
		return spaceString
	case typeStringLike:
		if c.knownByEnds() {
			return spaceSuffix
		}
		return spaceString
	case typeARN:
		return spaceARN
	case typeIP:
		return spaceAddress
	}
	return spaceNone
}

// knownByEnds reports whether the ends of the values say more than their beginnings: one of them begins with a wildcard
// and none ends with one.
func (c *condition) knownByEnds() bool {
	beginnings := true
	for i := range c.patterns {
		if c.patterns[i].suffix() == "" {
			return false
		}
		beginnings = beginnings && c.patterns[i].place().path != ""
	}
	return !beginnings
}

// suffix is the literal that a pattern ends with.
func (p *pattern) suffix() string {
	switch p.shape {
	case shapeLiteral:
		return p.text
	case shapeGlob:
		return p.text[strings.LastIndexAny(p.text, "*?")+1:]
	case shapeTokens:
		if last := p.tokens[len(p.tokens)-1]; last.kind == tokenLiteral {
			return last.text
		}
	}
	return ""
}

// maxSuffix is how many bytes from the end are looked at: as many as a string has that needs no memory of its own.
const maxSuffix = 32

// suffixPath spells the end of s backwards.
func suffixPath(buf *[maxSuffix]byte, s string) []byte {
	n := min(len(s), maxSuffix)
	for i := range n {
		buf[i] = s[len(s)-1-i]
	}
	return buf[:n]
}

// places lists where the condition's values stand in a trie of its space. The condition is true only for values found
// there; whether it is true for them is still to be checked. exact says that all of them are whole values.
func (c *condition) places() (places []place, exact bool) {
	exact = true
	add := func(p place) {
		places = append(places, p)
		exact = exact && !p.below
	}
	switch c.space() {
	case spaceString:
		for i := range c.patterns {
			add(c.patterns[i].place())
		}
	case spaceSuffix:
		for i := range c.patterns {
			var path [maxSuffix]byte
			add(place{path: string(suffixPath(&path, c.patterns[i].suffix())), below: true})
		}
	case spaceARN:
		for i := range c.arns {
			add(c.arns[i].place())
		}
	case spaceAddress:
		for _, p := range c.prefixes {
			var path [maxAddressPath]byte
			add(place{path: string(addressPath(&path, p.Addr(), p.Bits())), below: true})
		}
	}
	return places, exact
}

// maxAddressPath is a byte for the family and one for each half byte of an address, as far as a string needs no memory
// of its own: a longer IPv6 prefix stands above its place, and is checked there.
const maxAddressPath = 1 + 24

// addressPath spells the first bits of an address, rounded down to half bytes.
func addressPath(buf *[maxAddressPath]byte, a netip.Addr, prefix int) []byte {
	raw, first := a.As16(), 0
	buf[0] = '6'
	if a.Is4() {
		buf[0], first = '4', 12
	}
	n := 1
	for half := 0; half < prefix/4 && n < maxAddressPath; half++ {
		b := raw[first+half/2]
		if half%2 == 0 {
			b >>= 4
		}
		buf[n] = b & 15
		n++
	}
	return buf[:n]
}

// findSelective lists the conditions that buckets are split by: those with whole values before those with prefixes.
// Together they list no more than maxAlternatives combinations of values.
func (m *member) findSelective() {
	combinations := 1
	for _, wantExact := range [...]bool{true, false} {
		for _, c := range m.conditions {
			places, exact := c.places()
			useless := func(p place) bool { return p.path == "" }
			if exact != wantExact || len(places) == 0 || len(places)*combinations > maxAlternatives || slices.ContainsFunc(places, useless) {
				continue
			}
			combinations *= len(places)
			m.selective = append(m.selective, c)
		}
	}
}

// search looks at the statements of a split that want a value like the request's.
func (e *evaluation) search(m *memo, s *split) bool {
	values := e.request.Context.lookup(&s.key)
	if len(values) != 1 {
		return false // an operator without a set operator is false then
	}
	if s.space == spaceSuffix {
		var path [maxSuffix]byte
		return e.walkResources(m, s.tree, string(suffixPath(&path, values[0])))
	}
	if s.space != spaceAddress {
		return e.walkResources(m, s.tree, values[0])
	}
	a, err := netip.ParseAddr(values[0])
	if err != nil {
		return false
	}
	var path [maxAddressPath]byte
	return e.walkResources(m, s.tree, string(addressPath(&path, a, a.BitLen())))
}
