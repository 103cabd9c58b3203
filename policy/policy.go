package policy

import "fmt"

// Kind says what a document is for, which decides the elements it may hold and AWS's words when it is wrong.
type Kind uint8

const (
	// Identity is a policy of a user, group or role: no Principal, Version 2012-10-17.
	Identity Kind = iota
	// Boundary is an identity policy used as a permissions boundary.
	Boundary
	// Session is handed over when a session is made: no Principal.
	Session
	// Resource belongs to a resource: every statement has a Principal.
	Resource
	// Trust belongs to a role and says who may assume it: Principal, no Resource.
	Trust
	// ServiceControl (SCP) bounds the principals of accounts: no Principal.
	ServiceControl
	// ResourceControl (RCP) bounds the resources of accounts: Effect Deny and Principal "*".
	ResourceControl
)

var kinds = [...]string{"Identity", "Boundary", "Session", "Resource", "Trust", "ServiceControl", "ResourceControl"}

// String returns the constant's name.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// NoQuota as [Options.Quota] turns the check of a document's size off.
const NoQuota = -1

// Options says how a document is read. The zero value is a managed identity policy.
type Options struct {
	Kind Kind
	Name string // for messages and explanations, an ARN as a rule; may be empty

	// Quota is the most characters the document may have. 0 is AWS's quota: 6,144 for Identity and Boundary, 2,048 for
	// Session and Trust, 5,120 for both kinds of control, none for Resource, which each service limits by itself.
	// White space counts for controls only. Inline policies share a quota per user, group or role: see [Policy.Size].
	Quota int

	// OldVersions takes an identity policy of Version 2008-10-17 or without one, which IAM stores no more but still
	// evaluates. Policy variables are plain text in it.
	OldVersions bool
}

func (o *Options) quota() int {
	if o.Quota != 0 {
		return o.Quota
	}
	switch o.Kind {
	case Identity, Boundary:
		return 6144
	case Session, Trust:
		return 2048
	case ServiceControl, ResourceControl:
		return 5120
	}
	return NoQuota
}

// Policy is a document that was found right and compiled. It never changes and may be shared.
type Policy struct {
	name       string
	kind       Kind
	id         string
	version    string
	source     string
	size       int
	statements []*statement
}

// Name is Options.Name.
func (p *Policy) Name() string { return p.name }

// Kind is what the policy is for.
func (p *Policy) Kind() Kind { return p.kind }

// ID is the Id element, often empty.
func (p *Policy) ID() string { return p.id }

// Version is the Version element; 2008-10-17 when the document has none.
func (p *Policy) Version() string { return p.version }

// Source is the document as it was given.
func (p *Policy) Source() string { return p.source }

// Size is the number of characters that count against the quota.
func (p *Policy) Size() int { return p.size }

// Len is the number of statements.
func (p *Policy) Len() int { return len(p.statements) }

// Statement returns the i-th statement, from 0.
func (p *Policy) Statement(i int) Statement {
	st := p.statements[i]
	return Statement{Policy: p, Index: i, Sid: st.sid, Deny: st.deny, Source: p.source[st.at:st.end]}
}

// Statement is one statement of a policy.
type Statement struct {
	Policy *Policy
	Index  int    // from 0
	Sid    string // may be empty
	Deny   bool   // Effect is Deny
	Source string // the JSON object in the document
}

// statement is a compiled statement.
type statement struct {
	policy *Policy
	index  int
	sid    string
	at     int32
	end    int32

	deny         bool
	notAction    bool
	notResource  bool
	notPrincipal bool
	anyResource  bool // a trust policy names none: it is about its role

	actions    []pattern // in lower case
	resources  []arnPattern
	principals *principals // nil where the kind has none
	conditions []condition
}

// matchesAction reports whether Action covers, or NotAction leaves, the action.
func (st *statement) matchesAction(action string) bool {
	for i := range st.actions {
		if st.actions[i].matchFold(action) {
			return !st.notAction
		}
	}
	return st.notAction
}

// matchesResource reports whether Resource covers, or NotResource leaves, the resource.
func (st *statement) matchesResource(e *evaluation) bool {
	if st.anyResource {
		return true
	}
	for i := range st.resources {
		if st.resources[i].match(&e.request.Context, e.request.Resource, &e.resource) {
			return !st.notResource
		}
	}
	return st.notResource
}
