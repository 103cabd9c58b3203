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
	st.actions = make([]pattern, 0, c.count(actions))
	_ = c.each(actions, func(n int32) error {
		st.actions = append(st.actions, newActionPattern(c.nodes[n].text))
		return nil
	})
	resources := d.elem[elemResource] + d.elem[elemNotResource]
	st.resources = make([]arnPattern, c.count(resources))
	k := 0
	_ = c.each(resources, func(n int32) error {
		_ = st.resources[k].compile(c.nodes[n].text, how{wildcards: true, variables: c.variables()}, true)
		k++
		return nil
	})
	st.resources = st.resources[:k]
	st.principals = c.compilePrincipals(d.elem[elemPrincipal] + d.elem[elemNotPrincipal])
	st.conditions = d.conditions
}

// newActionPattern compiles an action. "*:*" names everything, as "*" does.
func newActionPattern(text string) pattern {
	text = lowerString(text)
	if text == "*:*" {
		text = "*"
	}
	p, _ := newPattern(text, how{wildcards: true})
	return p
}

// count is the number of values of a list or of members of an object, 1 for any other value and 0 for none.
func (c *checker) count(n int32) int {
	if n == 0 {
		return 0
	}
	if k := c.nodes[n].kind; k != jsonArray && k != jsonObject {
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

// compileConditions checks the values of a statement's conditions by compiling them.
func (c *checker) compileConditions(d *draft) error {
	n := d.elem[elemCondition]
	if n == 0 {
		return nil
	}
	pairs := 0
	for op := c.nodes[n].child; op != 0; op = c.nodes[op].next {
		pairs += c.count(op)
	}
	d.conditions = make([]condition, 0, pairs)
	for op := c.nodes[n].child; op != 0; op = c.nodes[op].next {
		parsed, _ := parseOperator(c.nodes[op].key)
		var seen members
		for key := c.nodes[op].child; key != 0; key = c.nodes[key].next {
			if c.nodes[c.nodes[op].child].next != 0 && !seen.add(lowerString(c.nodes[key].key)) {
				return c.legacy(key, "the key stands there twice with different case")
			}
			d.conditions = append(d.conditions, condition{op: parsed, key: newKeyName(c.nodes[key].key)})
			if err := c.compileCondition(&d.conditions[len(d.conditions)-1], op, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// compileCondition compiles the values and spells the signature: every part has a length or an end, so that no two
// different conditions have the same one.
func (c *checker) compileCondition(cond *condition, op, key int32) error {
	b := append(c.scratch[:0], c.version[3]) // what ${…} means
	b = append(append(b, c.nodes[op].key...), ' ')
	b = append(strconv.AppendInt(b, int64(len(cond.key.name)), 10), ':')
	for i := range len(cond.key.name) {
		b = append(b, lower(cond.key.name[i]))
	}
	err := c.each(key, func(v int32) error {
		text := c.nodes[v].text
		b = append(strconv.AppendInt(append(b, ' '), int64(len(text)), 10), ':')
		b = append(b, text...)
		if problem := cond.add(text, c.variables()); problem != "" {
			return c.legacy(v, strconv.Quote(text)+" "+problem)
		}
		return nil
	})
	c.scratch = b
	cond.signature = string(b)
	cond.slot = uint8(hashFold(cond.signature))
	return err
}
