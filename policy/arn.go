package policy

import "strings"

// splitARN is an ARN cut at its first five colons. The sixth part keeps its colons.
type splitARN struct {
	parts [6]string
	n     int // parts there are; 6 for an ARN
}

func splitRequestARN(s string) (a splitARN) {
	for a.n < 5 {
		i := strings.IndexByte(s, ':')
		if i < 0 {
			break
		}
		a.parts[a.n] = s[:i]
		a.n++
		s = s[i+1:]
	}
	a.parts[a.n] = s
	a.n++
	return a
}

// accountOf is the account in an ARN, "" when it has none.
func accountOf(arn string) string {
	colons, from := 0, 0
	for i := 0; i < len(arn); i++ {
		if arn[i] != ':' {
			continue
		}
		if colons++; colons == 5 {
			return arn[from:i]
		}
		from = i + 1
	}
	return ""
}

// splitPattern cuts a pattern at its first five colons, leaving alone those inside ${…}.
func splitPattern(s string) (parts [6]string, n int) {
	start, depth := 0, false
	for i := 0; i < len(s) && n < 5; i++ {
		switch {
		case depth:
			depth = s[i] != '}'
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			depth = true
		case s[i] == ':':
			parts[n] = s[start:i]
			n++
			start = i + 1
		}
	}
	parts[n] = s[start:]
	return parts, n + 1
}

// arnPattern covers ARNs part by part: a wildcard in one of the first five parts does not reach over a colon, one in
// the sixth does. Patterns whose only special character is a final "*" in the sixth part need no cutting.
type arnPattern struct {
	shape shape // shapeLiteral, shapeAny, shapePrefix; shapeGlob looks at parts
	text  string
	parts []pattern // six
}

// compile reads a pattern of Resource, NotResource or an ARN operator. In resources variables count only in the sixth
// part. A pattern with fewer than six parts is filled up with "*", as IAM's own error texts show that it does.
func (p *arnPattern) compile(text string, h how, resource bool) (problem string) {
	if text == "*" {
		p.shape = shapeAny
		return ""
	}
	raw, n := splitPattern(text)
	variables := h.variables && strings.Contains(text, "${")
	p.text = text
	if star := strings.IndexAny(text, "*?"); n == 6 && !variables {
		if star < 0 {
			return ""
		}
		if star == len(text)-1 && text[star] == '*' {
			p.shape, p.text = shapePrefix, text[:star]
			return ""
		}
	}
	p.shape, p.parts = shapeGlob, make([]pattern, 6)
	for i := range p.parts {
		if i >= n {
			p.parts[i].shape = shapeAny
			continue
		}
		ph := h
		if resource && i < 5 {
			ph.variables = false
		}
		if p.parts[i], problem = newPattern(raw[i], ph); problem != "" {
			return problem
		}
	}
	return ""
}

// match reports whether the pattern covers the ARN s. What is no ARN is covered by "*" alone. It cuts s into a when it
// first needs to, so a is empty or s cut before.
func (p *arnPattern) match(c *Context, s string, a *splitARN) bool {
	switch p.shape {
	case shapeAny:
		return true
	case shapeLiteral:
		return p.text == s
	case shapePrefix:
		return strings.HasPrefix(s, p.text)
	}
	if a.n == 0 {
		*a = splitRequestARN(s)
	}
	if a.n != 6 {
		return false
	}
	for i := range p.parts {
		if !p.parts[i].match(c, a.parts[i]) {
			return false
		}
	}
	return true
}
