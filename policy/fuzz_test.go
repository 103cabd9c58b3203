package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/policytest"
)

// FuzzParse: no document makes the parser panic or hang, an error points into the document, and an accepted document
// can be evaluated and is accepted again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`,
		`{"Statement":[{"Effect":"Deny","NotAction":["a:b",null],"NotResource":"arn:aws:s3:::b/${aws:username, 'x'}*","Condition":{"DateLessThan":{"a":"01T"},"ForAnyValue:StringLikeIfExists":{"b":["*",true,1e3]}}}]}`,
		`{"Statement":{"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:user/a"]},"Action":"sts:AssumeRole"}}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::\u0041\\"}]}`,
	} {
		for kind := range uint8(7) {
			f.Add([]byte(s), kind)
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, kind uint8) {
		opts := policy.Options{Kind: policy.Kind(kind % 7), OldVersions: kind&8 != 0, Quota: policy.NoQuota}
		p, err := policy.Parse(document, opts)
		if err != nil {
			var bad *policy.DocumentError
			if !errors.As(err, &bad) || !errors.Is(err, policy.ErrMalformed) || bad.Message == "" {
				t.Fatalf("error %v is no DocumentError", err)
			}
			if bad.Offset < 0 || bad.Offset > len(document) || bad.Line < 1 || bad.Column < 1 {
				t.Fatalf("error %v points to offset %d of %d", err, bad.Offset, len(document))
			}
			return
		}
		if _, err := policy.Parse([]byte(p.Source()), opts); err != nil {
			t.Fatalf("refused the second time: %v", err)
		}
		r, err := policy.NewRequest("arn:aws:iam::123456789012:user/a", "s3:GetObject", "arn:aws:s3:::b/x", map[string][]string{"a": {"1"}, "b": {"x", "y"}})
		if err != nil {
			t.Fatal(err)
		}
		set := policy.NewSet(p)
		policy.Evaluate(&policy.Layers{Identity: []*policy.Set{set}, Resource: set, Boundary: set, Session: set, SCPs: []*policy.Set{set}, RCPs: []*policy.Set{set}}, r)
	})
}

// FuzzEvaluate: the compiled evaluator decides as the oracle does, for small sets and for indexed ones, and a set that
// came about by changes decides as one made at once.
func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, size uint8) {
		g := generator{rand.New(rand.NewPCG(seed, uint64(size)))}
		c := g.newCase(1 + int(size%60))
		layers, err := c.Layers()
		if err != nil {
			t.Fatalf("the generator made a wrong policy: %v", err)
		}
		changed := g.detour(layers.Identity[0])
		for range 8 {
			c.Request = g.request()
			r, err := c.Request.Build()
			if err != nil {
				t.Fatal(err)
			}
			want := oracleDecide(c)
			if got := policy.Evaluate(layers, r); got.Outcome.String() != want {
				t.Fatalf("got %v, want %s\n%s", got, want, dump(c))
			}
			other := *layers
			other.Identity = []*policy.Set{changed}
			if got := policy.Evaluate(&other, r); got.Outcome.String() != want {
				t.Fatalf("after changes: got %v, want %s\n%s", got, want, dump(c))
			}
		}
	})
}

func dump(c *policytest.Case) string {
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, list ...T) T { return list[g.IntN(len(list))] }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

// detour makes the set again by adding and removing policies one after the other.
func (g generator) detour(s *policy.Set) *policy.Set {
	all := s.Policies()
	extra := make([]*policy.Policy, 0, 8)
	for range 8 {
		p, err := policy.Parse(g.document(policy.Identity), policy.Options{Quota: policy.NoQuota, OldVersions: true})
		if err == nil {
			extra = append(extra, p)
		}
	}
	half := len(all) / 2
	out := policy.NewSet(append(all[:half:half], extra...)...)
	for _, p := range all[half:] {
		out = out.With(p)
	}
	for i, p := range extra {
		if i < half && g.chance(50) {
			// The place of a policy in the set decides nothing.
			out = out.Replace(p, all[i]).Without(p).With(all[i])
		}
		out = out.Without(p)
	}
	return out
}

func (g generator) newCase(policies int) *policytest.Case {
	c := &policytest.Case{Request: g.request()}
	for range policies {
		c.IdentityPolicies = append(c.IdentityPolicies, g.document(policy.Identity))
	}
	if g.chance(50) {
		c.ResourcePolicy = g.document(policy.Resource)
	}
	if g.chance(20) {
		c.Boundaries = append(c.Boundaries, g.document(policy.Boundary))
	}
	if g.chance(20) {
		c.SessionPolicy = g.document(policy.Session)
	}
	if g.chance(20) {
		for range 1 + g.IntN(3) {
			c.SCPs = append(c.SCPs, []json.RawMessage{g.document(policy.ServiceControl), g.document(policy.ServiceControl)})
		}
	}
	if g.chance(20) {
		c.RCPs = [][]json.RawMessage{{g.document(policy.ResourceControl)}}
	}
	return c
}

