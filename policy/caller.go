package policy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Caller is who makes a request, as the credentials tell that it is made with. What issues credentials fills it in; a
// verb is authorized with it.
type Caller struct {
	Principal Principal

	// Session is the policies handed over when the caller's session was made, nil when none were.
	Session *Set

	// Context is the condition keys that come with the credentials, such as aws:PrincipalTag/<key>, aws:userid and
	// aws:TokenIssueTime, and with the connection: aws:SourceIp, aws:UserAgent.
	Context map[string][]string

	AccessKeyID string // of the credentials, for records; "" when there are none
}

// Request makes the caller's request for an action. Its context is the conditions, IAM's global keys about the
// principal, and the caller's own keys. The later ones win: what a caller is cannot be overridden by what it asks for.
// Keys about the time are not among them: whoever has a clock sets aws:CurrentTime and aws:EpochTime.
func (c *Caller) Request(action, resource string, conditions map[string][]string) *Request {
	r := &Request{Principal: c.Principal, Action: action, Resource: resource, Context: NewContext(conditions)}
	p := &c.Principal
	set := func(name string, has bool, value string) {
		switch {
		case has:
			r.Context.Set(name, value)
		case r.Context.Values(name) != nil:
			r.Context.Set(name) // a claim of the request's
		}
	}
	kind := p.contextType()
	set("aws:PrincipalArn", kind != "" && p.Type != Anonymous, p.policyARN())
	set("aws:PrincipalAccount", p.Account != "", p.Account)
	set("aws:PrincipalType", kind != "", kind)
	set("aws:PrincipalIsAWSService", true, strconv.FormatBool(p.Type == Service))
	set("aws:PrincipalServiceName", p.Type == Service, p.Name)
	set("aws:username", p.Type == User, p.Name[strings.LastIndexByte(p.Name, '/')+1:])
	for _, name := range slices.Sorted(maps.Keys(c.Context)) {
		r.Context.Set(name, c.Context[name]...)
	}
	return r
}

// policyARN is what aws:PrincipalArn holds: for a role's session the role, for everyone else the name.
func (p *Principal) policyARN() string {
	if p.Type == RoleSession {
		return p.IssuerARN
	}
	return p.Name
}

// contextType is what aws:PrincipalType holds, "" for a service and for a web identity.
func (p *Principal) contextType() string {
	switch p.Type {
	case Root:
		return "Account"
	case User, FederatedUser, Anonymous:
		return p.Type.String()
	case Role, RoleSession:
		return "AssumedRole"
	}
	return ""
}
