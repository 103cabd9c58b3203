package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/policy"
)

// workload is a number of policies of five statements each, of which only the last one allows the request.
type workload struct {
	name     string
	policies int
	action   func(i, j int) string
	resource func(i, j int) string
	// condition is the Condition element of statement j of policy i, with its leading comma, or "".
	condition func(i, j int) string
}

func (w workload) document(i int) string {
	var b strings.Builder
	b.WriteString(`{"Version":"2012-10-17","Statement":[`)
	for j := range 5 {
		if j > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Effect":"Allow","Action":%q,"Resource":%q%s}`, w.action(i, j), w.resource(i, j), w.condition(i, j))
	}
	return b.String() + "]}"
}

func (w workload) set(tb testing.TB) *policy.Set {
	tb.Helper()
	all := make([]*policy.Policy, w.policies)
	for i := range all {
		all[i] = parse(tb, policy.Identity, w.document(i))
	}
	return policy.NewSet(all...)
}

// request asks for what only the last policy allows.
func (w workload) request(tb testing.TB) *policy.Request {
	tb.Helper()
	last := w.policies - 1
	r, err := policy.NewRequest("arn:aws:iam::123456789012:user/alice", "s3:GetObject",
		fmt.Sprintf("arn:aws:s3:::bucket-%d-4/reports/2026/july.csv", last), map[string][]string{
			"aws:SourceIp":           {"10.1.2.3"},
			"aws:PrincipalTag/team":  {fmt.Sprintf("team-%d", last)},
			"aws:SecureTransport":    {"true"},
			"aws:CurrentTime":        {"2026-11-23T10:00:00Z"},
			"aws:username":           {"alice"},
			"aws:PrincipalAccount":   {"123456789012"},
			"aws:RequestedRegion":    {"eu-west-1"},
			"aws:MultiFactorAuthAge": {"60"},
		})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func parse(tb testing.TB, kind policy.Kind, document string) *policy.Policy {
	tb.Helper()
	p, err := policy.Parse([]byte(document), policy.Options{Kind: kind, Quota: policy.NoQuota})
	if err != nil {
		tb.Fatalf("%v\n%s", err, document)
	}
	return p
}

var exactActions = [5]string{"s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:GetObject"}

func exactAction(_, j int) string  { return exactActions[j] }
func prefixAction(_, _ int) string { return "s3:Get*" }
func bucketPrefix(i, j int) string { return fmt.Sprintf("arn:aws:s3:::bucket-%d-%d/*", i, j) }
func anyResource(_, _ int) string  { return "*" }
func noCondition(_, _ int) string  { return "" }

func twoConditions(i, _ int) string {
	return fmt.Sprintf(`,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"team-%d"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, i)
}

// twoSuffixes has a condition with a suffix and another, different in every statement.
func twoSuffixes(i, j int) string {
	return fmt.Sprintf(`,"Condition":{"StringLike":{"aws:PrincipalTag/team":"*m-%d"},"NumericLessThan":{"aws:MultiFactorAuthAge":"%d"}}`, i, 1000*i+j+61)
}

// twoUnsplit has two conditions that no index helps with, different in every statement: a number that is too small in
// all but the last policy, and a date.
func twoUnsplit(i, j int) string {
	bound := fmt.Sprintf("59.%d%d", i, j)
	if i == 999 {
		bound = fmt.Sprint(61 + j)
	}
	return fmt.Sprintf(`,"Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":%q},"DateGreaterThan":{"aws:CurrentTime":"2025-01-01T%02d:%02d:0%dZ"}}`, bound, i/60, i%60, j)
}

// twoPrefixes has two conditions with prefixes, different in every statement.
func twoPrefixes(i, j int) string {
	if i == 999 {
		return `,"Condition":{"StringLike":{"aws:PrincipalTag/team":"team-*"},"IpAddress":{"aws:SourceIp":"10.1.2.0/24"}}`
	}
	return fmt.Sprintf(`,"Condition":{"StringLike":{"aws:PrincipalTag/team":"t%d-*"},"IpAddress":{"aws:SourceIp":"10.%d.%d.0/24"}}`, i, i/250+10, 5*(i%250)/5+j)
}

// twoShared has the same two conditions in all statements but those of the last policy.
func twoShared(n int) func(i, j int) string {
	return func(i, _ int) string {
		bound := 50
		if i == n-1 {
			bound = 70
		}
		return fmt.Sprintf(`,"Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"%d"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, bound)
	}
}

