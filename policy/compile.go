package policy

import "strconv"

// compile turns drafts that passed every check into statements.
func (c *checker) compile() (*Policy, error) {
	p := &Policy{
		name: c.opts.Name, kind: c.opts.Kind, id: c.id, version: c.version, source: c.text, size: c.size,
		statements: make([]*statement, len(c.drafts)),
	}
	block := make([]statement, len(c.drafts))
	for i := range c.drafts {
		st := &block[i]
		st.policy, st.index = p, i
		c.compileStatement(st, &c.drafts[i])
		p.statements[i] = st
	}
	return p, nil
}

func (c *checker) compileStatement(st *statement, d *draft) {
	at := &c.nodes[d.at]
	st.at, st.end = at.at, at.end
	if n := d.elem[elemSid]; n != 0 {
		st.sid = c.nodes[n].text
	}
	st.deny = c.nodes[d.elem[elemEffect]].text == "Deny"
	st.notAction = d.elem[elemNotAction] != 0
	st.notResource = d.elem[elemNotResource] != 0
	st.notPrincipal = d.elem[elemNotPrincipal] != 0
	st.anyResource = c.opts.Kind == Trust

	actions := d.elem[elemAction] + d.elem[elemNotAction]
	st.actions = make([]actionPattern, 0, c.count(actions))
	_ = c.each(actions, func(n int32) error {
		st.actions = append(st.actions, newActionPattern(c.nodes[n].text))
		return nil
	})
	resources := d.elem[elemResource] + d.elem[elemNotResource]
	st.resources = make([]*arnPattern, 0, c.count(resources))
	_ = c.each(resources, func(n int32) error {
		r, _ := newARNPattern(c.nodes[n].text, how{wildcards: true, variables: c.variables()}, true)
		st.resources = append(st.resources, r)
		return nil
	})
	st.principals = c.compilePrincipals(d.elem[elemPrincipal] + d.elem[elemNotPrincipal])
	c.compileConditions(st, d.elem[elemCondition])
}

// newActionPattern compiles an action. "*:*" names everything, as "*" does.
func newActionPattern(text string) actionPattern {
	text = lowerString(text)
	if text == "*:*" {
		text = "*"
	}
	p, _ := newPattern(text, how{wildcards: true})
	return actionPattern{pattern: p, hash: hashFold(p.text)}
}

func (c *checker) count(n int32) int {
	if n == 0 || c.nodes[n].kind != jsonArray {
		return 1
	}
	k := 0
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		k++
	}
	return k
}

func (c *checker) compilePrincipals(n int32) *principals {
	if n == 0 {
		return nil
	}
	if c.nodes[n].kind == jsonString {
		return &principals{everyone: true}
	}
	ps := &principals{}
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		_ = c.each(i, func(v int32) error {
			if c.nodes[i].key == "AWS" && c.nodes[v].text == "*" {
				ps.everyone = true
				return nil
			}
			e, _ := newPrincipalEntry(c.nodes[i].key, c.nodes[v].text)
			ps.entries = append(ps.entries, e)
			return nil
		})
	}
	return ps
}

func (c *checker) compileConditions(st *statement, n int32) {
	if n == 0 {
		return
	}
	for op := c.nodes[n].child; op != 0; op = c.nodes[op].next {
		parsed, _ := parseOperator(c.nodes[op].key)
		for key := c.nodes[op].child; key != 0; key = c.nodes[key].next {
			cond := &condition{op: parsed, key: newKeyName(c.nodes[key].key)}
			signature := make([]byte, 0, 64)
			signature = append(signature, c.version[3]) // what ${…} means
			signature = append(signature, c.nodes[op].key...)
			signature = strconv.AppendInt(append(signature, ' '), int64(len(cond.key.name)), 10)
			signature = append(append(signature, ':'), lowerString(cond.key.name)...)
			_ = c.each(key, func(v int32) error {
				text := c.nodes[v].text
				_ = cond.add(text, c.variables()) // checkConditionValues added it before
				signature = strconv.AppendInt(append(signature, ' '), int64(len(text)), 10)
				signature = append(append(signature, ':'), text...)
				return nil
			})
			cond.signature = string(signature)
			cond.slot = uint8(hashFold(cond.signature))
			st.conditions = append(st.conditions, cond)
		}
	}
}
