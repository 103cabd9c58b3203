package policy

// Layers are all the policies that have a say in a request. A nil one is not there, which is not the same as an empty
// one: an empty boundary, session or level allows nothing.
type Layers struct {
	Identity []*Set // of the principal and of its groups
	Resource *Set   // of the resource; the trust policy, for sts:AssumeRole
	Boundary *Set
	Session  *Set

	// SCPs holds the service control policies of the principal's account, one set for each level from the root of the
	// organization down to the account: every level must allow. RCPs holds the resource control policies of the
	// resource's account, which can only deny.
	SCPs []*Set
	RCPs []*Set

	// More of Identity: the sets of these groups in a directory, which Directory.Decide leaves to be looked up so that
	// it needs no memory for a list.
	groups []string
	state  *directoryState
}

// evaluation is the working memory of one decision. It lives on the stack.
type evaluation struct {
	request  *Request
	resource splitARN
	bounded  bool // the principal has a permissions boundary

	// What the set evaluated last says.
	deny  *statement
	allow *statement
	grant grant // how closely allow names the principal
}

// Evaluate decides a request. It is pure, waits for nothing, allocates nothing and reads no clock.
func Evaluate(l *Layers, r *Request) Decision {
	e := evaluation{request: r, bounded: l.Boundary != nil}
	if !r.Principal.ours() {
		return e.outsider(l)
	}
	silent := -1 // the first level of SCPs without an Allow
	for i, level := range l.SCPs {
		if e.run(level); e.deny != nil {
			return explicit(LayerServiceControl, e.deny, i)
		}
		if e.allow == nil && silent < 0 {
			silent = i
		}
	}
	if len(l.RCPs) > 0 {
		if d := e.resourceControls(l); d.Outcome == ExplicitlyDenied {
			return d
		}
	}
	resourceLayer := LayerResource
	mustGrant := r.needsTrust()
	if mustGrant {
		resourceLayer = LayerTrust
	} else {
		mustGrant = r.needsKeyPolicy()
	}
	if e.run(l.Resource); e.deny != nil {
		return explicit(resourceLayer, e.deny, 0)
	}
	var a answers // filled in field by field: a literal would be built elsewhere and copied
	a.layer, a.mustGrant, a.resource, a.grant = resourceLayer, mustGrant, e.allow, e.grant
	if a.identity = e.identity(l); e.deny != nil {
		return explicit(LayerIdentity, e.deny, 0)
	}
	if e.run(l.Boundary); e.deny != nil {
		return explicit(LayerBoundary, e.deny, 0)
	}
	a.bounded = l.Boundary == nil || e.allow != nil
	if e.run(l.Session); e.deny != nil {
		return explicit(LayerSession, e.deny, 0)
	}
	a.session = l.Session == nil || e.allow != nil
	if r.Principal.Type == FederatedUser && l.Session == nil {
		a.identity = nil // GetFederationToken without a session policy hands on nothing of the user's
	}
	if silent >= 0 {
		return Decision{Layer: LayerServiceControl, Level: silent}
	}
	return a.decide(r)
}

// identity evaluates the principal's own policies and those of its groups, up to the first that denies. It returns a
// statement that allows.
func (e *evaluation) identity(l *Layers) (allow *statement) {
	e.deny = nil
	for i := range len(l.Identity) + len(l.groups) {
		var set *Set
		if i < len(l.Identity) {
			set = l.Identity[i]
		} else {
			set = l.groupSet(l.groups[i-len(l.Identity)])
		}
		if e.run(set); e.deny != nil {
			return nil
		}
		if allow == nil {
			allow = e.allow
		}
	}
	return allow
}

// outsider decides for a principal that lives in no account: nobody, a service, somebody with a web identity. Only the
// resource has a say.
func (e *evaluation) outsider(l *Layers) Decision {
	if d := e.resourceControls(l); d.Outcome == ExplicitlyDenied {
		return d
	}
	layer := LayerResource
	if e.request.needsTrust() {
		layer = LayerTrust
	}
	switch e.run(l.Resource); {
	case e.deny != nil:
		return explicit(layer, e.deny, 0)
	case e.allow != nil:
		return allowedBy(layer, e.allow)
	}
	return Decision{Layer: layer}
}

func (e *evaluation) resourceControls(l *Layers) (d Decision) {
	for i, level := range l.RCPs {
		if e.run(level); e.deny != nil {
			return explicit(LayerResourceControl, e.deny, i)
		}
	}
	return d
}

func explicit(layer Layer, st *statement, level int) Decision {
	return Decision{Outcome: ExplicitlyDenied, Layer: layer, Level: level, statement: st}
}

func allowedBy(layer Layer, st *statement) Decision {
	return Decision{Outcome: Allowed, Layer: layer, statement: st}
}

// answers is what the layers said of a request that none of them denies.
type answers struct {
	layer     Layer // of the resource's policy
	mustGrant bool  // identity policies alone are not enough, even in the same account
	resource  *statement
	grant     grant
	identity  *statement
	bounded   bool // the boundary allows, or there is none
	session   bool // the session policies allow, or there are none
}

// decide combines the answers by the rules of one account or of two.
func (a *answers) decide(r *Request) Decision {
	root := r.Principal.Type == Root
	if !r.sameAccount() {
		if a.grant == grantNone {
			return Decision{Layer: a.layer}
		}
		if root {
			return allowedBy(a.layer, a.resource)
		}
		return a.limited(LayerIdentity, a.identity)
	}
	switch {
	case root && !a.mustGrant:
		return Decision{Outcome: Allowed}
	case a.grant == grantDirect:
		return allowedBy(a.layer, a.resource) // silence of boundary and session policies does not limit it
	case a.mustGrant && a.grant == grantNone:
		return Decision{Layer: a.layer}
	case a.grant == grantIssuer && a.identity == nil:
		return a.limited(a.layer, a.resource)
	}
	return a.limited(LayerIdentity, a.identity)
}

// limited is the permission that st gives, within the boundary and the session policies.
func (a *answers) limited(layer Layer, st *statement) Decision {
	switch {
	case st == nil:
		return Decision{Layer: layer}
	case !a.bounded:
		return Decision{Layer: LayerBoundary}
	case !a.session:
		return Decision{Layer: LayerSession}
	}
	return allowedBy(layer, st)
}

// consider evaluates a statement and reports whether it denies, which ends the evaluation.
func (e *evaluation) consider(st *statement) bool {
	if !e.useful(st) || !st.matchesAction(e.request.Action) || !st.matchesResource(e) {
		return false
	}
	for i := range st.conditions {
		if !st.conditions[i].holds(&e.request.Context) {
			return false
		}
	}
	return e.applies(st)
}

// useful reports whether the statement could change what is known.
func (e *evaluation) useful(st *statement) bool {
	return st.deny || e.grant < grantDirect
}

// applies takes note of a statement whose action, resource and conditions fit, if it is about the principal. It
// reports whether the statement denies.
func (e *evaluation) applies(st *statement) bool {
	g := grantDirect
	if ps := st.principals; ps != nil {
		switch p := &e.request.Principal; {
		case !st.notPrincipal:
			g = ps.match(p)
		case st.deny && ps.exempt(p, e.bounded), !st.deny && ps.match(p) != grantNone:
			g = grantNone
		}
	}
	switch {
	case g == grantNone:
		return false
	case st.deny:
		e.deny = st
		return true
	case g > e.grant:
		e.allow, e.grant = st, g
	}
	return false
}