func workloads() []workload {
	return []workload{
		{"1x5", 1, exactAction, bucketPrefix, noCondition},
		{"100x5", 100, exactAction, bucketPrefix, noCondition},
		{"1000x5", 1000, exactAction, bucketPrefix, noCondition},
		{"1000x5/conditions", 1000, prefixAction, bucketPrefix, twoConditions},
		{"1000x5/conditions/any-resource", 1000, prefixAction, anyResource, twoConditions},
		{"1000x5/shared-conditions/any-resource", 1000, prefixAction, anyResource, twoShared(1000)},
		{"1000x5/prefix-conditions/any-resource", 1000, prefixAction, anyResource, twoPrefixes},
		{"1000x5/suffix-conditions/any-resource", 1000, prefixAction, anyResource, twoSuffixes},
		{"1000x5/unsplit-conditions/any-resource", 1000, prefixAction, anyResource, twoUnsplit},
	}
}

func BenchmarkEvaluate(b *testing.B) {
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			layers := policy.Layers{Identity: []*policy.Set{w.set(b)}}
			benchmark(b, &layers, w.request(b))
		})
	}
}

func benchmark(b *testing.B, layers *policy.Layers, r *policy.Request) {
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Evaluate(layers, r); !d.Allowed() {
			b.Fatal(d)
		}
	}
}

