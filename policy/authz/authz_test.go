package authz_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/audit"
	"github.com/fardel-io/fardel/policy/authz"
)

const (
	account = "arn:aws:iam::123456789012:"
	secret  = "arn:aws:vault:us-east-1:123456789012:secret/"
)

func noon() time.Time { return time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC) }

func attach(t *testing.T, d *policy.Directory, arn, document string) {
	t.Helper()
	p, err := policy.Parse([]byte(document), policy.Options{Name: arn})
	if err == nil {
		err = errors.Join(d.Put(p), d.Attach(arn, policy.Attachments{Policies: []string{arn}}))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuthorize(t *testing.T) {
	d := &policy.Directory{}
	attach(t, d, account+"role/app", `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "vault:Read*", "Resource": "arn:aws:vault:*:*:secret/${aws:PrincipalTag/team}/*"},
		{"Effect": "Allow", "Action": "vault:Old", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-02T12:00:00Z"}}},
		{"Effect": "Allow", "Action": "vault:New", "Resource": "*", "Condition": {"DateGreaterThanEquals": {"aws:CurrentTime": "2030-01-02T12:00:00Z"},
			"NumericEquals": {"aws:EpochTime": "1893585600"}}},
		{"Effect": "Allow", "Action": "vault:Keyed", "Resource": "*", "Condition": {"StringEquals": {"vault:color": "red"}}}]}`)
	attach(t, d, account+"user/team/ann", `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "vault:ReadSecret", "Resource": "arn:aws:vault:*:*:secret/${aws:username}"}]}`)
	auth, err := authz.New(authz.Config{Directory: d, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	app := func(team string, more map[string][]string) *policy.Caller {
		p, err := policy.ParsePrincipal("arn:aws:sts::123456789012:assumed-role/app/one")
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string][]string{"aws:PrincipalTag/team": {team}}
		for k, v := range more {
			keys[k] = v
		}
		return &policy.Caller{Principal: p, Context: keys}
	}
	denied := func(who, action, resource string) string {
		return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
			who, action, resource, action)
	}
	const one = "arn:aws:sts::123456789012:assumed-role/app/one"
	for _, tt := range []struct {
		name string
		r    authz.Request
		want string
	}{
		{"the host program", authz.Request{Action: "vault:Anything", Resource: "*"}, ""},
		{"a session's tag", authz.Request{Caller: app("red", nil), Action: "vault:ReadSecret", Resource: secret + "red/1"}, ""},
		{"another team's", authz.Request{Caller: app("red", nil), Action: "vault:ReadSecret", Resource: secret + "blue/1"},
			denied(one, "vault:ReadSecret", secret+"blue/1")},
		{"a tag that the request claims", authz.Request{Caller: app("red", nil), Action: "vault:ReadSecret", Resource: secret + "blue/1",
			Conditions: map[string][]string{"AWS:principaltag/TEAM": {"blue"}}}, denied(one, "vault:ReadSecret", secret+"blue/1")},
		{"before", authz.Request{Caller: app("red", nil), Action: "vault:Old", Resource: "*"}, denied(one, "vault:Old", "*")},
		{"a time that the request claims", authz.Request{Caller: app("red", nil), Action: "vault:Old", Resource: "*",
			Conditions: map[string][]string{"aws:currenttime": {"2001-01-01"}}}, denied(one, "vault:Old", "*")},
		{"after", authz.Request{Caller: app("red", nil), Action: "vault:New", Resource: "*"}, ""},
		{"a host's own key", authz.Request{Caller: app("red", nil), Action: "vault:Keyed", Resource: "*",
			Conditions: map[string][]string{"vault:color": {"red"}}}, ""},
		{"a user's name", authz.Request{Principal: account + "user/team/ann", Action: "vault:ReadSecret", Resource: secret + "ann"}, ""},
		{"another user's name", authz.Request{Principal: account + "user/bob", Action: "vault:ReadSecret", Resource: secret + "ann"},
			denied(account+"user/bob", "vault:ReadSecret", secret+"ann")},
		{"nobody", authz.Request{Principal: "*", Action: "vault:ReadSecret", Resource: secret + "ann"},
			"User: anonymous is not authorized to perform: vault:ReadSecret on resource: " + secret +
				"ann because no resource-based policy allows the vault:ReadSecret action"},
	} {
		got := ""
		if err := auth.Authorize(context.Background(), tt.r); err != nil {
			got = err.Error()
			if !errors.Is(err, policy.ErrDenied) {
				t.Errorf("%s: %v does not match policy.ErrDenied", tt.name, err)
			}
		}
		if got != tt.want {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, tt.want)
		}
	}
	if err := auth.Authorize(context.Background(), authz.Request{Principal: "ann", Action: "vault:ReadSecret", Resource: "*"}); !errors.Is(err, policy.ErrPrincipal) {
		t.Errorf("a name of nobody: %v, want policy.ErrPrincipal", err)
	}
	if _, err := authz.New(authz.Config{}); err == nil {
		t.Error("New without a directory succeeds")
	}
}

// trail keeps records.
type trail []audit.Record

// Record implements audit.Sink.
func (t *trail) Record(r audit.Record) { *t = append(*t, r) }

func TestAudit(t *testing.T) {
	d := &policy.Directory{}
	attach(t, d, account+"user/ann", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "vault:Read", "Resource": "*"}}`)
	var got trail
	auth, err := authz.New(authz.Config{Directory: d, Now: noon, Audit: &got, Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []authz.Request{
		{Action: "vault:Write", Resource: "*"}, // the host program's own: nothing is decided
		{Principal: account + "user/ann", Action: "vault:Read", Resource: secret + "a"},
		{Principal: account + "user/ann", Action: "vault:Write", Resource: secret + "a"},
	} {
		_ = auth.Authorize(t.Context(), r) // the records tell
	}
	var lines []string
	for _, r := range got {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s", r.EventTime.Format(time.RFC3339), r.AWSRegion, r.UserIdentity.UserName, r.EventName,
			r.ErrorCode, r.Resources[0].ARN))
	}
	want := []string{"2030-01-02T12:00:00Z eu-west-1 ann Read  " + secret + "a", "2030-01-02T12:00:00Z eu-west-1 ann Write AccessDenied " + secret + "a"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	d := &policy.Directory{}
	p, err := policy.Parse([]byte(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}}`), policy.Options{Name: "all"})
	if err == nil {
		err = errors.Join(d.Put(p), d.Attach(account+"user/ann", policy.Attachments{Policies: []string{"all"}}))
	}
	if err != nil {
		b.Fatal(err)
	}
	auth, err := authz.New(authz.Config{Directory: d})
	if err != nil {
		b.Fatal(err)
	}
	r := authz.Request{Principal: account + "user/ann", Action: "ecs:RunTask", Resource: "arn:aws:ecs:us-east-1:123456789012:task-definition/app:1",
		Conditions: map[string][]string{"ecs:cluster": {"arn:aws:ecs:us-east-1:123456789012:cluster/default"}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := auth.Authorize(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