func (g generator) request() *policytest.Request {
	principal := pick(g, `"arn:aws:iam::123456789012:user/alice"`, `"arn:aws:iam::123456789012:user/alice"`,
		`"arn:aws:sts::123456789012:assumed-role/app/s1"`, `"arn:aws:sts::123456789012:federated-user/bob"`,
		`"arn:aws:iam::210987654321:user/carol"`, `"arn:aws:iam::123456789012:root"`, `"ecs-tasks.amazonaws.com"`,
		`{"type":"Anonymous"}`)
	r := &policytest.Request{
		Principal: json.RawMessage(principal), Action: g.fold(g.action()), Resource: g.resource(),
		ResourceAccount: "123456789012", Context: map[string]any{},
	}
	for _, key := range contextKeys {
		switch n := g.IntN(10); {
		case n < 5:
			r.Context[key] = g.value(key)
		case n == 5:
			list := []any{}
			for range g.IntN(4) {
				list = append(list, g.value(key))
			}
			r.Context[key] = list
		}
	}
	return r
}

var contextKeys = []string{"aws:username", "aws:PrincipalTag/team", "aws:SourceArn", "aws:SourceIp", "aws:CurrentTime", "aws:MultiFactorAuthAge", "aws:SecureTransport", "aws:TagKeys", "aws:RequestTag/blob"}

func (g generator) action() string {
	return pick(g, "s3:GetObject", "s3:GetObjectAcl", "s3:PutObject", "s3:ListBucket", "ecs:RunTask", "ecs:StopTask", "iam:PassRole")
}

func (g generator) resource() string {
	return pick(g, "*", "arn:aws:s3:::data", "arn:aws:s3:::data/a", "arn:aws:s3:::data/alice/x", "arn:aws:s3:::data/red?",
		"arn:aws:s3:::data:a/b", "arn:aws:ecs:us-east-1:123456789012:task-definition/web:7",
		"arn:aws:ecs:eu-west-1:123456789012:task-definition/web:8", "arn:aws:ecs:us-east-1:123456789012:task/prod/é1",
		"arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:role/ops/deploy")
}

func (g generator) value(key string) string {
	switch key {
	case "aws:SourceArn":
		return pick(g, g.resource(), "arn:aws:sns:us-east-1:123456789012:t", "no arn")
	case "aws:SourceIp":
		return pick(g, "10.1.2.3", "10.1.2.200", "203.0.113.9", "2001:db8::1", "2001:db8:0:1::ff", "::ffff:10.1.2.3", "x")
	case "aws:CurrentTime":
		return pick(g, "2026-11-23T10:00:00Z", "2026-11-23T12:00:00+02:00", "2026-11-23", "1795428000", "2027-01-01T00:00:00.5Z", "x")
	case "aws:MultiFactorAuthAge":
		return pick(g, "10", "10.0", "9", "-1", "0", "100000000000000000001", "100000000000000000002", "0.5", "x")
	case "aws:SecureTransport":
		return pick(g, "true", "false", "TRUE", "x")
	case "aws:RequestTag/blob":
		return pick(g, "aGVsbG8=", "AAEC", "QQ==", "x", "")
	}
	return pick(g, "alice", "ALICE", "red", "blue", "a*", "r?d", "${aws:username}", "", "data", "é")
}

func (g generator) fold(s string) string {
	if g.chance(20) {
		return pick(g, strings.ToUpper(s), strings.ToLower(s))
	}
	return s
}

// wildcards puts "*" and "?" in the place of parts of s, behind the first keep bytes.
func (g generator) wildcards(s string, keep int) string {
	for range g.IntN(3) {
		if len(s) <= keep {
			break
		}
		r := []rune(s[keep:])
		i := g.IntN(len(r))
		j := min(len(r), i+g.IntN(5))
		switch g.IntN(3) {
		case 0:
			s = s[:keep] + string(r[:i]) + "*"
		case 1:
			s = s[:keep] + string(r[:i]) + "*" + string(r[j:])
		default:
			s = s[:keep] + string(r[:i]) + "?" + string(r[i+1:])
		}
	}
	return s
}

func (g generator) actionPattern() string {
	a := g.action()
	if g.chance(10) {
		return "*"
	}
	return g.fold(g.wildcards(a, strings.IndexByte(a, ':')+1))
}

func (g generator) resourcePattern() string {
	a := g.resource()
	if a == "*" || g.chance(20) {
		return "*"
	}
	return g.arnPattern(a)
}

func (g generator) arnPattern(a string) string {
	parts := strings.SplitN(a, ":", 6)
	if len(parts) < 6 {
		return "*"
	}
	for i := 3; i < 5; i++ {
		if parts[2] != "iam" && parts[2] != "s3" || i != 3 {
			parts[i] = pick(g, parts[i], parts[i], "*", g.wildcards(parts[i], 0))
		}
	}
	keep := 0
	if parts[2] == "iam" {
		keep = len("role/")
	}
	parts[5] = g.variable(g.wildcards(parts[5], keep))
	return strings.Join(parts, ":")
}

