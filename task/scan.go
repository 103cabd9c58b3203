package task

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits against hostile input. ECS takes 64 KiB of compact JSON; people indent
// theirs, and nothing in a definition nests deeper than ten.
const (
	maxInput = 1 << 20
	maxDepth = 100
)

// scanner reads JSON text strictly: no duplicate members, valid UTF-8, no halves
// of surrogate pairs. It keeps the path of the value it is at, for its errors.
type scanner struct {
	data  []byte
	pos   int
	depth int
	path  []pathElem
}

// pathElem is a member name, or an array index if name is empty.
type pathElem struct {
	name  string
	index int
	isKey bool
}

func appendPath(s string, e pathElem) string {
	switch {
	case !e.isKey:
		return s + "[" + strconv.Itoa(e.index) + "]"
	case !isName(e.name):
		return s + "[" + strconv.Quote(e.name) + "]"
	case s == "":
		return e.name
	default:
		return s + "." + e.name
	}
}

// errorAt returns the error of what stands at that offset of the text.
func (s *scanner) errorAt(at int, format string, args ...any) error {
	path := ""
	for _, e := range s.path {
		path = appendPath(path, e)
	}
	before := s.data[:at]
	return &DecodeError{
		Path:   path,
		Line:   bytes.Count(before, []byte("\n")) + 1,
		Column: at - bytes.LastIndexByte(before, '\n'),
		Offset: int64(at),
		Reason: fmt.Sprintf(format, args...),
	}
}

// document calls value at the one value the text must hold.
func (s *scanner) document(value func() error) error {
	if len(s.data) > maxInput {
		return s.errorAt(0, "is larger than %d bytes", maxInput)
	}
	if err := s.checkUTF8(); err != nil {
		return err
	}
	s.space()
	if s.pos == len(s.data) {
		return s.errorAt(s.pos, "is empty, want a JSON object")
	}
	if err := value(); err != nil {
		return err
	}
	s.space()
	if s.pos < len(s.data) {
		return s.errorAt(s.pos, "unexpected %s after the end of the JSON value", s.here())
	}
	return nil
}

func (s *scanner) checkUTF8() error {
	if utf8.Valid(s.data) {
		return nil
	}
	i := 0
	for i < len(s.data) {
		r, n := utf8.DecodeRune(s.data[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return s.errorAt(i, "byte %#02x is not UTF-8", s.data[i])
}

// peek returns the byte at the current position, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// space skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) space() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// here describes what stands at the current position.
func (s *scanner) here() string {
	if s.pos >= len(s.data) {
		return "end of input"
	}
	r, _ := utf8.DecodeRune(s.data[s.pos:])
	return strconv.QuoteRune(r)
}

// next skips white space and the byte c, which must follow.
func (s *scanner) next(c byte, where string) error {
	if s.space() != c {
		return s.errorAt(s.pos, "want %q %s, not %s", c, where, s.here())
	}
	s.pos++
	return nil
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return s.errorAt(s.pos, "is nested deeper than %d", maxDepth)
	}
	s.pos++
	return nil
}

// object reads an object and calls member at the value of each of its members,
// with the member's name on the path.
func (s *scanner) object(member func(name string) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.space() == '}' {
		s.pos++
		return nil
	}
	seen := make(map[string]struct{}, 8)
	for {
		name, err := s.memberName(seen)
		if err != nil {
			return err
		}
		s.path = append(s.path, pathElem{name: name, isKey: true})
		if err := s.next(':', "after the member name"); err != nil {
			return err
		}
		s.space()
		if err := member(name); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		if s.space() == '}' {
			s.pos++
			return nil
		}
		if err := s.next(',', "or '}' after a member"); err != nil {
			return err
		}
	}
}

func (s *scanner) memberName(seen map[string]struct{}) (string, error) {
	if s.space() != '"' {
		return "", s.errorAt(s.pos, "want a member name in double quotes, not %s", s.here())
	}
	at := s.pos
	name, err := s.str()
	if err != nil {
		return "", err
	}
	if _, ok := seen[name]; ok {
		s.path = append(s.path, pathElem{name: name, isKey: true})
		return "", s.errorAt(at, "is there twice")
	}
	seen[name] = struct{}{}
	return name, nil
}

// array reads an array and calls element at each of its values, with the index
// on the path.
func (s *scanner) array(element func(i int) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.space() == ']' {
		s.pos++
		return nil
	}
	for i := 0; ; i++ {
		s.path = append(s.path, pathElem{index: i})
		s.space()
		if err := element(i); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		if s.space() == ']' {
			s.pos++
			return nil
		}
		if err := s.next(',', "or ']' after an element"); err != nil {
			return err
		}
	}
}

// str reads a string.
func (s *scanner) str() (string, error) {
	start := s.pos
	s.pos++
	for from := s.pos; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return string(s.data[from : s.pos-1]), nil
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			return "", s.errorAt(s.pos, "string with an unescaped control character %#02x", c)
		}
	}
	return "", s.errorAt(start, "string without an end")
}

