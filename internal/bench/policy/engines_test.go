package policy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/cedar-policy/cedar-go"
	"github.com/fardel-io/fardel/policy"
	"github.com/open-policy-agent/opa/v1/rego"
)

// workload is a number of policies of five statements; only the last policy allows the request.
type workload struct {
	name       string
	policies   int
	wildcards  bool // actions end in "*"
	any        bool // resources are "*"
	conditions bool // an equal tag and an address range
}

var workloads = []workload{
	{name: "1x5", policies: 1},
	{name: "100x5", policies: 100},
	{name: "1000x5-conditions", policies: 1000, wildcards: true, conditions: true},
	{name: "1000x5-conditions-any-resource", policies: 1000, wildcards: true, any: true, conditions: true},
}

type statement struct{ action, resource, team, cidr string }

var actions = [5]string{"s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:GetObject"}

func (w workload) statement(i, j int) statement {
	s := statement{action: actions[j], resource: fmt.Sprintf("arn:aws:s3:::bucket-%d-%d/*", i, j)}
	if w.wildcards {
		s.action = "s3:Get*"
	}
	if w.any {
		s.resource = "*"
	}
	if w.conditions {
		s.team, s.cidr = fmt.Sprintf("team-%d", i), "10.0.0.0/8"
	}
	return s
}

func (w workload) each(f func(i, j int, s statement)) {
	for i := range w.policies {
		for j := range 5 {
			f(i, j, w.statement(i, j))
		}
	}
}

const (
	principal = "arn:aws:iam::123456789012:user/alice"
	action    = "s3:GetObject"
	address   = "10.1.2.3"
)

func (w workload) resource() string {
	return fmt.Sprintf("arn:aws:s3:::bucket-%d-4/reports/2026/july.csv", w.policies-1)
}

func (w workload) team() string { return fmt.Sprintf("team-%d", w.policies-1) }

// engine makes a function that decides; matching says whether the request is the one that must be allowed or one of a
// team and a bucket that nobody has.
type engine func(tb testing.TB, w workload) (decide func(matching bool) bool)

var engines = []struct {
	name string
	make engine
}{
	{"fardel", newFardel},
	{"cedar-go", newCedar},
	{"opa", newOPA},
	{"casbin", newCasbin},
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func newFardel(tb testing.TB, w workload) func(bool) bool {
	all := make([]*policy.Policy, w.policies)
	for i := range all {
		var statements []string
		for j := range 5 {
			s := w.statement(i, j)
			condition := ""
			if s.team != "" {
				condition = fmt.Sprintf(`,"Condition":{"StringEquals":{"aws:PrincipalTag/team":%q},"IpAddress":{"aws:SourceIp":%q}}`, s.team, s.cidr)
			}
			statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q%s}`, s.action, s.resource, condition))
		}
		var err error
		all[i], err = policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`), policy.Options{})
		check(tb, err)
	}
	layers := policy.Layers{Identity: []*policy.Set{policy.NewSet(all...)}}
	request := func(resource, team string) *policy.Request {
		r, err := policy.NewRequest(principal, action, resource, map[string][]string{"aws:PrincipalTag/team": {team}, "aws:SourceIp": {address}})
		check(tb, err)
		return r
	}
	yes, no := request(w.resource(), w.team()), request("arn:aws:s3:::nobody", "nobody")
	return func(matching bool) bool {
		if matching {
			return policy.Evaluate(&layers, yes).Allowed()
		}
		return policy.Evaluate(&layers, no).Allowed()
	}
}

