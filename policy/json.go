package policy

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits against hostile input: IAM's largest quota is 20 KiB, and nothing in a policy nests deeper than seven.
const (
	maxDocument = 1 << 20
	maxDepth    = 32
)

type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// node is one JSON value of a document. All nodes of a document stand in one slice and name each other by index, which
// costs one allocation a document; index 0 is the root, so 0 also stands for "no child" and "no next one".
type node struct {
	kind  jsonKind
	at    int32 // offset of the first byte
	end   int32 // offset behind the last byte
	keyAt int32
	child int32
	next  int32
	key   string // name, of a member of an object
	text  string // decoded string, or the literal of a number or bool
}

// jsonError is a violation of JSON itself; the caller puts it in AWS's words.
type jsonError struct {
	at         int
	detail     string
	characters bool // outside the characters that IAM takes at all
}

type reader struct {
	text  string
	pos   int
	depth int
	nodes []node
	err   *jsonError
}

// readJSON parses a whole document strictly: RFC 8259, no member twice, only the characters that IAM takes.
func readJSON(text string) ([]node, *jsonError) {
	if len(text) > maxDocument {
		return nil, &jsonError{detail: "is larger than " + strconv.Itoa(maxDocument) + " bytes"}
	}
	if e := checkCharacters(text); e != nil {
		return nil, e
	}
	r := reader{text: text, nodes: make([]node, 0, 16+len(text)/16)}
	r.space()
	r.value()
	r.space()
	if r.err == nil && r.pos < len(text) {
		r.fail(r.pos, "text after the end of the document")
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.nodes, nil
}

// checkCharacters holds the document to U+0009, U+000A, U+000D and U+0020 to U+00FF.
func checkCharacters(text string) *jsonError {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf || c == '\t' || c == '\n' || c == '\r' {
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		if r < ' ' || r > 0xFF || r == utf8.RuneError {
			return &jsonError{at: i, characters: true, detail: "character " + strconv.QuoteRune(r) + " is not allowed"}
		}
		i += n - 1
	}
	return nil
}

func (r *reader) fail(at int, detail string) {
	if r.err == nil {
		r.err = &jsonError{at: at, detail: detail}
	}
}

func (r *reader) space() {
	for r.pos < len(r.text) {
		switch r.text[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

// value reads one value and returns its index.
func (r *reader) value() int32 {
	if r.pos == len(r.text) {
		r.fail(r.pos, "unexpected end of the document")
		return 0
	}
	i := int32(len(r.nodes))
	r.nodes = append(r.nodes, node{at: int32(r.pos)})
	switch c := r.text[r.pos]; {
	case c == '{':
		r.nodes[i].kind = jsonObject
		r.members(i, '}')
	case c == '[':
		r.nodes[i].kind = jsonArray
		r.members(i, ']')
	case c == '"':
		text := r.str()
		r.nodes[i].kind, r.nodes[i].text = jsonString, text
	case c == '-' || c >= '0' && c <= '9':
		text := r.number()
		r.nodes[i].kind, r.nodes[i].text = jsonNumber, text
	default:
		r.word(i)
	}
	r.nodes[i].end = int32(r.pos)
	return i
}

func (r *reader) word(i int32) {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(r.text[r.pos:], w) {
			r.pos += len(w)
			r.nodes[i].text = w
			if w != "null" {
				r.nodes[i].kind = jsonBool
			}
			return
		}
	}
	r.fail(r.pos, "want a JSON value")
}

// members reads the values of an array or an object up to its closing byte and links them to their parent.
func (r *reader) members(parent int32, closing byte) {
	if r.depth++; r.depth > maxDepth {
		r.fail(r.pos, "nested too deeply")
		return
	}
	r.pos++
	last, seen := int32(0), members{}
	for r.err == nil {
		r.space()
		if last == 0 && r.pos < len(r.text) && r.text[r.pos] == closing {
			break
		}
		key, keyAt := "", r.pos
		if closing == '}' {
			key = r.name(&seen)
		}
		i := r.value()
		if r.err != nil {
			return
		}
		r.nodes[i].key, r.nodes[i].keyAt = key, int32(keyAt)
		if last == 0 {
			r.nodes[parent].child = i
		} else {
			r.nodes[last].next = i
		}
		last = i
		r.space()
		if r.pos < len(r.text) && r.text[r.pos] == ',' {
			r.pos++
			continue
		}
		if r.pos < len(r.text) && r.text[r.pos] == closing {
			break
		}
		r.fail(r.pos, "want , or "+string(closing))
	}
	r.pos++
	r.depth--
}

// members remembers the names of one object: a few in place, many in a map, so that neither is slow.
type members struct {
	few  [16]string
	n    int
	many map[string]bool
}

// add reports whether the name is new.
func (m *members) add(name string) bool {
	for _, have := range m.few[:m.n] {
		if have == name {
			return false
		}
	}
	if m.n < len(m.few) {
		m.few[m.n] = name
		m.n++
		return true
	}
	if m.many[name] {
		return false
	}
	if m.many == nil {
		m.many = map[string]bool{}
	}
	m.many[name] = true
	return true
}

// name reads a member's name and its colon, and refuses one that the object has already.
func (r *reader) name(seen *members) string {
	at := r.pos
	if at == len(r.text) || r.text[at] != '"' {
		r.fail(at, "want the name of a member")
		return ""
	}
	key := r.str()
	if !seen.add(key) {
		r.fail(at, strconv.Quote(key)+" stands there twice")
	}
	r.space()
	if r.pos == len(r.text) || r.text[r.pos] != ':' {
		r.fail(r.pos, "want :")
		return ""
	}
	r.pos++
	r.space()
	return key
}

func (r *reader) number() string {
	at := r.pos
	digits := func() {
		from := r.pos
		for r.pos < len(r.text) && r.text[r.pos] >= '0' && r.text[r.pos] <= '9' {
			r.pos++
		}
		if r.pos == from {
			r.fail(r.pos, "want a digit")
		}
	}
	next := func(set string) bool { return r.pos < len(r.text) && strings.IndexByte(set, r.text[r.pos]) >= 0 }
	if next("-") {
		r.pos++
	}
	if next("0") {
		r.pos++
	} else {
		digits()
	}
	if next(".") {
		r.pos++
		digits()
	}
	if next("eE") {
		r.pos++
		if next("+-") {
			r.pos++
		}
		digits()
	}
	return r.text[at:r.pos]
}

// str reads a string. Without an escape it is a part of the document and costs no memory.
func (r *reader) str() string {
	r.pos++
	for i := r.pos; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			s := r.text[r.pos:i]
			r.pos = i + 1
			return s
		case c == '\\':
			return r.escaped(i)
		case c < ' ':
			r.fail(i, "control character in a string")
			return ""
		}
	}
	r.fail(len(r.text), "string without an end")
	return ""
}

// escaped reads on from the first backslash, at i.
func (r *reader) escaped(i int) string {
	b := []byte(r.text[r.pos:i])
	for i < len(r.text) {
		c := r.text[i]
		switch {
		case c == '"':
			r.pos = i + 1
			return string(b)
		case c < ' ':
			r.fail(i, "control character in a string")
			return ""
		case c != '\\':
			b = append(b, c)
			i++
			continue
		}
		ru, n := unescape(r.text[i:])
		if n == 0 {
			r.fail(i, "not an escape of JSON")
			return ""
		}
		b = utf8.AppendRune(b, ru)
		i += n
	}
	r.fail(len(r.text), "string without an end")
	return ""
}

// unescape decodes the escape at the start of s and says how long it is; 0 means that it is none.
func unescape(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[1]); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), 2
	}
	first, ok := hexEscape(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	second, ok := hexEscape(s[6:])
	pair := utf16.DecodeRune(first, second)
	if !ok || pair == utf8.RuneError {
		return 0, 0
	}
	return pair, 12
}

func hexEscape(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}
