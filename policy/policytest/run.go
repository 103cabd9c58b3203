package policytest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fardel-io/fardel/policy"
)

// Result is what became of one case.
type Result struct {
	Line   int    // in the file, from 1
	ID     string // of the case
	Want   string // the decision or the error that the case asks for
	Got    string // what the package says
	Detail string // what decided, may be empty
}

// Passed reports whether the package says what the case asks for.
func (r Result) Passed() bool { return r.Want == r.Got }

// String is one line about the case.
func (r Result) String() string {
	verdict := "PASS"
	if !r.Passed() {
		verdict = "FAIL"
	}
	s := fmt.Sprintf("%s line %d %s: want %s, got %s", verdict, r.Line, r.ID, r.Want, r.Got)
	if r.Detail != "" {
		s += " (" + r.Detail + ")"
	}
	return s
}

// Run evaluates every case of a file and reports each. Its error is about the file: a line that is no case at all.
func Run(file io.Reader, report func(Result)) error {
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 1<<16), 1<<24)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		r := Result{Line: n, ID: c.ID}
		switch {
		case c.Valid != nil:
			r.validate(&c)
		case c.Request != nil:
			r.decide(&c)
		default:
			return fmt.Errorf("line %d: neither a request nor a document to validate", n)
		}
		report(r)
	}
	return lines.Err()
}

// Case is one line of a file.
type Case struct {
	ID string `json:"id"`

	Request          *Request            `json:"request"`
	IdentityPolicies []json.RawMessage   `json:"identityPolicies"`
	ResourcePolicy   json.RawMessage     `json:"resourcePolicy"`
	Boundaries       []json.RawMessage   `json:"permissionBoundaryPolicies"`
	SessionPolicy    json.RawMessage     `json:"sessionPolicy"`
	SCPs             [][]json.RawMessage `json:"scps"`
	RCPs             [][]json.RawMessage `json:"rcps"`
	Expected         string              `json:"expected"`

	API          string          `json:"api"`
	PolicyType   string          `json:"policyType"`
	Document     json.RawMessage `json:"document"`
	DocumentText *string         `json:"documentText"`
	Valid        *bool           `json:"valid"`
	ErrorCode    string          `json:"errorCode"`
	ErrorMessage string          `json:"errorMessage"`
}

// Request is the request of a decision case.
type Request struct {
	Principal       json.RawMessage `json:"principal"`
	Action          string          `json:"action"`
	Resource        string          `json:"resource"`
	ResourceAccount string          `json:"resourceAccount"`
	Context         map[string]any  `json:"context"`
}

func (r *Result) decide(c *Case) {
	r.Want = c.Expected
	request, err := c.Request.Build()
	if err == nil {
		var layers *policy.Layers
		if layers, err = c.Layers(); err == nil {
			d := policy.Evaluate(layers, request)
			r.Got, r.Detail = d.Outcome.String(), d.String()
			return
		}
	}
	r.Got = "error: " + err.Error()
}

// Build makes the request that package policy takes.
func (q *Request) Build() (*policy.Request, error) {
	principal := ""
	if err := json.Unmarshal(q.Principal, &principal); err != nil {
		var who struct{ Type string }
		if err := json.Unmarshal(q.Principal, &who); err != nil || who.Type != "Anonymous" {
			return nil, fmt.Errorf("principal %s: want a string or {\"type\":\"Anonymous\"}", q.Principal)
		}
	}
	conditions := map[string][]string{}
	for key, value := range q.Context {
		values, ok := value.([]any)
		if !ok {
			values = []any{value}
		}
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = fmt.Sprint(v)
		}
		conditions[key] = list
	}
	r, err := policy.NewRequest(principal, q.Action, q.Resource, conditions)
	if err != nil {
		return nil, err
	}
	r.ResourceAccount = q.ResourceAccount
	return r, nil
}

// Layers compiles the policies of a decision case.
func (c *Case) Layers() (*policy.Layers, error) {
	var p parser
	l := &policy.Layers{Identity: []*policy.Set{p.set(policy.Identity, c.IdentityPolicies)}}
	if present(c.ResourcePolicy) {
		l.Resource = p.set(c.resourceKind(), []json.RawMessage{c.ResourcePolicy})
	}
	if len(c.Boundaries) > 0 {
		l.Boundary = p.set(policy.Boundary, c.Boundaries)
	}
	if present(c.SessionPolicy) {
		l.Session = p.set(policy.Session, []json.RawMessage{c.SessionPolicy})
	}
	for _, level := range c.SCPs {
		l.SCPs = append(l.SCPs, p.set(policy.ServiceControl, level))
	}
	for _, level := range c.RCPs {
		l.RCPs = append(l.RCPs, p.set(policy.ResourceControl, level))
	}
	return l, p.err
}

// present reports whether a member is there and not null.
func present(document json.RawMessage) bool { return len(document) > 0 && string(document) != "null" }

// resourceKind tells a trust policy from other policies of resources.
func (c *Case) resourceKind() policy.Kind {
	if strings.HasPrefix(strings.ToLower(c.Request.Action), "sts:") && !strings.Contains(string(c.ResourcePolicy), `Resource"`) {
		return policy.Trust
	}
	return policy.Resource
}

type parser struct{ err error }

func (p *parser) set(kind policy.Kind, documents []json.RawMessage) *policy.Set {
	var policies []*policy.Policy
	for i, document := range documents {
		opts := policy.Options{Kind: kind, Name: fmt.Sprintf("%s %d", kind, i), Quota: policy.NoQuota, OldVersions: true}
		one, err := policy.Parse(document, opts)
		if err != nil {
			p.err = errors.Join(p.err, err)
			continue
		}
		policies = append(policies, one)
	}
	return policy.NewSet(policies...)
}

func (r *Result) validate(c *Case) {
	r.Want = "valid"
	if !*c.Valid {
		r.Want = c.ErrorCode + ": " + c.ErrorMessage
	}
	text := string(c.Document)
	if c.DocumentText != nil {
		text = *c.DocumentText
	} else if s := ""; json.Unmarshal(c.Document, &s) == nil {
		text = s
	}
	_, err := policy.Parse([]byte(text), policy.Options{Kind: kindOf(c.API + " " + c.PolicyType)})
	var bad *policy.DocumentError
	switch {
	case err == nil:
		r.Got = "valid"
	case errors.As(err, &bad):
		r.Got, r.Detail = bad.Code+": "+bad.Message, bad.Path+" "+bad.Detail
	default:
		r.Got = err.Error()
	}
}

// kindOf guesses what a document is for from the call and the words that a case uses.
func kindOf(words string) policy.Kind {
	words = strings.ToLower(words)
	for _, k := range []struct {
		word string
		kind policy.Kind
	}{
		{"trust", policy.Trust}, {"bucket", policy.Resource}, {"resource control", policy.ResourceControl},
		{"rcp", policy.ResourceControl}, {"service control", policy.ServiceControl}, {"scp", policy.ServiceControl},
		{"boundary", policy.Boundary}, {"session", policy.Session}, {"resource", policy.Resource},
	} {
		if strings.Contains(words, k.word) {
			return k.kind
		}
	}
	return policy.Identity
}
