package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pattern is a compiled text of a policy: a literal, one with wildcards, or one with policy variables as well. The
// simple shapes, which are nearly all there are, need no tokens.
type pattern struct {
	shape  shape
	text   string  // the literal, the part before the final "*", or the text with wildcards
	tokens []token // shapeTokens only
}

type shape uint8

const (
	shapeLiteral shape = iota
	shapeAny           // "*"
	shapePrefix        // a literal and then "*"
	shapeGlob          // "*" and "?" anywhere, nothing else special
	shapeTokens        // variables or escaped wildcards
)

type tokenKind uint8

const (
	tokenLiteral tokenKind = iota
	tokenAny
	tokenOne
	tokenVariable
)

// token is one element of a pattern with variables.
type token struct {
	kind       tokenKind
	hasDefault bool
	text       string // the literal, or a variable's default
	key        keyName
}

// how says which characters of a text are special.
type how struct {
	wildcards bool
	variables bool
}

// newPattern compiles a text. The error says what is wrong with a variable.
func newPattern(text string, h how) (pattern, string) {
	if h.variables && strings.Contains(text, "${") {
		return tokenPattern(text, h)
	}
	if !h.wildcards {
		return pattern{text: text}, ""
	}
	switch i := strings.IndexAny(text, "*?"); {
	case i < 0:
		return pattern{text: text}, ""
	case text == "*":
		return pattern{shape: shapeAny}, ""
	case i == len(text)-1 && text[i] == '*':
		return pattern{shape: shapePrefix, text: text[:i]}, ""
	}
	return pattern{shape: shapeGlob, text: text}, ""
}

func tokenPattern(text string, h how) (pattern, string) {
	var tokens []token
	literal := func(s string) {
		if n := len(tokens); n > 0 && tokens[n-1].kind == tokenLiteral {
			tokens[n-1].text += s
		} else if s != "" {
			tokens = append(tokens, token{text: s})
		}
	}
	for text != "" {
		special := "$"
		if h.wildcards {
			special = "$*?"
		}
		i := strings.IndexAny(text, special)
		if i < 0 {
			i = len(text)
		}
		literal(text[:i])
		if text = text[i:]; text == "" {
			break
		}
		switch {
		case text[0] == '*':
			tokens = append(tokens, token{kind: tokenAny})
		case text[0] == '?':
			tokens = append(tokens, token{kind: tokenOne})
		case !strings.HasPrefix(text, "${"):
			literal("$")
		default:
			t, n, problem := variable(text)
			if problem != "" {
				return pattern{}, problem
			}
			if t.kind == tokenLiteral {
				literal(t.text)
			} else {
				tokens = append(tokens, t)
			}
			text = text[n-1:]
		}
		text = text[1:]
	}
	if len(tokens) == 1 && tokens[0].kind == tokenLiteral {
		return pattern{text: tokens[0].text}, ""
	}
	return pattern{shape: shapeTokens, tokens: tokens}, ""
}

// variable reads ${key}, ${key, 'default'} or one of the escapes ${*} ${?} ${$} at the start of text, and says how
// many bytes it takes.
func variable(text string) (t token, n int, problem string) {
	end := strings.IndexAny(text, ",}")
	if end < 0 {
		return t, 0, "the variable has no closing brace"
	}
	key := strings.TrimSpace(text[2:end])
	if text[end] == '}' {
		switch key {
		case "*", "?", "$":
			return token{text: key}, end + 1, ""
		case "":
			return t, 0, "the variable has no name"
		}
		return token{kind: tokenVariable, key: newKeyName(key)}, end + 1, ""
	}
	rest := strings.TrimLeft(text[end+1:], " ")
	if key == "" || rest == "" || rest[0] != '\'' {
		return t, 0, "the default of the variable must be in single quotes"
	}
	value, after, ok := strings.Cut(rest[1:], "'")
	if !ok || !strings.HasPrefix(after, "}") {
		return t, 0, "the default of the variable must end in a single quote and a brace"
	}
	return token{kind: tokenVariable, key: newKeyName(key), hasDefault: true, text: value}, len(text) - len(after) + 1, ""
}

// match reports whether the pattern covers all of s. A variable without a value makes it match nothing.
func (p *pattern) match(c *Context, s string) bool {
	switch p.shape {
	case shapeLiteral:
		return p.text == s
	case shapeAny:
		return true
	case shapePrefix:
		return strings.HasPrefix(s, p.text)
	case shapeGlob:
		return glob(p.text, s)
	}
	return matchTokens(p.tokens, c, s)
}

// glob matches in linear time for each "*": only the last one seen ever needs to give more.
func glob(p, s string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
			continue
		case i < len(p) && p[i] == '?':
			_, n := utf8.DecodeRuneInString(s[j:])
			i++
			j += n
			continue
		case i < len(p) && p[i] == s[j]:
			i++
			j++
			continue
		case star < 0:
			return false
		}
		from += runeLen(s[from:])
		i, j = star+1, from
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// runeLen is the length of the first character of s, which is not empty.
func runeLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// matchTokens is glob for tokens.
func matchTokens(tokens []token, c *Context, s string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for i < len(tokens) || j < len(s) {
		if i < len(tokens) && tokens[i].kind == tokenAny {
			star, from = i, j
			i++
			continue
		}
		if i < len(tokens) {
			n, ok := tokens[i].take(c, s[j:])
			if n < 0 {
				return false
			}
			if ok {
				i++
				j += n
				continue
			}
		}
		if star < 0 || from >= len(s) {
			return false
		}
		from += runeLen(s[from:])
		i, j = star+1, from
	}
	return true
}

// take matches the token at the start of s and says how many bytes it took; -1 means that nothing can match it.
func (t *token) take(c *Context, s string) (int, bool) {
	if t.kind == tokenOne {
		_, n := utf8.DecodeRuneInString(s)
		return n, n > 0
	}
	text, ok := t.value(c)
	if !ok {
		return -1, false
	}
	return len(text), strings.HasPrefix(s, text)
}

// value is the text that a literal or a variable stands for.
func (t *token) value(c *Context) (string, bool) {
	if t.kind == tokenLiteral {
		return t.text, true
	}
	if values := c.lookup(&t.key); len(values) == 1 {
		return values[0], true
	}
	return t.text, t.hasDefault
}

// equalFold is match for literals and variables with the case of letters ignored.
func (p *pattern) equalFold(c *Context, s string) bool {
	if p.shape == shapeLiteral {
		return strings.EqualFold(p.text, s)
	}
	for i := range p.tokens {
		text, ok := p.tokens[i].value(c)
		if !ok {
			return false
		}
		for _, want := range text {
			have, n := utf8.DecodeRuneInString(s)
			if n == 0 || !sameLetter(want, have) {
				return false
			}
			s = s[n:]
		}
	}
	return s == ""
}

// sameLetter compares as strings.EqualFold does.
func sameLetter(a, b rune) bool {
	if a == b {
		return true
	}
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
}

// lower folds a byte as action names and condition keys are compared: ASCII only.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// lowerString is strings.ToLower for ASCII; without a capital letter it costs no memory.
func lowerString(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}

// matchFold is match for a pattern in lower case, without variables, against any spelling of s.
func (p *pattern) matchFold(s string) bool {
	switch p.shape {
	case shapeLiteral:
		last := len(s) - 1 // names of one service differ at the end, if not in length
		return len(p.text) == len(s) && (last < 0 || lower(s[last]) == p.text[last]) && prefixFold(s, p.text)
	case shapeAny:
		return true
	case shapePrefix:
		return prefixFold(s, p.text)
	}
	return globFold(p.text, s)
}

// prefixFold reports whether s begins with prefix, which is in lower case.
func prefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := 0; i < len(prefix); i++ {
		if lower(s[i]) != prefix[i] {
			return false
		}
	}
	return true
}

// globFold is glob with s folded byte by byte, so that no folded copy is needed.
func globFold(p, s string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
			continue
		case i < len(p) && (p[i] == '?' || p[i] == lower(s[j])):
			i++
			j++
			continue
		case star < 0:
			return false
		}
		from++
		i, j = star+1, from
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
