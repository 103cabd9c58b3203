package policy

import (
	"fmt"
	"strings"
)

// PrincipalType says what asks.
type PrincipalType uint8

const (
	// Anonymous is a request without credentials. It is the zero value.
	Anonymous PrincipalType = iota
	// User is an IAM user.
	User
	// Role is an IAM role itself; what a task or a person acts as is a session of it.
	Role
	// RoleSession is a session of an assumed role.
	RoleSession
	// FederatedUser is a session made by GetFederationToken.
	FederatedUser
	// Root is the root user of an account.
	Root
	// Service is an AWS service, such as ecs-tasks.amazonaws.com.
	Service
	// WebIdentity is somebody known to an identity provider (SAML, OpenID Connect) who has no session yet.
	WebIdentity
)

var principalTypes = [...]string{"Anonymous", "User", "Role", "RoleSession", "FederatedUser", "Root", "Service", "WebIdentity"}

// String returns the constant's name.
func (t PrincipalType) String() string {
	if int(t) < len(principalTypes) {
		return principalTypes[t]
	}
	return fmt.Sprintf("PrincipalType(%d)", t)
}

// Principal is who asks. [ParsePrincipal] fills it in from an ARN; set IssuerARN by hand where the ARN does not say all.
type Principal struct {
	Type    PrincipalType
	Name    string // ARN, service name or provider; "" for Anonymous
	Account string // twelve digits; "" for Anonymous, Service and a provider without an ARN

	// IssuerARN is what a session speaks for: the ARN of the role, or of the user who federated. The ARN of a role's
	// session leaves out the role's path, so for a role with a path this must be set by hand.
	IssuerARN string

	// CanonicalUser is the account's id in S3, which Principal elements may use. Empty matches none.
	CanonicalUser string
}

// ParsePrincipal reads an ARN of a user, role, role session, federated user, account root or identity provider, a
// service's name (which ends in .amazonaws.com or .amazonaws.com.cn), or "" or "*" for nobody. Its error matches
// [ErrPrincipal].
func ParsePrincipal(s string) (Principal, error) {
	if s == "" || s == "*" {
		return Principal{}, nil
	}
	a := splitRequestARN(s)
	if a.n == 1 && (strings.HasSuffix(s, ".amazonaws.com") || strings.HasSuffix(s, ".amazonaws.com.cn")) {
		return Principal{Type: Service, Name: s}, nil
	}
	p := Principal{Name: s, Account: a.parts[4]}
	kind, name, _ := strings.Cut(a.parts[5], "/")
	ok := a.n == 6 && a.parts[0] == "arn" && a.parts[1] != "" && a.parts[3] == "" && isAccount(p.Account)
	switch a.parts[2] + ":" + kind {
	case "iam:root":
		p.Type = Root
		ok = ok && a.parts[5] == "root"
	case "iam:user":
		p.Type = User
	case "iam:role":
		p.Type = Role
	case "iam:saml-provider", "iam:oidc-provider":
		p.Type = WebIdentity
	case "sts:assumed-role":
		role, session, _ := strings.Cut(name, "/")
		p.Type, p.IssuerARN = RoleSession, "arn:"+a.parts[1]+":iam::"+p.Account+":role/"+role
		ok = ok && role != "" && session != ""
	case "sts:federated-user":
		p.Type, p.IssuerARN = FederatedUser, "arn:"+a.parts[1]+":iam::"+p.Account+":user/"+name
	default:
		ok = false
	}
	if !ok || p.Type != Root && name == "" {
		return Principal{}, fmt.Errorf("%w: %q: want the ARN of a user, role, session, account root or identity provider, or the name of a service", ErrPrincipal, s)
	}
	return p, nil
}

func isAccount(s string) bool { return len(s) == 12 && digitsOnly(s) }

// String is the principal as AWS names it in messages.
func (p *Principal) String() string {
	if p.Type == Anonymous {
		return "anonymous"
	}
	return p.Name
}

// ours reports whether the principal lives in an account, whose policies then have a say.
func (p *Principal) ours() bool {
	return p.Type != Anonymous && p.Type != Service && p.Type != WebIdentity
}

// grant is how closely a Principal element names a principal. What a resource's policy is worth depends on it.
type grant uint8

const (
	grantNone    grant = iota
	grantAccount       // the account: it may hand on the permission by its own policies
	grantIssuer        // the role of a session or the user of a federated one: the session's limits apply
	grantDirect        // the principal itself, or everyone
)

type principalKind uint8

const (
	whoAccount principalKind = iota
	whoARN
	whoService
	whoFederated
	whoCanonical
)

type principalEntry struct {
	kind principalKind
	name string // the twelve digits for whoAccount; "*" for all of the kind
}

// principals is a compiled Principal or NotPrincipal.
type principals struct {
	everyone bool
	entries  []principalEntry
}

// match returns the closest grant to p among the entries.
func (ps *principals) match(p *Principal) grant {
	if ps.everyone {
		return grantDirect
	}
	best := grantNone
	for i := range ps.entries {
		best = max(best, ps.entries[i].match(p))
	}
	return best
}

func (e *principalEntry) match(p *Principal) grant {
	switch e.kind {
	case whoAccount:
		if e.name == p.Account && p.ours() {
			return e.accountGrant(p)
		}
	case whoARN:
		switch {
		case p.ours() && e.name == p.Name:
			return grantDirect
		case p.IssuerARN != "" && e.name == p.IssuerARN:
			return grantIssuer
		}
	case whoService:
		if p.Type == Service && (e.name == p.Name || e.name == "*") {
			return grantDirect
		}
	case whoFederated:
		if p.Type == WebIdentity && (e.name == p.Name || e.name == "*") {
			return grantDirect
		}
	case whoCanonical:
		if p.CanonicalUser != "" && e.name == p.CanonicalUser {
			return e.accountGrant(p)
		}
	}
	return grantNone
}

// accountGrant: an account's root user is the account.
func (e *principalEntry) accountGrant(p *Principal) grant {
	if p.Type == Root {
		return grantDirect
	}
	return grantAccount
}

// exempt reports whether a Deny with these as NotPrincipal spares p. AWS looks at the account first, so naming the user
// or role without its account spares nobody; and it never spares a principal with a permissions boundary.
func (ps *principals) exempt(p *Principal, bounded bool) bool {
	if !p.ours() {
		return ps.match(p) != grantNone
	}
	if bounded || ps.everyone {
		return !bounded
	}
	for i := range ps.entries {
		if k := ps.entries[i].kind; (k == whoAccount || k == whoCanonical) && ps.entries[i].match(p) != grantNone {
			return true
		}
	}
	return false
}