// escaped reads the rest of the string that began at start, from its first
// escape on.
func (s *scanner) escaped(start int) (string, error) {
	var b strings.Builder
	b.Write(s.data[start+1 : s.pos])
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			return b.String(), nil
		case c == '\\':
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		case c < ' ':
			return "", s.errorAt(s.pos, "string with an unescaped control character %#02x", c)
		default:
			s.pos++
			b.WriteByte(c)
		}
	}
	return "", s.errorAt(start, "string without an end")
}

// escapes are the characters that a backslash makes of the letter after it.
const escapes = "\"\"\\\\//b\bf\fn\nr\rt\t"

// escape reads a backslash and what follows it.
func (s *scanner) escape() (rune, error) {
	at := s.pos
	s.pos++
	c := s.peek()
	for i := 0; i < len(escapes); i += 2 {
		if escapes[i] == c {
			s.pos++
			return rune(escapes[i+1]), nil
		}
	}
	if c != 'u' {
		return 0, s.errorAt(at, "unknown escape in a string: a backslash before %s", s.here())
	}
	r, ok := s.hex4()
	if ok && utf16.IsSurrogate(r) && s.pos < len(s.data) && s.data[s.pos] == '\\' {
		s.pos++
		low, okLow := s.hex4()
		r, ok = utf16.DecodeRune(r, low), okLow
		ok = ok && r != utf8.RuneError
	} else {
		ok = ok && !utf16.IsSurrogate(r)
	}
	if !ok {
		return 0, s.errorAt(at, "malformed \\u escape in a string")
	}
	return r, nil
}

// hex4 reads a u and four hexadecimal digits.
func (s *scanner) hex4() (rune, bool) {
	if s.peek() != 'u' || s.pos+5 > len(s.data) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s.data[s.pos+1:s.pos+5]), 16, 16)
	s.pos += 5
	return rune(v), err == nil
}

// number reads a number and returns its text.
func (s *scanner) number() (string, error) {
	start := s.pos
	if s.peek() == '-' {
		s.pos++
	}
	first := s.pos
	ok := s.digits() && (s.data[first] != '0' || s.pos == first+1)
	if ok && s.peek() == '.' {
		s.pos++
		ok = s.digits()
	}
	if ok && s.peek()|0x20 == 'e' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		ok = s.digits()
	}
	if !ok {
		return "", s.errorAt(start, "malformed number")
	}
	return string(s.data[start:s.pos]), nil
}

// digits skips digits and reports whether there were any.
func (s *scanner) digits() bool {
	from := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > from
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// word reads true, false or null; whatever else is here is no value at all.
func (s *scanner) word() (string, error) {
	for _, w := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
			s.pos += len(w)
			return w, nil
		}
	}
	return "", s.errorAt(s.pos, "want a value, not %s", s.here())
}

// skip reads any value and returns its text.
func (s *scanner) skip() ([]byte, error) {
	start := s.pos
	var err error
	switch c := s.peek(); {
	case c == '{':
		err = s.object(func(string) error { _, err := s.skip(); return err })
	case c == '[':
		err = s.array(func(int) error { _, err := s.skip(); return err })
	case c == '"':
		_, err = s.str()
	case c == '-' || isDigit(c):
		_, err = s.number()
	default:
		_, err = s.word()
	}
	return s.data[start:s.pos], err
}
