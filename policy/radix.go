package policy

import (
	"bytes"
	"strings"
)

// starMark stands in a path for a whole part of an ARN that is "*". No text has this byte: documents are UTF-8.
const starMark = 0xFF

// radix is an immutable trie over the bytes of literal prefixes. T is what stands at the end of a path. Changes copy
// the way from the root; see edit.
type radix[T any] struct {
	owner    *edit
	label    string // of the edge to this node, empty for a root and behind a star
	firsts   []byte // first bytes of the children's labels
	children []*radix[T]
	star     *radix[T] // after anything up to the next colon
	exact    *T        // of texts that end here
	below    *T        // of texts that go on from here
}

func (n *radix[T]) empty() bool {
	return n.exact == nil && n.below == nil && n.star == nil && len(n.children) == 0
}

// branch is the index of the child whose label begins with c, -1 when there is none.
func (n *radix[T]) branch(c byte) int {
	if len(n.firsts) > 8 {
		return bytes.IndexByte(n.firsts, c)
	}
	for i, have := range n.firsts {
		if have == c {
			return i
		}
	}
	return -1
}

func (n *radix[T]) own(e *edit) *radix[T] {
	if n.owner == e {
		return n
	}
	c := *n
	c.owner = e
	c.firsts = append(make([]byte, 0, len(n.firsts)+1), n.firsts...)
	c.children = append(make([]*radix[T], 0, len(n.children)+1), n.children...)
	return &c
}

// update returns the trie with f applied to what stands at the end of the path: exact, or below when below is set. f is
// given nil where nothing stands and returns nil to leave nothing, which prunes the way there.
func (n *radix[T]) update(e *edit, path string, below bool, f func(*T) *T) *radix[T] {
	n = n.own(e)
	switch {
	case path == "" && below:
		n.below = f(n.below)
	case path == "":
		n.exact = f(n.exact)
	case path[0] == starMark:
		if n.star == nil {
			n.star = &radix[T]{owner: e}
		}
		if n.star = n.star.update(e, path[1:], below, f); n.star.empty() {
			n.star = nil
		}
	default:
		n.updateChild(e, path, below, f)
	}
	return n
}

func (n *radix[T]) updateChild(e *edit, path string, below bool, f func(*T) *T) {
	literal := path
	if i := strings.IndexByte(path, starMark); i >= 0 {
		literal = path[:i]
	}
	i := n.branch(path[0])
	if i < 0 {
		c := (&radix[T]{owner: e, label: literal}).update(e, path[len(literal):], below, f)
		if !c.empty() {
			n.firsts = append(n.firsts, literal[0])
			n.children = append(n.children, c)
		}
		return
	}
	c := n.children[i]
	k := commonPrefix(c.label, literal)
	if k < len(c.label) {
		tail := c.own(e)
		upper := &radix[T]{owner: e, label: tail.label[:k], firsts: []byte{tail.label[k]}, children: []*radix[T]{tail}}
		tail.label = tail.label[k:]
		c = upper
	}
	c = c.update(e, path[k:], below, f).merge(e)
	if !c.empty() {
		n.children[i] = c
		return
	}
	last := len(n.children) - 1
	n.firsts[i], n.children[i] = n.firsts[last], n.children[last]
	n.firsts, n.children = n.firsts[:last], n.children[:last]
}

// merge joins a node that holds nothing with its only child.
func (n *radix[T]) merge(e *edit) *radix[T] {
	if n.exact != nil || n.below != nil || n.star != nil || len(n.children) != 1 {
		return n
	}
	c := n.children[0].own(e)
	c.label = n.label + c.label
	return c
}

func commonPrefix(a, b string) int {
	k := 0
	for k < len(a) && k < len(b) && a[k] == b[k] {
		k++
	}
	return k
}
