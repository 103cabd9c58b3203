package store

import "hash/maphash"

// tree is an ordered map of entries that is never changed: put and remove return a new one that shares what is the same.
// A reader that holds a tree holds one state of the store for as long as it likes. It is a treap: a search tree by key
// and a heap by a hash of the key, which keeps it balanced without any bookkeeping.
type tree struct {
	entry       Entry
	weight      uint64
	left, right *tree
}

func (t *tree) get(key string) (Entry, bool) {
	for t != nil {
		switch {
		case key < t.entry.Key:
			t = t.left
		case key > t.entry.Key:
			t = t.right
		default:
			return t.entry, true
		}
	}
	return Entry{}, false
}

func (t *tree) put(e Entry, seed maphash.Seed) *tree {
	if t == nil {
		return &tree{entry: e, weight: maphash.String(seed, e.Key)}
	}
	n := *t
	switch {
	case e.Key < t.entry.Key:
		n.left = t.left.put(e, seed)
		if n.left.weight > n.weight {
			return n.left.liftOver(&n)
		}
	case e.Key > t.entry.Key:
		n.right = t.right.put(e, seed)
		if n.right.weight > n.weight {
			return n.right.liftOver(&n)
		}
	default:
		n.entry = e
	}
	return &n
}

// liftOver makes t, a child of parent, the parent of parent. Both are new nodes that nobody else has seen.
func (t *tree) liftOver(parent *tree) *tree {
	if parent.left == t {
		parent.left, t.right = t.right, parent
	} else {
		parent.right, t.left = t.left, parent
	}
	return t
}

func (t *tree) remove(key string) *tree {
	if t == nil {
		return nil
	}
	if key == t.entry.Key {
		return t.left.join(t.right)
	}
	n := *t
	if key < t.entry.Key {
		n.left = t.left.remove(key)
	} else {
		n.right = t.right.remove(key)
	}
	return &n
}

// join makes one tree of two, where every key of t is before every key of u.
func (t *tree) join(u *tree) *tree {
	switch {
	case t == nil:
		return u
	case u == nil:
		return t
	case t.weight > u.weight:
		n := *t
		n.right = t.right.join(u)
		return &n
	default:
		n := *u
		n.left = t.join(u.left)
		return &n
	}
}

// walk calls yield for the entries in the order of their keys, from a key on, until yield returns false, which it
// reports.
func (t *tree) walk(from string, yield func(Entry) bool) bool {
	if t == nil {
		return true
	}
	if from < t.entry.Key && !t.left.walk(from, yield) {
		return false
	}
	if from <= t.entry.Key && !yield(t.entry) {
		return false
	}
	return t.right.walk(from, yield)
}

// revision is where a key is, 0 if it is not there.
func (t *tree) revision(key string) Revision {
	e, _ := t.get(key)
	return e.Revision
}
