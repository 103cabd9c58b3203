package policy

import (
	"hash/maphash"
	"math/bits"
)

// edit marks the nodes that one change made, which that change alone may still alter in place. Everything that another
// change made is shared with sets and directories in use and is copied instead.
type edit struct{ _ byte }

// seed keeps whoever writes policies from choosing keys that collide. It is set once and never changes.
var seed = maphash.MakeSeed()

// pmap is an immutable map of strings: a hash trie of sixteen ways. A change copies the nodes on the way to one key, so
// its cost grows with the logarithm of the size. The zero value is empty.
type pmap[V any] struct {
	root *pnode[V]
	n    int
}

type pnode[V any] struct {
	owner  *edit
	bitmap uint16
	slots  []pslot[V] // one for each set bit; at the bottom, keys whose hashes are equal
}

type pslot[V any] struct {
	child *pnode[V]
	hash  uint64
	key   string
	value V
}

const (
	hashBits  = 64
	levelBits = 4
)

// place is the slot that a hash has in a node.
func (n *pnode[V]) place(hash uint64, shift uint) (i int, bit uint16) {
	bit = 1 << (hash >> shift & 15)
	return bits.OnesCount16(n.bitmap & (bit - 1)), bit
}

func (m *pmap[V]) get(key string) (value V, ok bool) {
	if m.root == nil {
		return value, false
	}
	hash := maphash.String(seed, key)
	n := m.root
	for shift := uint(0); shift < hashBits; shift += levelBits {
		i, bit := n.place(hash, shift)
		if n.bitmap&bit == 0 {
			return value, false
		}
		s := &n.slots[i]
		if s.child == nil {
			if s.hash == hash && s.key == key {
				return s.value, true
			}
			return value, false
		}
		n = s.child
	}
	for i := range n.slots {
		if n.slots[i].key == key {
			return n.slots[i].value, true
		}
	}
	return value, false
}

// set returns the map with the key set.
func (m pmap[V]) set(e *edit, key string, value V) pmap[V] {
	if m.root == nil {
		m.root = &pnode[V]{owner: e}
	}
	slot := pslot[V]{hash: maphash.String(seed, key), key: key, value: value}
	root, added := m.root.set(e, slot, 0)
	m.root = root
	if added {
		m.n++
	}
	return m
}

func (n *pnode[V]) own(e *edit, room int) *pnode[V] {
	if n.owner == e {
		return n
	}
	slots := make([]pslot[V], len(n.slots), len(n.slots)+room)
	copy(slots, n.slots)
	return &pnode[V]{owner: e, bitmap: n.bitmap, slots: slots}
}

func (n *pnode[V]) set(e *edit, slot pslot[V], shift uint) (*pnode[V], bool) {
	n = n.own(e, 1)
	if shift >= hashBits {
		for i := range n.slots {
			if n.slots[i].key == slot.key {
				n.slots[i] = slot
				return n, false
			}
		}
		n.slots = append(n.slots, slot)
		return n, true
	}
	i, bit := n.place(slot.hash, shift)
	if n.bitmap&bit == 0 {
		n.bitmap |= bit
		n.slots = append(n.slots, pslot[V]{})
		copy(n.slots[i+1:], n.slots[i:])
		n.slots[i] = slot
		return n, true
	}
	s := &n.slots[i]
	if s.child == nil {
		if s.hash == slot.hash && s.key == slot.key {
			*s = slot
			return n, false
		}
		child, _ := (&pnode[V]{owner: e}).set(e, *s, shift+levelBits)
		*s = pslot[V]{child: child}
	}
	child, added := s.child.set(e, slot, shift+levelBits)
	s.child = child
	return n, added
}

// remove returns the map without the key.
func (m pmap[V]) remove(e *edit, key string) pmap[V] {
	if _, ok := m.get(key); !ok {
		return m
	}
	m.root = m.root.remove(e, maphash.String(seed, key), key, 0)
	m.n--
	return m
}

// remove takes out a key that is there; nil means that nothing is left.
func (n *pnode[V]) remove(e *edit, hash uint64, key string, shift uint) *pnode[V] {
	n = n.own(e, 0)
	i := 0
	if shift >= hashBits {
		for n.slots[i].key != key {
			i++
		}
	} else {
		var bit uint16
		i, bit = n.place(hash, shift)
		if s := &n.slots[i]; s.child != nil {
			if s.child = s.child.remove(e, hash, key, shift+levelBits); s.child != nil {
				return n
			}
		}
		n.bitmap &^= bit
	}
	if len(n.slots) == 1 {
		return nil
	}
	n.slots = append(n.slots[:i], n.slots[i+1:]...)
	return n
}

// all calls f for every key until f returns false.
func (m *pmap[V]) all(f func(key string, value V) bool) {
	if m.root != nil {
		m.root.all(f)
	}
}

func (n *pnode[V]) all(f func(key string, value V) bool) bool {
	for i := range n.slots {
		s := &n.slots[i]
		if s.child != nil {
			if !s.child.all(f) {
				return false
			}
		} else if !f(s.key, s.value) {
			return false
		}
	}
	return true
}
