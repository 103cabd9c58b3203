package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
)

// condition is one key of one operator of a statement, with all its values.
type condition struct {
	op        operator
	key       keyName
	slot      uint8  // where evaluation remembers the answer
	signature string // equal signatures mean equal conditions

	patterns []pattern // typeString*, and typeBool with variables
	arns     []arnPattern
	numbers  []number
	dates    []instant
	prefixes []netip.Prefix
	binaries [][]byte
	yes, no  bool // typeBool, typeNull: "true" or "false" is listed
}

// add compiles one value. The answer says what is wrong with it.
func (c *condition) add(text string, variables bool) (problem string) {
	switch c.op.of {
	case typeString, typeStringFold, typeStringLike:
		return c.addPattern(text, how{wildcards: c.op.of == typeStringLike, variables: variables})
	case typeARN:
		var p arnPattern
		problem := p.compile(text, how{wildcards: true, variables: variables}, false)
		c.arns = append(c.arns, p)
		return problem
	case typeNumeric:
		n, ok := parseNumber(text)
		if !ok {
			return "is not a number"
		}
		c.numbers = append(c.numbers, n)
	case typeDate:
		d, ok := parseInstant(text)
		if !ok {
			return "is neither a date of ISO 8601 nor epoch seconds"
		}
		c.dates = append(c.dates, d)
	case typeIP:
		p, ok := parsePrefix(text)
		if !ok {
			return "is neither an address nor a CIDR block"
		}
		c.prefixes = append(c.prefixes, p)
	case typeBinary:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "is not base64"
		}
		c.binaries = append(c.binaries, b)
	default:
		return c.addBool(text, variables)
	}
	return ""
}

func (c *condition) addPattern(text string, h how) (problem string) {
	p, problem := newPattern(text, h)
	c.patterns = append(c.patterns, p)
	return problem
}

func (c *condition) addBool(text string, variables bool) (problem string) {
	switch {
	case strings.EqualFold(text, "true"):
		c.yes = true
	case strings.EqualFold(text, "false"):
		c.no = true
	case c.op.of == typeBool && variables && strings.Contains(text, "${"):
		// The guide's page on operators allows variables in Bool, its page on variables does not.
		return c.addPattern(text, how{variables: true})
	default:
		return "is neither true nor false"
	}
	return ""
}

// parsePrefix reads a CIDR block, or an address, which is a block of one.
func parsePrefix(s string) (netip.Prefix, bool) {
	if strings.IndexByte(s, '/') < 0 {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// holds evaluates the condition by the table in the user guide: what a missing key means depends on the operator.
func (c *condition) holds(ctx *Context) bool {
	values := ctx.lookup(&c.key)
	if c.op.of == typeNull {
		// An empty list is no value. With both true and false listed Null always holds.
		return len(values) == 0 && c.yes || len(values) > 0 && c.no
	}
	if len(values) == 0 {
		switch {
		case c.op.ifExists, c.op.quantify == forAllValues:
			return true
		case c.op.quantify == forAnyValue:
			return false
		}
		return c.op.negated
	}
	switch c.op.quantify {
	case forAllValues:
		for _, v := range values {
			if c.test(ctx, v) == c.op.negated {
				return false
			}
		}
		return true
	case forAnyValue:
		for _, v := range values {
			if c.test(ctx, v) != c.op.negated {
				return true
			}
		}
		return false
	}
	// Without a set operator a key with several values matches nothing, not even a negated operator.
	return len(values) == 1 && c.test(ctx, values[0]) != c.op.negated
}

// test reports whether any value of the policy matches the value of the request, before negation. A request value of
// the wrong type matches nothing.
func (c *condition) test(ctx *Context, v string) bool {
	switch c.op.of {
	case typeString, typeStringLike:
		for i := range c.patterns {
			if c.patterns[i].match(ctx, v) {
				return true
			}
		}
	case typeStringFold:
		return c.testFold(ctx, v)
	case typeARN:
		var a splitARN
		for i := range c.arns {
			if c.arns[i].match(ctx, v, &a) {
				return true
			}
		}
	case typeNumeric:
		return c.testNumber(v)
	case typeDate:
		return c.testDate(v)
	case typeIP:
		return c.testAddress(v)
	case typeBinary:
		for _, b := range c.binaries {
			if equalBase64(v, b) {
				return true
			}
		}
	case typeBool:
		return c.yes && strings.EqualFold(v, "true") || c.no && strings.EqualFold(v, "false") || c.testFold(ctx, v)
	}
	return false
}

func (c *condition) testFold(ctx *Context, v string) bool {
	for i := range c.patterns {
		if c.patterns[i].equalFold(ctx, v) {
			return true
		}
	}
	return false
}

func (c *condition) testNumber(v string) bool {
	n, ok := parseNumber(v)
	if !ok {
		return false
	}
	for i := range c.numbers {
		if c.op.relation.holds(n.compare(&c.numbers[i])) {
			return true
		}
	}
	return false
}

func (c *condition) testDate(v string) bool {
	t, ok := parseInstant(v)
	if !ok {
		return false
	}
	for i := range c.dates {
		if c.op.relation.holds(t.compare(&c.dates[i])) {
			return true
		}
	}
	return false
}

// testAddress compares by family too: an IPv6 address is in no IPv4 block.
func (c *condition) testAddress(v string) bool {
	a, err := netip.ParseAddr(v)
	if err != nil {
		return false
	}
	for _, p := range c.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// equalBase64 reports whether s is base64 of b. It decodes four characters at a time and keeps nothing.
func equalBase64(s string, b []byte) bool {
	if len(s)%4 != 0 || len(s)/4 != (len(b)+2)/3 {
		return false
	}
	for ; s != ""; s = s[4:] {
		var in [4]byte
		var out [3]byte
		copy(in[:], s)
		n, err := base64.StdEncoding.Decode(out[:], in[:])
		if err != nil || n > len(b) || n < 3 && len(s) > 4 || string(out[:n]) != string(b[:n]) {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}