// variable may put a policy variable or an escape behind s.
func (g generator) variable(s string) string {
	if g.chance(75) {
		return s
	}
	return s + pick(g, "${aws:username}", "${AWS:UserName}*", "${aws:PrincipalTag/team, 'red'}", "${*}", "${?}", "${$}", "${aws:PrincipalTag/team}/x")
}

func (g generator) condition() map[string]any {
	key := pick(g, contextKeys...)
	var op string
	var values []any
	add := func(f func() any) {
		for range 1 + g.IntN(3) {
			values = append(values, f())
		}
	}
	not := pick(g, "", "", "Not")
	order := pick(g, "Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
	switch key {
	case "aws:SourceArn":
		op = "Arn" + not + pick(g, "Equals", "Like")
		add(func() any { return g.arnPattern(pick(g, g.resource(), "arn:aws:sns:us-east-1:123456789012:t")) })
	case "aws:SourceIp":
		op = not + "IpAddress"
		add(func() any {
			return pick(g, "10.0.0.0/8", "10.1.2.0/25", "10.1.2.3", "0.0.0.0/0", "2001:DB8::/32", "2001:db8:0:1::/64", "2001:db8::1", "::/0", "2001:db8:0:1::f0/124")
		})
	case "aws:CurrentTime":
		op = "Date" + order
		add(func() any {
			return pick(g, "2026-11-23T10:00:00Z", "2026-11-23T11:00:00+01:00", "2026-11-23", "1795428000", "2027-01-01T00:00Z")
		})
	case "aws:MultiFactorAuthAge":
		op = "Numeric" + order
		add(func() any { return pick[any](g, "10", 10, 10.0, "9.99", "-1", "+0.50", "100000000000000000001") })
	case "aws:SecureTransport":
		op = "Bool"
		add(func() any { return pick[any](g, true, "false", "True") })
	case "aws:RequestTag/blob":
		op = "BinaryEquals"
		add(func() any { return pick(g, "aGVsbG8=", "AAEC", "QQ==") })
	default:
		op = "String" + not + pick(g, "Equals", "EqualsIgnoreCase", "Like")
		add(func() any {
			v := g.value("")
			if v == "${aws:username}" {
				return v
			}
			return g.variable(g.wildcards(v, 0))
		})
	}
	if g.chance(10) {
		op, values = "Null", []any{pick[any](g, "true", false)}
	} else {
		op = pick(g, "", "", "", "ForAllValues:", "ForAnyValue:") + op + pick(g, "", "", "IfExists")
	}
	return map[string]any{op: map[string]any{g.fold(key): values}}
}

func (g generator) principal() any {
	if g.chance(30) {
		return pick[any](g, "*", map[string]any{"AWS": "*"})
	}
	return map[string]any{"AWS": []string{g.who(), g.who()}, "Service": "ecs-tasks.amazonaws.com"}
}

func (g generator) who() string {
	return pick(g, "123456789012", "arn:aws:iam::210987654321:root", "arn:aws:iam::123456789012:user/alice",
		"arn:aws:iam::123456789012:user/bob", "arn:aws:iam::123456789012:role/app",
		"arn:aws:sts::123456789012:assumed-role/app/s1", "arn:aws:sts::123456789012:federated-user/bob",
		"arn:aws:iam::210987654321:user/carol")
}

func (g generator) document(kind policy.Kind) json.RawMessage {
	var statements []any
	for range 1 + g.IntN(4) {
		st := map[string]any{"Effect": pick(g, "Allow", "Allow", "Deny")}
		actions := make([]string, 1+g.IntN(3))
		for i := range actions {
			actions[i] = g.actionPattern()
		}
		resources := make([]string, 1+g.IntN(3))
		for i := range resources {
			resources[i] = g.resourcePattern()
		}
		st[pick(g, "Action", "Action", "Action", "NotAction")] = actions
		st[pick(g, "Resource", "Resource", "Resource", "NotResource")] = resources
		switch {
		case kind == policy.ResourceControl:
			st["Effect"], st["Principal"] = "Deny", "*"
		case kind == policy.Resource && g.chance(15):
			st["Effect"] = "Deny"
			st["NotPrincipal"] = g.principal()
		case kind == policy.Resource:
			st["Principal"] = g.principal()
		}
		if st["Effect"] == "Deny" || g.chance(60) {
			all := g.condition()
			for range g.IntN(3) {
				for op, keys := range g.condition() {
					all[op] = keys
				}
			}
			st["Condition"] = all
		}
		statements = append(statements, st)
	}
	b, err := json.Marshal(map[string]any{"Version": pick(g, "2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17"), "Statement": statements})
	if err != nil {
		panic(fmt.Sprintf("the generator made what JSON cannot hold: %v", err))
	}
	return b
}
