package policy

import "slices"

// Set is a number of policies that are asked as one. It never changes; With, Without and Replace make another one that
// shares nearly all of its memory, at a cost that does not grow with the number of statements.
type Set struct {
	policies []*Policy
	list     []*statement // of a small set, which is faster without an index
	index    *index
}

// listAt is how many statements are looked at one by one rather than through an index.
const listAt = 12

// NewSet compiles policies into one set. A policy given twice is in it once; names play no part.
func NewSet(policies ...*Policy) *Set {
	s := &Set{policies: distinct(policies)}
	policies = s.policies
	n := 0
	for _, p := range policies {
		n += len(p.statements)
	}
	if n <= listAt {
		s.list = make([]*statement, 0, n)
		for _, p := range policies {
			s.list = append(s.list, p.statements...)
		}
		return s
	}
	e := &edit{}
	s.index = newIndex()
	for _, p := range policies {
		for _, st := range p.statements {
			s.index.add(e, st)
		}
	}
	return s
}

func distinct(policies []*Policy) []*Policy {
	seen := make(map[*Policy]bool, len(policies))
	kept := make([]*Policy, 0, len(policies))
	for _, p := range policies {
		if !seen[p] {
			seen[p] = true
			kept = append(kept, p)
		}
	}
	return kept
}

// Policies returns the policies of the set.
func (s *Set) Policies() []*Policy {
	if s == nil {
		return nil
	}
	return slices.Clone(s.policies)
}

// With returns the set with one policy more.
func (s *Set) With(p *Policy) *Set { return s.Replace(nil, p) }

// Without returns the set without a policy, which is named by its pointer.
func (s *Set) Without(p *Policy) *Set { return s.Replace(p, nil) }

// Replace returns the set with next in the place of old. A nil old only adds, a nil next only removes, and an old that
// is not in the set counts as nil. A nil Set is an empty one.
func (s *Set) Replace(old, next *Policy) *Set {
	if s == nil {
		s = &Set{}
	}
	policies := append(make([]*Policy, 0, len(s.policies)+1), s.policies...)
	at := -1
	if old != nil {
		at = slices.Index(policies, old)
	}
	switch {
	case at < 0 && (next == nil || slices.Contains(policies, next)):
		return s
	case at < 0:
		policies = append(policies, next)
	case next == nil || next != old && slices.Contains(policies, next):
		next = nil
		policies = slices.Delete(policies, at, at+1)
	default:
		policies[at] = next
	}
	if s.index == nil {
		return NewSet(policies...)
	}
	e := &edit{}
	x := *s.index
	if at >= 0 {
		for _, st := range old.statements {
			x.remove(e, st)
		}
	}
	if next != nil {
		for _, st := range next.statements {
			x.add(e, st)
		}
	}
	return &Set{policies: policies, index: &x}
}
