package policy

import (
	"cmp"
	"strconv"
	"strings"
)

// number is a decimal number as written, compared digit by digit: 10 equals 10.0 and large ids lose nothing. Only one
// with an exponent is a float.
type number struct {
	negative bool
	whole    string // without leading zeros
	fraction string // without trailing zeros
	float    float64
	exponent bool
}

func parseNumber(s string) (n number, ok bool) {
	if strings.ContainsAny(s, "eE") {
		for i := 0; i < len(s); i++ { // keeps out what ParseFloat takes besides decimals: hex, Inf, underscores
			if strings.IndexByte("0123456789+-.eE", s[i]) < 0 {
				return n, false
			}
		}
		f, err := strconv.ParseFloat(s, 64)
		return number{float: f, exponent: true}, err == nil
	}
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole)+len(fraction) == 0 || !digitsOnly(whole) || !digitsOnly(fraction) {
		return n, false
	}
	n.whole, n.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if n.whole == "" && n.fraction == "" {
		n.negative = false
	}
	return n, true
}

func digitsOnly(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// compare is negative, zero or positive as n is less than, equal to or greater than m.
func (n *number) compare(m *number) int {
	if n.exponent || m.exponent {
		return cmp.Compare(n.approximate(), m.approximate())
	}
	if n.negative != m.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	order := cmp.Compare(len(n.whole), len(m.whole))
	if order == 0 {
		order = cmp.Compare(n.whole, m.whole)
	}
	if order == 0 {
		order = cmp.Compare(n.fraction, m.fraction)
	}
	if n.negative {
		return -order
	}
	return order
}

func (n *number) approximate() float64 {
	if n.exponent {
		return n.float
	}
	f := 0.0
	for i := 0; i < len(n.whole); i++ {
		f = f*10 + float64(n.whole[i]-'0')
	}
	scale := 0.1
	for i := 0; i < len(n.fraction); i++ {
		f += float64(n.fraction[i]-'0') * scale
		scale /= 10
	}
	if n.negative {
		return -f
	}
	return f
}
