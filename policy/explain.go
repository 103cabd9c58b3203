package policy

import (
	"fmt"
	"strings"
)

// Explanation is a decision with what every statement had to say about it.
type Explanation struct {
	Decision Decision
	Findings []Finding
}

// Finding is one statement of one layer, seen by one request.
type Finding struct {
	Layer     Layer
	Level     int // of the organization, for controls
	Statement Statement
	Applies   bool
	Reason    string // why it does not apply; "" when it does
}

// Explain decides a request as [Evaluate] does and reports every statement of every layer, also those behind the one
// that decided. It is for people: it is slow and allocates.
func Explain(l *Layers, r *Request) Explanation {
	x := Explanation{Decision: Evaluate(l, r)}
	e := evaluation{request: r, bounded: l.Boundary != nil}
	add := func(layer Layer, level int, s *Set) {
		if s == nil {
			return
		}
		for _, p := range s.policies {
			for _, st := range p.statements {
				reason := e.unfit(st)
				x.Findings = append(x.Findings, Finding{
					Layer: layer, Level: level, Statement: p.Statement(st.index), Applies: reason == "", Reason: reason,
				})
			}
		}
	}
	if r.Principal.ours() {
		for i, s := range l.SCPs {
			add(LayerServiceControl, i, s)
		}
	}
	for i, s := range l.RCPs {
		add(LayerResourceControl, i, s)
	}
	resource := LayerResource
	if r.needsTrust() {
		resource = LayerTrust
	}
	add(resource, 0, l.Resource)
	if r.Principal.ours() {
		for _, s := range l.Identity {
			add(LayerIdentity, 0, s)
		}
		add(LayerBoundary, 0, l.Boundary)
		add(LayerSession, 0, l.Session)
	}
	return x
}

// unfit says which element keeps a statement from applying, "" when none does.
func (e *evaluation) unfit(st *statement) string {
	if !st.matchesAction(e.request.Action) {
		return pick(st.notAction, "NotAction", "Action") + " does not cover " + e.request.Action
	}
	if !st.matchesResource(e) {
		return pick(st.notResource, "NotResource", "Resource") + " does not cover " + e.request.Resource
	}
	for i := range st.conditions {
		c := &st.conditions[i]
		if c.holds(&e.request.Context) {
			continue
		}
		have := "the request has no such key"
		if values := e.request.Context.lookup(&c.key); len(values) > 0 {
			have = "the request has " + strings.Join(values, ", ")
		}
		return "Condition " + c.operatorName() + " " + c.key.name + " is false: " + have
	}
	e.deny, e.allow, e.grant = nil, nil, grantNone
	if e.applies(st); e.deny == nil && e.allow == nil {
		return pick(st.notPrincipal, "NotPrincipal", "Principal") + " does not cover " + e.request.Principal.String()
	}
	return ""
}

func pick(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

// operatorName is the operator as the policy spells it: the signature begins with it, behind one byte.
func (c *condition) operatorName() string {
	name, _, _ := strings.Cut(c.signature[1:], " ")
	return name
}

// String is the decision and then one line for each statement.
func (x Explanation) String() string {
	var b strings.Builder
	b.WriteString(x.Decision.String())
	for _, f := range x.Findings {
		effect := pick(f.Statement.Deny, "Deny", "Allow")
		level := ""
		if f.Layer == LayerServiceControl || f.Layer == LayerResourceControl {
			level = fmt.Sprintf(" level %d", f.Level)
		}
		name := f.Statement.Policy.Name()
		if f.Statement.Sid != "" {
			name = strings.TrimSpace(name + " " + f.Statement.Sid)
		}
		fmt.Fprintf(&b, "\n%s%s: %s statement %d: %s", f.Layer, level, name, f.Statement.Index, effect)
		if f.Applies {
			b.WriteString(" applies")
		} else {
			b.WriteString(" does not apply: " + f.Reason)
		}
	}
	return b.String()
}

// AllowedActions returns those of the actions that the request would be allowed with, in their order. The package knows
// no service's actions: whoever asks lists the ones of interest.
func AllowedActions(l *Layers, r *Request, actions []string) []string {
	var allowed []string
	one := *r
	for _, action := range actions {
		one.Action = action
		if Evaluate(l, &one).Allowed() {
			allowed = append(allowed, action)
		}
	}
	return allowed
}
