package policy

import (
	"maps"
	"slices"
	"strings"
)

// keyName is the name of a condition key, prepared for comparing without regard to case.
type keyName struct {
	name string
	hash uint32
}

func newKeyName(name string) keyName { return keyName{name: name, hash: hashFold(name)} }

// hashFold is FNV-1a over the name in lower case. It only speeds up comparing: equal hashes are compared in full.
func hashFold(s string) uint32 {
	h := uint32(2166136261)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(lower(s[i]))) * 16777619
	}
	return h
}

// Context holds the condition keys of one request and their values. Names of keys are compared without regard to case,
// the part behind a slash (a tag's key) too. A Context is not safe for use while [Context.Set] runs; once filled, any
// number of goroutines may evaluate with it.
//
// Evaluation adds no key of its own: whoever asks fills in aws:CurrentTime, aws:SourceIp and the like.
type Context struct {
	entries []contextEntry
}

type contextEntry struct {
	key    keyName
	values []string
}

// NewContext makes a context of a map, such as the conditions of a scheduler's request. It keeps the slices of values.
// Names that differ only in case are one key with the values of all.
func NewContext(values map[string][]string) Context {
	c := Context{entries: make([]contextEntry, 0, len(values))}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key := newKeyName(name)
		if e := c.find(&key); e != nil {
			e.values = slices.Concat(e.values, values[name])
			continue
		}
		c.entries = append(c.entries, contextEntry{key: key, values: values[name]})
	}
	return c
}

// Set gives a key its values and forgets those it had. One value makes a single-valued key, several or none a
// multivalued one.
func (c *Context) Set(name string, values ...string) {
	key := newKeyName(name)
	if e := c.find(&key); e != nil {
		e.values = values
		return
	}
	c.entries = append(c.entries, contextEntry{key: key, values: values})
}

// Values returns the values of a key, nil when the request does not have it. The slice belongs to the context.
func (c *Context) Values(name string) []string {
	key := newKeyName(name)
	return c.lookup(&key)
}

func (c *Context) lookup(key *keyName) []string {
	if e := c.find(key); e != nil {
		return e.values
	}
	return nil
}

func (c *Context) find(key *keyName) *contextEntry {
	for i := range c.entries {
		e := &c.entries[i]
		if e.key.hash == key.hash && (e.key.name == key.name || equalFoldASCII(e.key.name, key.name)) {
			return e
		}
	}
	return nil
}

func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// String lists the keys and their values in the order they were set.
func (c Context) String() string {
	var b strings.Builder
	for i, e := range c.entries {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(e.key.name + "=" + strings.Join(e.values, "|"))
	}
	return b.String()
}
