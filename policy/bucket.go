package policy

import "slices"

// entry is a statement at one place of the index, with what is still to be checked there.
type entry struct {
	member *member
	// resource is the pattern to match, nil when the place says it all.
	resource *arnPattern
	first    *condition // the member's conditions[0], nil when it has none
	check    check
}

type check uint8

const (
	checkAction      check = 1 << iota // the place does not decide the action
	checkNotResource                   // nor that NotResource leaves the resource
	denies
)

// member is a statement in a set, with its conditions as the set shares them: equal ones are one.
type member struct {
	statement  *statement
	conditions []*condition // the one that most statements share is the first
	selective  []*condition // those that a bucket can be split by, the best first
}

// splitAt is how many entries are looked at one by one before a bucket is split.
const splitAt = 8

// maxAlternatives is how many entries one statement may get in a bucket by the values that its conditions list.
const maxAlternatives = 16

// bucket holds the entries of one place. A large one is split by the values that its statements want a condition key to
// have, so that a request looks only at those that want one like its own, and what cannot be split is grouped by the
// conditions that statements share, so that one false condition disposes of all that have it.
type bucket struct {
	owner   *edit
	wide    bool
	entries list
	groups  []group
	splits  []split
}

// group is the entries that begin with the same condition.
type group struct {
	condition *condition
	entries   list
}

// maxGroups bounds the groups of a bucket: conditions that are all different are not worth grouping.
const maxGroups = 32

// split is a trie over the values wanted of one key. A bucket in it may be split again by another key.
type split struct {
	key   keyName
	space space
	tree  *radix[bucket]
}

func (b *bucket) own(e *edit) *bucket {
	if b == nil {
		return &bucket{owner: e}
	}
	if b.owner == e {
		return b
	}
	c := *b
	c.owner = e
	c.groups = append(make([]group, 0, len(b.groups)+1), b.groups...)
	c.splits = append(make([]split, 0, len(b.splits)+1), b.splits...)
	return &c
}

// add returns the bucket with an entry more. depth is how many splits lead here.
func (b *bucket) add(e *edit, x entry, depth int) *bucket {
	b = b.own(e)
	if b.wide {
		b.addWide(e, x, depth)
		return b
	}
	b.entries.add(e, x)
	if few := b.entries.chunks[0].entries; len(few) > splitAt {
		b.wide, b.entries = true, list{}
		for _, x := range few {
			b.addWide(e, x, depth)
		}
	}
	return b
}

func (b *bucket) addWide(e *edit, x entry, depth int) {
	if len(x.member.selective) > depth {
		b.addSplit(e, x, depth)
		return
	}
	for i := range b.groups {
		if b.groups[i].condition == x.first {
			b.groups[i].entries.add(e, x)
			return
		}
	}
	if x.first == nil || len(b.groups) == maxGroups {
		b.entries.add(e, x)
		return
	}
	g := group{condition: x.first}
	g.entries.add(e, x)
	b.groups = append(b.groups, g)
}

func (b *bucket) addSplit(e *edit, x entry, depth int) {
	c := x.member.selective[depth]
	i := b.find(c)
	if i < 0 {
		i = len(b.splits)
		b.splits = append(b.splits, split{key: c.key, space: c.space(), tree: &radix[bucket]{owner: e}})
	}
	b.splits[i].update(e, c, func(sub *bucket) *bucket { return sub.add(e, x, depth+1) })
}

// update applies f to the bucket of every value that the condition lists.
func (s *split) update(e *edit, c *condition, f func(*bucket) *bucket) {
	places, _ := c.places()
	for i, p := range places {
		if !slices.Contains(places[:i], p) {
			s.tree = s.tree.update(e, p.path, p.below, f)
		}
	}
}

func (b *bucket) find(c *condition) int {
	for i := range b.splits {
		k := &b.splits[i].key
		if b.splits[i].space == c.space() && k.hash == c.key.hash && equalFoldASCII(k.name, c.key.name) {
			return i
		}
	}
	return -1
}

// remove returns the bucket without the entries of a statement, nil when it is empty then.
func (b *bucket) remove(e *edit, m *member, depth int) *bucket {
	if b == nil {
		return nil
	}
	b = b.own(e)
	b.entries.remove(e, m.statement)
	for i := range b.groups {
		if slices.Contains(m.conditions, b.groups[i].condition) {
			b.groups[i].entries.remove(e, m.statement)
		}
	}
	b.groups = slices.DeleteFunc(b.groups, func(g group) bool { return g.entries.empty() })
	if b.wide && len(m.selective) > depth {
		c := m.selective[depth]
		if i := b.find(c); i >= 0 {
			b.splits[i].update(e, c, func(sub *bucket) *bucket { return sub.remove(e, m, depth+1) })
			if b.splits[i].tree.empty() {
				b.splits = slices.Delete(b.splits, i, i+1)
			}
		}
	}
	if b.entries.empty() && len(b.groups)+len(b.splits) == 0 {
		return nil
	}
	return b
}
