package policy

import "strings"

// index finds the statements of a set that can apply to a request: a trie over the names of actions, at each end of it
// a trie over resources, at each end of that a bucket. Its cost depends on the length of the names and on how many
// statements fit, not on how many there are. It is immutable.
type index struct {
	actions    *radix[radix[bucket]]
	conditions pmap[shared]
}

// shared is a condition with the number of statements that have one like it.
type shared struct {
	condition *condition
	uses      int
}

// maxPlaces is the most places one statement gets. One with more pairs of actions and resources is indexed by the
// services of its actions, and its actions are checked.
const maxPlaces = 64

func newIndex() *index { return &index{actions: &radix[radix[bucket]]{}} }

// place is where a pattern stands in a trie.
type place struct {
	path  string
	below bool
	check bool // the place alone does not decide
}

// actionPlaces lists where the statement stands in the trie of actions.
func (st *statement) actionPlaces() []place {
	if st.notAction {
		return []place{{below: true, check: true}}
	}
	places := make([]place, 0, len(st.actions))
	for i := range st.actions {
		places = append(places, st.actions[i].place())
	}
	if len(places)*max(1, len(st.resources)) <= maxPlaces {
		return places
	}
	places = places[:0]
	seen := map[string]bool{}
	for i := range st.actions {
		p := st.actions[i].place()
		if colon := strings.IndexByte(p.path, ':'); colon >= 0 {
			p.path = p.path[:colon+1]
		}
		if !seen[p.path] {
			seen[p.path] = true
			places = append(places, place{path: p.path, below: true, check: true})
		}
	}
	if len(places)*max(1, len(st.resources)) <= maxPlaces {
		return places
	}
	return []place{{below: true, check: true}}
}

// place is where a pattern without variables stands.
func (p *pattern) place() place {
	switch p.shape {
	case shapeLiteral:
		return place{path: p.text}
	case shapeAny:
		return place{below: true}
	case shapePrefix:
		return place{path: p.text, below: true}
	case shapeTokens:
		if p.tokens[0].kind == tokenLiteral {
			return place{path: p.tokens[0].text, below: true, check: true}
		}
		return place{below: true, check: true}
	}
	return place{path: p.text[:strings.IndexAny(p.text, "*?")], below: true, check: true}
}

// place is where a pattern of a resource stands: up to the first part that is neither a literal nor "*".
func (p *arnPattern) place() place {
	switch p.shape {
	case shapeAny:
		return place{below: true}
	case shapeLiteral:
		return place{path: p.text}
	case shapePrefix:
		return place{path: p.text, below: true}
	}
	var path []byte
	for i := range p.parts[:5] {
		switch part := &p.parts[i]; part.shape {
		case shapeAny:
			path = append(path, starMark)
		case shapeLiteral:
			path = append(path, part.text...)
		default:
			return place{path: string(path) + part.place().path, below: true, check: true}
		}
		path = append(path, ':')
	}
	last := p.parts[5].place()
	last.path = string(path) + last.path
	return last
}

// eachPlace calls f for every place of a statement, with an entry that says what is to be checked there.
func (m *member) eachPlace(f func(action, resource place, x entry)) {
	st := m.statement
	for _, a := range st.actionPlaces() {
		x := entry{member: m}
		if len(m.conditions) > 0 {
			x.first = m.conditions[0]
		}
		if st.deny {
			x.check |= denies
		}
		if a.check {
			x.check |= checkAction
		}
		if st.anyResource || st.notResource {
			if st.notResource {
				x.check |= checkNotResource
			}
			f(a, place{below: true}, x)
			continue
		}
		for i := range st.resources {
			r := &st.resources[i]
			p := r.place()
			if x.resource = nil; p.check {
				x.resource = r
			}
			f(a, p, x)
		}
	}
}

// update applies f to the bucket at every place of a member.
func (x *index) update(e *edit, m *member, f func(*bucket, entry) *bucket) {
	m.eachPlace(func(action, resource place, at entry) {
		x.actions = x.actions.update(e, action.path, action.below, func(tree *radix[bucket]) *radix[bucket] {
			if tree == nil {
				tree = &radix[bucket]{owner: e}
			}
			tree = tree.update(e, resource.path, resource.below, func(b *bucket) *bucket { return f(b, at) })
			if tree.empty() {
				return nil
			}
			return tree
		})
	})
}

// add puts a statement into the index, which the edit must own.
func (x *index) add(e *edit, st *statement) {
	m := &member{statement: st}
	most, shares := 0, 0
	for i := range st.conditions {
		c := &st.conditions[i]
		use, _ := x.conditions.get(c.signature)
		if use.condition == nil {
			use.condition = c
		}
		use.uses++
		x.conditions = x.conditions.set(e, c.signature, use)
		m.conditions = append(m.conditions, use.condition)
		if use.uses > most {
			most, shares = use.uses, i
		}
	}
	m.findSelective() // before the order changes: remove must find the same
	if shares > 0 {
		m.conditions[0], m.conditions[shares] = m.conditions[shares], m.conditions[0]
	}
	x.update(e, m, func(b *bucket, at entry) *bucket { return b.add(e, at, 0) })
}

// remove takes out a statement that was added.
func (x *index) remove(e *edit, st *statement) {
	m := &member{statement: st}
	for i := range st.conditions {
		use, _ := x.conditions.get(st.conditions[i].signature)
		m.conditions = append(m.conditions, use.condition)
	}
	m.findSelective()
	x.update(e, m, func(b *bucket, _ entry) *bucket { return b.remove(e, m, 0) })
	for _, c := range m.conditions {
		use, _ := x.conditions.get(c.signature)
		if use.uses--; use.uses > 0 {
			x.conditions = x.conditions.set(e, c.signature, use)
		} else {
			x.conditions = x.conditions.remove(e, c.signature)
		}
	}
}
