package policy

import "strings"

// memo remembers the answers of conditions that many statements share. A slot holds one condition, the last that came
// there: a collision costs an evaluation and nothing else.
type memo [16]struct {
	condition *condition
	holds     bool
}

func (m *memo) holds(c *condition, ctx *Context) bool {
	slot := &m[c.slot%uint8(len(m))]
	if slot.condition != c {
		slot.condition, slot.holds = c, c.holds(ctx)
	}
	return slot.holds
}

// run evaluates a set and leaves what it says in e.
func (e *evaluation) run(s *Set) {
	e.deny, e.allow, e.grant = nil, nil, grantNone
	if s != nil {
		e.runSet(s)
	}
}

func (e *evaluation) runSet(s *Set) {
	if s.index != nil {
		e.runIndex(s.index)
		return
	}
	for _, st := range s.list {
		if e.consider(st) {
			return
		}
	}
}

// runIndex stands by itself so that only it pays for clearing the memo.
func (e *evaluation) runIndex(x *index) {
	var m memo
	e.walkActions(&m, x.actions, e.request.Action)
}

// walkActions follows the name of the action down the trie and looks at everything on the way. It reports whether a
// statement denies, which ends the evaluation.
func (e *evaluation) walkActions(m *memo, n *radix[radix[bucket]], s string) bool {
	for {
		if n.below != nil && e.walkResources(m, n.below, e.request.Resource) {
			return true
		}
		if s == "" {
			return n.exact != nil && e.walkResources(m, n.exact, e.request.Resource)
		}
		i := n.branch(lower(s[0]))
		if i < 0 {
			return false
		}
		if n = n.children[i]; !prefixFold(s, n.label) {
			return false
		}
		s = s[len(n.label):]
	}
}

// walkResources does the same with the resource, or with a value of a split. A part of an ARN may go two ways, by its name and by a star.
func (e *evaluation) walkResources(m *memo, n *radix[bucket], s string) bool {
	for {
		if n.below != nil && e.visit(m, n.below) {
			return true
		}
		if n.star != nil {
			if i := strings.IndexByte(s, ':'); i >= 0 && e.walkResources(m, n.star, s[i:]) {
				return true
			}
		}
		if s == "" {
			return n.exact != nil && e.visit(m, n.exact)
		}
		i := n.branch(s[0])
		if i < 0 {
			return false
		}
		if n = n.children[i]; !strings.HasPrefix(s, n.label) {
			return false
		}
		s = s[len(n.label):]
	}
}

func (e *evaluation) visit(m *memo, b *bucket) bool {
	if e.visitList(m, &b.entries) {
		return true
	}
	for i := range b.groups {
		g := &b.groups[i]
		if m.holds(g.condition, &e.request.Context) && e.visitList(m, &g.entries) {
			return true
		}
	}
	for i := range b.splits {
		if e.search(m, &b.splits[i]) {
			return true
		}
	}
	return false
}

func (e *evaluation) visitList(m *memo, l *list) bool {
	for _, c := range l.chunks {
		for i := range c.entries {
			if e.considerEntry(m, &c.entries[i]) {
				return true
			}
		}
	}
	return false
}

// considerEntry is consider for a statement found through the index.
func (e *evaluation) considerEntry(m *memo, x *entry) bool {
	if x.check&denies == 0 && e.grant == grantDirect {
		return false
	}
	ctx := &e.request.Context
	if x.first != nil && !m.holds(x.first, ctx) {
		return false
	}
	st := x.member.statement
	if x.check&checkAction != 0 && !st.matchesAction(e.request.Action) {
		return false
	}
	if x.resource != nil && !x.resource.match(ctx, e.request.Resource, &e.resource) {
		return false
	}
	if x.check&checkNotResource != 0 && !st.matchesResource(e) {
		return false
	}
	for i := 1; i < len(x.member.conditions); i++ { // x.first is the one at 0
		if !m.holds(x.member.conditions[i], ctx) {
			return false
		}
	}
	return e.applies(st)
}