// BenchmarkParse reads, checks and compiles one policy of five statements.
func BenchmarkParse(b *testing.B) {
	for _, w := range []workload{workloads()[0], workloads()[3]} {
		document := []byte(w.document(0))
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := policy.Parse(document, policy.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReplace changes one policy of many.
func BenchmarkReplace(b *testing.B) {
	for _, w := range workloads()[2:] {
		b.Run(w.name, func(b *testing.B) {
			set := w.set(b)
			old := set.Policies()[w.policies/2]
			next := parse(b, policy.Identity, w.document(w.policies/2))
			b.ReportAllocs()
			for b.Loop() {
				set = set.Replace(old, next)
				old, next = next, old
			}
		})
	}
}

// BenchmarkNewSet indexes all policies at once.
func BenchmarkNewSet(b *testing.B) {
	w := workloads()[3]
	all := w.set(b).Policies()
	for b.Loop() {
		policy.NewSet(all...)
	}
}

// BenchmarkLayers is a whole ecs:RunTask by a role session: two identity policies, a boundary, a session policy, three
// levels of SCPs, two of RCPs, and a resource policy.
func BenchmarkLayers(b *testing.B) {
	layers, r := runTask(b)
	benchmark(b, layers, r)
}

func runTask(tb testing.TB) (*policy.Layers, *policy.Request) {
	tb.Helper()
	one := func(kind policy.Kind, statements ...string) *policy.Set {
		return policy.NewSet(parse(tb, kind, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`))
	}
	const (
		full  = `{"Effect":"Allow","Action":"*","Resource":"*"}`
		tasks = `{"Sid":"RunInProd","Effect":"Allow","Action":["ecs:RunTask","ecs:StopTask","ecs:DescribeTasks"],"Resource":["arn:aws:ecs:*:123456789012:task-definition/web:*","arn:aws:ecs:*:123456789012:task/prod/*"],"Condition":{"ArnEquals":{"ecs:cluster":"arn:aws:ecs:us-east-1:123456789012:cluster/prod"}}}`
		pass  = `{"Sid":"PassTaskRoles","Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/ecs/*","Condition":{"StringEquals":{"iam:PassedToService":"ecs-tasks.amazonaws.com"}}}`
		logs  = `{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:123456789012:log-group:/ecs/*"}`
		noTag = `{"Effect":"Deny","Action":"ecs:DeleteCluster","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}}`
		noRgn = `{"Effect":"Deny","NotAction":["iam:*","sts:*","organizations:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["us-east-1","eu-west-1"]}}}`
		noTLS = `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"BoolIfExists":{"aws:SecureTransport":"false"}}}`
		noOrg = `{"Effect":"Deny","Principal":"*","Action":["s3:*","sqs:*","ecs:*"],"Resource":"*","Condition":{"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"o-1"},"BoolIfExists":{"aws:PrincipalIsAWSService":"false"}}}`
	)
	layers := &policy.Layers{
		Identity: []*policy.Set{policy.NewSet(
			parse(tb, policy.Identity, `{"Version":"2012-10-17","Statement":[`+tasks+`,`+pass+`,`+noTag+`]}`),
			parse(tb, policy.Identity, `{"Version":"2012-10-17","Statement":[`+logs+`]}`))},
		Boundary: one(policy.Boundary, `{"Effect":"Allow","Action":["ecs:*","logs:*","iam:PassRole","s3:Get*"],"Resource":"*"}`),
		Session:  one(policy.Session, `{"Effect":"Allow","Action":"ecs:*","Resource":"arn:aws:ecs:us-east-1:123456789012:*"}`),
		Resource: one(policy.Resource, `{"Effect":"Deny","Principal":"*","Action":"ecs:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`),
		SCPs:     []*policy.Set{one(policy.ServiceControl, full), one(policy.ServiceControl, full, noRgn), one(policy.ServiceControl, full)},
		RCPs:     []*policy.Set{one(policy.ResourceControl, noTLS), one(policy.ResourceControl, noOrg)},
	}
	r, err := policy.NewRequest("arn:aws:sts::123456789012:assumed-role/deploy/ci", "ecs:RunTask",
		"arn:aws:ecs:us-east-1:123456789012:task-definition/web:7", map[string][]string{
			"ecs:cluster":          {"arn:aws:ecs:us-east-1:123456789012:cluster/prod"},
			"aws:SourceIp":         {"10.1.2.3"},
			"aws:SecureTransport":  {"true"},
			"aws:RequestedRegion":  {"us-east-1"},
			"aws:PrincipalOrgID":   {"o-1"},
			"aws:PrincipalAccount": {"123456789012"},
		})
	if err != nil {
		tb.Fatal(err)
	}
	return layers, r
}

// BenchmarkDirectory decides for one of a thousand principals with five policies each, of five statements each.
func BenchmarkDirectory(b *testing.B) {
	var d policy.Directory
	w := workload{"", 1000, exactAction, bucketPrefix, noCondition}
	for i := range 1000 {
		var names []string
		for k := range 5 {
			name := fmt.Sprintf("p%d-%d", i, k)
			p, err := policy.Parse([]byte(w.document(i-k)), policy.Options{Name: name})
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Put(p); err != nil {
				b.Fatal(err)
			}
			names = append(names, name)
		}
		if err := d.Attach(fmt.Sprintf("arn:aws:iam::123456789012:user/u%d", i), policy.Attachments{Policies: names}); err != nil {
			b.Fatal(err)
		}
	}
	r := w.request(b)
	r.Principal.Name = "arn:aws:iam::123456789012:user/u999"
	b.Run("Decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got := d.Decide(r, nil); !got.Allowed() {
				b.Fatal(got)
			}
		}
	})
	b.Run("Put", func(b *testing.B) {
		b.ReportAllocs()
		p := d.Policy("p500-2")
		for b.Loop() {
			if err := d.Put(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
