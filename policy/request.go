package policy

// Request is one question: may this principal take this action on this resource, in this context? Evaluation does not
// change it; the same Request may be evaluated any number of times, by any number of goroutines.
type Request struct {
	Principal Principal
	Action    string // service:Name, in any case
	Resource  string // ARN, or "*" for an action on no resource

	// ResourceAccount is the account that owns the resource. Empty means the account in the ARN, and for an ARN without
	// one (S3) the principal's own: name it where buckets of other accounts can be asked for.
	ResourceAccount string

	Context Context // complete: evaluation adds no key
}

// NewRequest makes a request of plain values, as an authorizer is given them. The principal is read by
// [ParsePrincipal], whose error it returns.
func NewRequest(principal, action, resource string, conditions map[string][]string) (*Request, error) {
	p, err := ParsePrincipal(principal)
	if err != nil {
		return nil, err
	}
	return &Request{Principal: p, Action: action, Resource: resource, Context: NewContext(conditions)}, nil
}

// account is the account that owns the resource.
func (r *Request) account() string {
	if r.ResourceAccount != "" {
		return r.ResourceAccount
	}
	if account := accountOf(r.Resource); account != "" {
		return account
	}
	return r.Principal.Account
}

// sameAccount reports whether principal and resource belong to one account.
func (r *Request) sameAccount() bool { return r.account() == r.Principal.Account }

// needsTrust reports whether the action is one that a role's trust policy must allow, even in the same account.
func (r *Request) needsTrust() bool {
	if !prefixFold(r.Action, "sts:") {
		return false
	}
	name := r.Action[len("sts:"):]
	return prefixFold(name, "assumerole") || equalFoldASCII(name, "tagsession") || equalFoldASCII(name, "setsourceidentity")
}

// needsKeyPolicy reports whether the action is on a KMS key, whose policy must allow even in the same account.
func (r *Request) needsKeyPolicy() bool {
	if !prefixFold(r.Action, "kms:") {
		return false
	}
	a := splitRequestARN(r.Resource)
	return a.n == 6 && len(a.parts[5]) > 4 && a.parts[5][:4] == "key/"
}
