package policy

import "fmt"

// Outcome is the answer to a request. The zero value is a denial.
type Outcome uint8

const (
	// ImplicitlyDenied means that something that must allow was silent.
	ImplicitlyDenied Outcome = iota
	// ExplicitlyDenied means that a statement with Effect Deny applied.
	ExplicitlyDenied
	// Allowed means what it says.
	Allowed
)

var outcomes = [...]string{"ImplicitlyDenied", "ExplicitlyDenied", "Allowed"}

// String returns the constant's name.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return fmt.Sprintf("Outcome(%d)", o)
}

// Layer is a place that policies come from.
type Layer uint8

const (
	// LayerNone stands for no policy: the root user of the account that owns the resource needs none.
	LayerNone Layer = iota
	// LayerIdentity is the policies of the principal and its groups.
	LayerIdentity
	// LayerResource is the policy of the resource.
	LayerResource
	// LayerTrust is the trust policy of a role that is to be assumed.
	LayerTrust
	// LayerBoundary is the principal's permissions boundary.
	LayerBoundary
	// LayerSession is the policies handed over when the session was made.
	LayerSession
	// LayerServiceControl is the service control policies of the principal's account.
	LayerServiceControl
	// LayerResourceControl is the resource control policies of the resource's account.
	LayerResourceControl
)

var layers = [...]struct{ name, silent, denies string }{
	LayerNone:            {"None", "policy", "a policy"},
	LayerIdentity:        {"Identity", "identity-based policy", "an identity-based policy"},
	LayerResource:        {"Resource", "resource-based policy", "a resource-based policy"},
	LayerTrust:           {"Trust", "role trust policy", "the role trust policy"},
	LayerBoundary:        {"Boundary", "permissions boundary", "a permissions boundary"},
	LayerSession:         {"Session", "session policy", "a sessions policy"}, // AWS's spelling
	LayerServiceControl:  {"ServiceControl", "service control policy", "a service control policy"},
	LayerResourceControl: {"ResourceControl", "resource control policy", "a resource control policy"},
}

// String returns the constant's name without "Layer".
func (l Layer) String() string {
	if int(l) < len(layers) {
		return layers[l].name
	}
	return fmt.Sprintf("Layer(%d)", l)
}

// Decision is the outcome of a request and what decided it.
type Decision struct {
	Outcome Outcome

	// Layer is where it was decided: the layer that allowed, denied or, for an implicit denial, was silent.
	Layer Layer

	// Level is the level of the organization, from 0 at the root, for the two layers of controls.
	Level int

	// statement allowed or denied. Four fields and no more: the compiler keeps such a struct in registers.
	statement *statement
}

// Statement is the statement that allowed or denied: one of them where several did. There is none when silence decided,
// and none for a root user.
func (d Decision) Statement() (st Statement, ok bool) {
	if d.statement == nil {
		return Statement{}, false
	}
	return d.statement.policy.Statement(d.statement.index), true
}

// Allowed reports whether the request may proceed.
func (d Decision) Allowed() bool { return d.Outcome == Allowed }

// Message is AWS's text for a denied request, "" for an allowed one.
func (d Decision) Message(r *Request) string {
	text := "User: " + r.Principal.String() + " is not authorized to perform: " + r.Action + " on resource: " + r.Resource
	switch d.Outcome {
	case Allowed:
		return ""
	case ExplicitlyDenied:
		return text + " with an explicit deny in " + layers[d.Layer].denies
	}
	return text + " because no " + layers[d.Layer].silent + " allows the " + r.Action + " action"
}

// Err is nil for an allowed request and a [*DeniedError] for a denied one.
func (d Decision) Err(r *Request) error {
	if d.Allowed() {
		return nil
	}
	return &DeniedError{Decision: d, Message: d.Message(r)}
}

// String says what decided, for logs: "ExplicitlyDenied by Identity statement 1 (Sid DenyLogs) of arn:…".
func (d Decision) String() string {
	s := d.Outcome.String() + " by " + d.Layer.String()
	if d.Layer == LayerServiceControl || d.Layer == LayerResourceControl {
		s += fmt.Sprintf(" level %d", d.Level)
	}
	st, ok := d.Statement()
	if !ok {
		return s
	}
	s += fmt.Sprintf(" statement %d", st.Index)
	if st.Sid != "" {
		s += " (Sid " + st.Sid + ")"
	}
	if name := st.Policy.Name(); name != "" {
		s += " of " + name
	}
	return s
}

// DeniedError is the error of a denied request. It matches [ErrDenied].
type DeniedError struct {
	Decision Decision
	Message  string // AWS's text
}

// Error is AWS's text.
func (e *DeniedError) Error() string { return e.Message }

// Is matches [ErrDenied].
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }
