package policy_test

import (
	"errors"
	"testing"

	"github.com/fardel-io/fardel/policy"
)

// TestMessage holds the reasons and AWS's words together, one for each way to be denied.
func TestMessage(t *testing.T) {
	const (
		all    = `{"Effect":"Allow","Action":"*","Resource":"*"}`
		none   = `{"Effect":"Allow","Action":"a:b","Resource":"*"}`
		deny   = `{"Effect":"Deny","Action":"*","Resource":"*"}`
		forAll = `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`
	)
	set := func(kind policy.Kind, statement string) *policy.Set {
		return policy.NewSet(named(t, kind, "p", statement))
	}
	identity := []*policy.Set{set(policy.Identity, all)}
	const start = "User: " + alice + " is not authorized to perform: s3:GetObject on resource: " + object
	for _, c := range []struct {
		name    string
		layers  policy.Layers
		reason  string
		message string
	}{
		{"nothing", policy.Layers{}, "ImplicitlyDenied by Identity", " because no identity-based policy allows the s3:GetObject action"},
		{"boundary", policy.Layers{Identity: identity, Boundary: set(policy.Boundary, none)}, "ImplicitlyDenied by Boundary", " because no permissions boundary allows the s3:GetObject action"},
		{"session", policy.Layers{Identity: identity, Session: set(policy.Session, none)}, "ImplicitlyDenied by Session", " because no session policy allows the s3:GetObject action"},
		{"scp", policy.Layers{Identity: identity, SCPs: []*policy.Set{set(policy.ServiceControl, all), set(policy.ServiceControl, none)}}, "ImplicitlyDenied by ServiceControl level 1", " because no service control policy allows the s3:GetObject action"},
		{"identity denies", policy.Layers{Identity: []*policy.Set{identity[0], set(policy.Identity, deny)}}, "ExplicitlyDenied by Identity statement 0 of p", " with an explicit deny in an identity-based policy"},
		{"boundary denies", policy.Layers{Identity: identity, Boundary: set(policy.Boundary, deny)}, "ExplicitlyDenied by Boundary statement 0 of p", " with an explicit deny in a permissions boundary"},
		{"session denies", policy.Layers{Identity: identity, Session: set(policy.Session, deny)}, "ExplicitlyDenied by Session statement 0 of p", " with an explicit deny in a sessions policy"},
		{"resource denies", policy.Layers{Identity: identity, Resource: set(policy.Resource, forAll)}, "ExplicitlyDenied by Resource statement 0 of p", " with an explicit deny in a resource-based policy"},
		{"scp denies", policy.Layers{Identity: identity, SCPs: []*policy.Set{set(policy.ServiceControl, deny)}}, "ExplicitlyDenied by ServiceControl level 0 statement 0 of p", " with an explicit deny in a service control policy"},
		{"rcp denies", policy.Layers{Identity: identity, RCPs: []*policy.Set{set(policy.ResourceControl, forAll)}}, "ExplicitlyDenied by ResourceControl level 0 statement 0 of p", " with an explicit deny in a resource control policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, alice, "s3:GetObject", object)
			d := policy.Evaluate(&c.layers, r)
			if d.String() != c.reason {
				t.Errorf("got  %v\nwant %s", d, c.reason)
			}
			if got := d.Message(r); got != start+c.message {
				t.Errorf("got  %s\nwant %s", got, start+c.message)
			}
			var denied *policy.DeniedError
			if err := d.Err(r); !errors.Is(err, policy.ErrDenied) || !errors.As(err, &denied) || denied.Decision != d {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestRules are rules of the guide that the cases under testdata do not reach.
func TestRules(t *testing.T) {
	const (
		role     = "arn:aws:iam::123456789012:role/ops/deploy"
		key      = "arn:aws:kms:us-east-1:123456789012:key/1"
		provider = "arn:aws:iam::123456789012:oidc-provider/login.example.com"
	)
	set := func(kind policy.Kind, statement string) *policy.Set {
		return policy.NewSet(named(t, kind, "p", statement))
	}
	all := []*policy.Set{set(policy.Identity, `{"Effect":"Allow","Action":"*","Resource":"*"}`)}
	trusts := func(who string) *policy.Set {
		return set(policy.Trust, `{"Effect":"Allow","Principal":`+who+`,"Action":"sts:AssumeRole*"}`)
	}
	grants := func(who string) *policy.Set {
		return set(policy.Resource, `{"Effect":"Allow","Principal":`+who+`,"Action":"*","Resource":"*"}`)
	}
	withPath := ask(t, "arn:aws:sts::123456789012:assumed-role/deploy/s", "s3:GetObject", object)
	withPath.Principal.IssuerARN = role
	canonical := ask(t, "arn:aws:iam::210987654321:user/carol", "s3:GetObject", object)
	canonical.Principal.CanonicalUser, canonical.ResourceAccount = "79a5", "123456789012"
	for _, c := range []struct {
		name    string
		request *policy.Request
		layers  policy.Layers
		want    policy.Outcome
	}{
		{"a key needs its policy", ask(t, alice, "kms:Decrypt", key), policy.Layers{Identity: all}, policy.ImplicitlyDenied},
		{"a key's policy names the account", ask(t, alice, "kms:Decrypt", key), policy.Layers{Identity: all, Resource: grants(`{"AWS":"123456789012"}`)}, policy.Allowed},
		{"listing keys needs none", ask(t, alice, "kms:ListKeys", "*"), policy.Layers{Identity: all}, policy.Allowed},
		{"root needs trust", ask(t, "arn:aws:iam::123456789012:root", "sts:AssumeRole", role), policy.Layers{}, policy.ImplicitlyDenied},
		{"root needs nothing else", ask(t, "arn:aws:iam::123456789012:root", "s3:GetObject", object), policy.Layers{}, policy.Allowed},
		{"tagging a session needs trust", ask(t, alice, "sts:TagSession", role), policy.Layers{Identity: all, Resource: trusts(`"*"`)}, policy.ImplicitlyDenied},
		{"asking who one is needs none", ask(t, alice, "sts:GetCallerIdentity", "*"), policy.Layers{Identity: all}, policy.Allowed},
		{"web identity", ask(t, provider, "sts:AssumeRoleWithWebIdentity", role), policy.Layers{Resource: trusts(`{"Federated":"` + provider + `"}`)}, policy.Allowed},
		{"web identity of another", ask(t, provider, "sts:AssumeRoleWithWebIdentity", role), policy.Layers{Resource: trusts(`{"Federated":"accounts.google.com"}`)}, policy.ImplicitlyDenied},
		{"session of a role with a path", withPath, policy.Layers{Resource: grants(`{"AWS":"` + role + `"}`)}, policy.Allowed},
		{"canonical user is the account", canonical, policy.Layers{Identity: all, Resource: grants(`{"CanonicalUser":"79a5"}`)}, policy.Allowed},
		{"canonical user alone", canonical, policy.Layers{Resource: grants(`{"CanonicalUser":"79a5"}`)}, policy.ImplicitlyDenied},
		{"an empty level allows nothing", ask(t, alice, "s3:GetObject", object), policy.Layers{Identity: all, SCPs: []*policy.Set{policy.NewSet()}}, policy.ImplicitlyDenied},
		{"an empty boundary allows nothing", ask(t, alice, "s3:GetObject", object), policy.Layers{Identity: all, Boundary: policy.NewSet()}, policy.ImplicitlyDenied},
		{"account of the ARN", ask(t, alice, "sqs:SendMessage", "arn:aws:sqs:us-east-1:210987654321:q"), policy.Layers{Identity: all}, policy.ImplicitlyDenied},
	} {
		if got := policy.Evaluate(&c.layers, c.request); got.Outcome != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSetShares: a changed set leaves the one it came from alone.
func TestSetShares(t *testing.T) {
	w := workloads()[3]
	w.policies = 50
	set := w.set(t)
	r := w.request(t)
	last := set.Policies()[49]
	without := set.Without(last)
	again := without.With(last)
	for _, c := range []struct {
		name string
		set  *policy.Set
		want bool
	}{{"before", set, true}, {"without", without, false}, {"again", again, true}, {"twice", again.With(last).Without(last), false}} {
		if got := policy.Evaluate(&policy.Layers{Identity: []*policy.Set{c.set}}, r); got.Allowed() != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if got := len(again.Policies()); got != 50 {
		t.Errorf("%d policies, want 50", got)
	}
	var empty *policy.Set
	if got := empty.With(last).Policies(); len(got) != 1 || got[0] != last {
		t.Errorf("nil set with one policy: %v", got)
	}
}
