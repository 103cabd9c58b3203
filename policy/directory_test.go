package policy_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/fardel-io/fardel/policy"
)

const (
	alice   = "arn:aws:iam::123456789012:user/alice"
	session = "arn:aws:sts::123456789012:assumed-role/app/s1"
	appRole = "arn:aws:iam::123456789012:role/app"
	object  = "arn:aws:s3:::data/a/b"
)

func named(tb testing.TB, kind policy.Kind, name, statement string) *policy.Policy {
	tb.Helper()
	p, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":`+statement+`}`), policy.Options{Kind: kind, Name: name})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func allow(tb testing.TB, name, action string) *policy.Policy {
	tb.Helper()
	return named(tb, policy.Identity, name, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":"*"}`, action))
}

func ask(tb testing.TB, principal, action, resource string) *policy.Request {
	tb.Helper()
	r, err := policy.NewRequest(principal, action, resource, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	var d policy.Directory
	expect := func(principal, action, resource string, want policy.Outcome) {
		t.Helper()
		if got := d.Decide(ask(t, principal, action, resource), nil); got.Outcome != want {
			t.Errorf("%s %s: got %v, want %v", principal, action, got, want)
		}
	}
	expect(alice, "s3:GetObject", object, policy.ImplicitlyDenied)

	must(t, d.Put(allow(t, "read", "s3:Get*")))
	must(t, d.Put(allow(t, "write", "s3:Put*")))
	must(t, d.Put(allow(t, "all", "*")))
	must(t, d.Attach("readers", policy.Attachments{Policies: []string{"read"}}))
	must(t, d.Attach(alice, policy.Attachments{Policies: []string{"write"}, Groups: []string{"readers"}}))
	must(t, d.Attach(appRole, policy.Attachments{Policies: []string{"all"}, Boundary: "read"}))
	expect(alice, "s3:GetObject", object, policy.Allowed)
	expect(alice, "s3:PutObject", object, policy.Allowed)
	expect(alice, "s3:DeleteObject", object, policy.ImplicitlyDenied)
	expect(session, "s3:GetObject", object, policy.Allowed)
	expect(session, "s3:PutObject", object, policy.ImplicitlyDenied)

	// A changed policy counts wherever it is attached: as a group's policy and as a boundary.
	must(t, d.Put(allow(t, "read", "s3:ListBucket")))
	expect(alice, "s3:GetObject", object, policy.ImplicitlyDenied)
	expect(session, "s3:GetObject", object, policy.ImplicitlyDenied)
	expect(session, "s3:ListBucket", "arn:aws:s3:::data", policy.Allowed)

	must(t, d.SetResource("arn:aws:s3:::data", named(t, policy.Resource, "bucket",
		`{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::data/*"}`)))
	expect(alice, "s3:PutObject", object, policy.ExplicitlyDenied)
	must(t, d.SetResource("arn:aws:s3:::data", nil))
	expect(alice, "s3:PutObject", object, policy.Allowed)

	must(t, d.SetResource(appRole, named(t, policy.Trust, "trust",
		`{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}`)))
	expect("ecs-tasks.amazonaws.com", "sts:AssumeRole", appRole, policy.Allowed)
	expect(alice, "sts:AssumeRole", appRole, policy.ImplicitlyDenied)

	must(t, d.Put(named(t, policy.ServiceControl, "scp", `{"Effect":"Allow","Action":"ecs:*","Resource":"*"}`)))
	must(t, d.SetAccount("123456789012", policy.Controls{SCPs: [][]string{{"scp"}}}))
	expect(alice, "s3:PutObject", object, policy.ImplicitlyDenied)
	must(t, d.Put(named(t, policy.ServiceControl, "scp", `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)))
	expect(alice, "s3:PutObject", object, policy.Allowed)

	must(t, d.Put(named(t, policy.ResourceControl, "rcp", `{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*"}`)))
	must(t, d.SetAccount("123456789012", policy.Controls{RCPs: [][]string{{"rcp"}}}))
	expect(alice, "s3:PutObject", object, policy.ExplicitlyDenied)
	must(t, d.SetAccount("123456789012", policy.Controls{}))
	expect(alice, "s3:PutObject", object, policy.Allowed)
}

func TestDirectoryErrors(t *testing.T) {
	var d policy.Directory
	must(t, d.Put(allow(t, "read", "s3:Get*")))
	must(t, d.Attach(alice, policy.Attachments{Policies: []string{"read"}}))
	trust := named(t, policy.Trust, "read", `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}`)
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"attach an unknown policy", d.Attach(alice, policy.Attachments{Policies: []string{"none"}}), policy.ErrNotFound},
		{"unknown boundary", d.Attach(alice, policy.Attachments{Boundary: "none"}), policy.ErrNotFound},
		{"inline of a wrong kind", d.Attach(alice, policy.Attachments{Inline: []*policy.Policy{trust}}), policy.ErrKind},
		{"change of kind", d.Put(trust), policy.ErrKind},
		{"identity policy of a resource", d.SetResource(object, d.Policy("read")), policy.ErrKind},
		{"identity policy as SCP", d.SetAccount("123456789012", policy.Controls{SCPs: [][]string{{"read"}}}), policy.ErrKind},
		{"delete what is attached", d.Delete("read"), policy.ErrInUse},
		{"delete what is not there", d.Delete("none"), policy.ErrNotFound},
		{"no name", d.Put(allow(t, "", "s3:Get*")), policy.ErrNotFound},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.err, c.want)
		}
	}
	if got := d.Decide(ask(t, alice, "s3:GetObject", object), nil); !got.Allowed() {
		t.Errorf("after refused changes: %v", got)
	}
	must(t, d.Attach(alice, policy.Attachments{}))
	must(t, d.Delete("read"))
}

// TestDirectoryChanges decides while policies change. Every decision must fit one of the two states, and the one that
// follows a change must see it.
func TestDirectoryChanges(t *testing.T) {
	var d policy.Directory
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("p%d", i)
		must(t, d.Put(allow(t, names[i], fmt.Sprintf("s3:Action%d", i))))
	}
	must(t, d.Attach(alice, policy.Attachments{Policies: names}))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			fixed := ask(t, alice, "s3:Action7", object)
			moving := ask(t, alice, "s3:Moving", object)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := d.Decide(fixed, nil); !got.Allowed() {
					t.Errorf("untouched policy: %v", got)
					return
				}
				got := d.Decide(moving, nil)
				if st, ok := got.Statement(); ok && st.Policy.Name() != "p150" {
					t.Errorf("allowed by %v", got)
					return
				}
			}
		})
	}
	moving := ask(t, alice, "s3:Moving", object)
	for i := range 300 {
		action, want := "s3:Moving", true
		if i%2 == 1 {
			action, want = "s3:Action150", false
		}
		must(t, d.Put(allow(t, "p150", action)))
		if got := d.Decide(moving, nil); got.Allowed() != want {
			t.Fatalf("change %d not seen: %v", i, got)
		}
	}
	close(stop)
	readers.Wait()
}

func TestNoAllocations(t *testing.T) {
	var d policy.Directory
	must(t, d.Put(allow(t, "read", "s3:Get*")))
	must(t, d.Attach("group", policy.Attachments{Policies: []string{"read"}}))
	must(t, d.Attach(alice, policy.Attachments{Policies: []string{"read"}, Groups: []string{"group"}}))
	r := ask(t, alice, "s3:GetObject", object)
	if n := testing.AllocsPerRun(100, func() { d.Decide(r, nil) }); n != 0 {
		t.Errorf("Directory.Decide allocates %v times", n)
	}
	total, cases := 0.0, 0
	forEachDecision(t, func(layers *policy.Layers, r *policy.Request) {
		cases++
		total += testing.AllocsPerRun(1, func() { policy.Evaluate(layers, r) })
	})
	if total != 0 {
		t.Errorf("Evaluate allocates %v times in %d cases", total, cases)
	}
}