func newCedar(tb testing.TB, w workload) func(bool) bool {
	var text strings.Builder
	w.each(func(_, _ int, s statement) {
		what := fmt.Sprintf("action == Action::%q", s.action)
		when := []string{}
		if strings.HasSuffix(s.action, "*") {
			what = "action"
			when = append(when, fmt.Sprintf("context.action like %q", s.action))
		}
		if s.resource != "*" {
			when = append(when, fmt.Sprintf("context.resource like %q", s.resource))
		}
		if s.team != "" {
			when = append(when, fmt.Sprintf("context.team == %q", s.team), fmt.Sprintf("context.ip.isInRange(ip(%q))", s.cidr))
		}
		fmt.Fprintf(&text, "permit(principal, %s, resource) when { %s };\n", what, strings.Join(when, " && "))
	})
	set, err := cedar.NewPolicySetFromBytes("bench", []byte(text.String()))
	check(tb, err)
	request := func(resource, team string) cedar.Request {
		ip, err := netip.ParsePrefix(address + "/32")
		check(tb, err)
		return cedar.Request{
			Principal: cedar.NewEntityUID("User", "alice"), Action: cedar.NewEntityUID("Action", action),
			Resource: cedar.NewEntityUID("Object", cedar.String(resource)),
			Context: cedar.NewRecord(cedar.RecordMap{
				"action": cedar.String(action), "resource": cedar.String(resource), "team": cedar.String(team), "ip": cedar.IPAddr(ip),
			}),
		}
	}
	yes, no := request(w.resource(), w.team()), request("arn:aws:s3:::nobody", "nobody")
	entities := cedar.EntityMap{}
	return func(matching bool) bool {
		r := no
		if matching {
			r = yes
		}
		decision, _ := cedar.Authorize(set, entities, r)
		return decision == cedar.Allow
	}
}

func newOPA(tb testing.TB, w workload) func(bool) bool {
	text := strings.Builder{}
	text.WriteString("package bench\n\ndefault allow := false\n")
	w.each(func(_, _ int, s statement) {
		fmt.Fprintf(&text, "\nallow if {\n")
		if prefix, ok := strings.CutSuffix(s.action, "*"); ok {
			fmt.Fprintf(&text, "\tstartswith(input.action, %q)\n", prefix)
		} else {
			fmt.Fprintf(&text, "\tinput.action == %q\n", s.action)
		}
		if prefix, _ := strings.CutSuffix(s.resource, "*"); prefix != "" {
			fmt.Fprintf(&text, "\tstartswith(input.resource, %q)\n", prefix)
		}
		if s.team != "" {
			fmt.Fprintf(&text, "\tinput.team == %q\n\tnet.cidr_contains(%q, input.ip)\n", s.team, s.cidr)
		}
		text.WriteString("}\n")
	})
	ctx := context.Background()
	query, err := rego.New(rego.Query("data.bench.allow"), rego.Module("bench.rego", text.String())).PrepareForEval(ctx)
	check(tb, err)
	input := func(resource, team string) rego.EvalOption {
		return rego.EvalInput(map[string]any{"action": action, "resource": resource, "team": team, "ip": address})
	}
	yes, no := input(w.resource(), w.team()), input("arn:aws:s3:::nobody", "nobody")
	return func(matching bool) bool {
		in := no
		if matching {
			in = yes
		}
		result, err := query.Eval(ctx, in)
		check(tb, err)
		return result.Allowed()
	}
}

const casbinModel = `
[request_definition]
r = sub, obj, act, team, ip
[policy_definition]
p = sub, obj, act, team, cidr
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = keyMatch(r.act, p.act) && keyMatch(r.obj, p.obj) && (p.team == "-" || r.team == p.team && ipMatch(r.ip, p.cidr))
`

func newCasbin(tb testing.TB, w workload) func(bool) bool {
	m, err := model.NewModelFromString(casbinModel)
	check(tb, err)
	e, err := casbin.NewEnforcer(m)
	check(tb, err)
	seen := map[statement]bool{}
	w.each(func(_, _ int, s statement) {
		if s.team == "" {
			s.team, s.cidr = "-", "-"
		}
		if seen[s] {
			return // casbin refuses the same rule twice
		}
		seen[s] = true
		_, err := e.AddPolicy("alice", s.resource, s.action, s.team, s.cidr)
		check(tb, err)
	})
	return func(matching bool) bool {
		resource, team := "arn:aws:s3:::nobody", "nobody"
		if matching {
			resource, team = w.resource(), w.team()
		}
		ok, err := e.Enforce("alice", resource, action, team, address)
		check(tb, err)
		return ok
	}
}

// TestEngines: a comparison of speed means something only among engines that give the same answers.
func TestEngines(t *testing.T) {
	for _, w := range workloads {
		for _, e := range engines {
			decide := e.make(t, w)
			if !decide(true) || decide(false) {
				t.Errorf("%s %s: got %v and %v, want true and false", w.name, e.name, decide(true), decide(false))
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, w := range workloads {
		for _, e := range engines {
			b.Run(w.name+"/"+e.name, func(b *testing.B) {
				decide := e.make(b, w)
				b.ReportAllocs()
				for b.Loop() {
					if !decide(true) {
						b.Fatal("denied")
					}
				}
			})
		}
	}
}
