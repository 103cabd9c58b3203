package policy

import "slices"

// entry is a statement at one place of the index, with what is still to be checked there.
type entry struct {
	member *member
	// resource is the pattern to match, nil when the place says it all.
	resource *arnPattern
	first    *condition // of the member, nil when it has none
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
	conditions []*condition
	equalities []*condition // those that a bucket can be split by
}

// splitAt is how many entries are looked at one by one before a bucket is split.
const splitAt = 8

// maxAlternatives is how many values an equality may list to be worth an entry under each.
const maxAlternatives = 8

// splits reports whether the condition is true only for a few literal values of one key.
func (c *condition) splits() bool {
	if c.op.of != typeString && c.op.of != typeStringLike || c.op.quantify != single || c.op.negated || c.op.ifExists {
		return false
	}
	for i := range c.patterns {
		if !c.patterns[i].plain() {
			return false
		}
	}
	return len(c.patterns) > 0 && len(c.patterns) <= maxAlternatives
}

// bucket holds the entries of one place. A large one is split by the values that its statements want a condition key to
// have, so that a request looks only at those that want its own.
type bucket struct {
	owner   *edit
	wide    bool
	entries []entry
	splits  []split
}

type split struct {
	key    keyName
	values pmap[*bucket]
}

func (b *bucket) own(e *edit) *bucket {
	if b == nil {
		return &bucket{owner: e}
	}
	if b.owner == e {
		return b
	}
	return &bucket{
		owner: e, wide: b.wide,
		entries: append(make([]entry, 0, len(b.entries)+1), b.entries...),
		splits:  append(make([]split, 0, len(b.splits)+1), b.splits...),
	}
}

// add returns the bucket with an entry more. depth is how many splits lead here.
func (b *bucket) add(e *edit, x entry, depth int) *bucket {
	b = b.own(e)
	if b.wide && len(x.member.equalities) > depth {
		b.addSplit(e, x, depth)
		return b
	}
	b.entries = append(b.entries, x)
	if b.wide || len(b.entries) <= splitAt {
		return b
	}
	b.wide = true
	old := b.entries
	b.entries = nil
	for _, x := range old {
		if len(x.member.equalities) > depth {
			b.addSplit(e, x, depth)
		} else {
			b.entries = append(b.entries, x)
		}
	}
	return b
}

func (b *bucket) addSplit(e *edit, x entry, depth int) {
	c := x.member.equalities[depth]
	i := b.find(&c.key)
	if i < 0 {
		i = len(b.splits)
		b.splits = append(b.splits, split{key: c.key})
	}
	s := &b.splits[i]
	for _, value := range c.alternatives() {
		sub, _ := s.values.get(value)
		s.values = s.values.set(e, value, sub.add(e, x, depth+1))
	}
}

// alternatives are the values of an equality, each once.
func (c *condition) alternatives() []string {
	values := make([]string, len(c.patterns))
	for i := range c.patterns {
		values[i] = c.patterns[i].text
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func (b *bucket) find(key *keyName) int {
	for i := range b.splits {
		if k := &b.splits[i].key; k.hash == key.hash && equalFoldASCII(k.name, key.name) {
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
	b.entries = slices.DeleteFunc(b.entries, func(x entry) bool { return x.member.statement == m.statement })
	if b.wide && len(m.equalities) > depth {
		b.removeSplit(e, m, depth)
	}
	if len(b.entries)+len(b.splits) == 0 {
		return nil
	}
	return b
}

func (b *bucket) removeSplit(e *edit, m *member, depth int) {
	c := m.equalities[depth]
	i := b.find(&c.key)
	if i < 0 {
		return
	}
	s := &b.splits[i]
	for _, value := range c.alternatives() {
		sub, ok := s.values.get(value)
		if !ok {
			continue
		}
		if sub = sub.remove(e, m, depth+1); sub == nil {
			s.values = s.values.remove(e, value)
		} else {
			s.values = s.values.set(e, value, sub)
		}
	}
	if s.values.n == 0 {
		b.splits = slices.Delete(b.splits, i, i+1)
	}
}
