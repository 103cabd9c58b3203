package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/policy"
	"github.com/google/go-cmp/cmp"
)

const okStatement = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`

func wrap(statement string) string {
	return `{"Version":"2012-10-17","Statement":` + statement + `}`
}

// TestRefused: what is refused, in which words, and where the error points.
func TestRefused(t *testing.T) {
	condition := func(c string) string {
		return wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":` + c + `}`)
	}
	principal := func(p string) string {
		return wrap(`{"Effect":"Allow","Principal":` + p + `,"Action":"s3:*","Resource":"*"}`)
	}
	const legacy = "The policy failed legacy parsing"
	const syntax = "Syntax errors in policy."
	const organizations = "The provided policy document does not meet the requirements of the specified policy type."
	for _, c := range []struct {
		name, document string
		kind           policy.Kind
		message, path  string
	}{
		{"unknown operator", condition(`{"StringEqualz":{"a":"b"}}`), policy.Identity, syntax, "Statement.Condition.StringEqualz"},
		{"operator in lower case", condition(`{"stringequals":{"a":"b"}}`), policy.Identity, syntax, "Statement.Condition.stringequals"},
		{"Null with IfExists", condition(`{"NullIfExists":{"a":"true"}}`), policy.Identity, syntax, "Statement.Condition.NullIfExists"},
		{"number that is none", condition(`{"NumericEquals":{"a":["1","x"]}}`), policy.Identity, legacy, "Statement.Condition.NumericEquals.a[1]"},
		{"bool that is none", condition(`{"Bool":{"a":"yes"}}`), policy.Identity, legacy, "Statement.Condition.Bool.a"},
		{"Null of a number", condition(`{"Null":{"a":1}}`), policy.Identity, legacy, "Statement.Condition.Null.a"},
		{"address that is none", condition(`{"IpAddress":{"a":"10.0.0.0/33"}}`), policy.Identity, legacy, "Statement.Condition.IpAddress.a"},
		{"binary that is no base64", condition(`{"BinaryEquals":{"a":"?"}}`), policy.Identity, legacy, "Statement.Condition.BinaryEquals.a"},
		{"date that is none", condition(`{"DateEquals":{"a":"yesterday"}}`), policy.Identity, legacy, "Statement.Condition.DateEquals.a"},
		{"variable without brace", condition(`{"StringLike":{"a":"${aws:username"}}`), policy.Identity, legacy, "Statement.Condition.StringLike.a"},
		{"default without quote", condition(`{"StringLike":{"a":"${aws:username, x}"}}`), policy.Identity, legacy, "Statement.Condition.StringLike.a"},
		{"key twice in different case", condition(`{"Bool":{"a:b":"true","A:B":"false"}}`), policy.Identity, legacy, "Statement.Condition.Bool.A:B"},
		{"element twice", wrap(`{"Effect":"Allow","Effect":"Deny","Action":"s3:*","Resource":"*"}`), policy.Identity, syntax, ""},
		{"object as value", condition(`{"StringEquals":{"a":[{}]}}`), policy.Identity, syntax, "Statement.Condition.StringEquals.a[0]"},
		{"variable in a resource", wrap(`[` + okStatement + `,{"Effect":"Allow","Action":"s3:*","Resource":["*","arn:aws:s3:::b/${x"]}]`), policy.Identity, legacy, "Statement[1].Resource[1]"},

		{"principal of an identity", principal(`"*"`), policy.Identity, "Policy document should not specify a principal.", "Statement.Principal"},
		{"principal of a session", principal(`"*"`), policy.Session, "Policy document should not specify a principal.", "Statement.Principal"},
		{"principal of an SCP", principal(`"*"`), policy.ServiceControl, organizations, "Statement.Principal"},
		{"RCP that allows", principal(`"*"`), policy.ResourceControl, organizations, ""},
		{"RCP about somebody", strings.Replace(principal(`{"AWS":"123456789012"}`), "Allow", "Deny", 1), policy.ResourceControl, organizations, "Statement"},
		{"bucket without principal", wrap(okStatement), policy.Resource, "Missing required field Principal", "Statement"},
		{"wildcard in a principal", principal(`{"AWS":"arn:aws:iam::123456789012:user/*"}`), policy.Resource, "Invalid principal in policy", "Statement.Principal.AWS"},
		{"unknown kind of principal", principal(`{"Google":"x"}`), policy.Resource, "Invalid principal in policy", "Statement.Principal.Google"},
		{"principal that is a name", principal(`"alice"`), policy.Resource, "Invalid principal in policy", "Statement.Principal"},
		{"nobody", principal(`{"AWS":[]}`), policy.Resource, "Invalid principal in policy", "Statement.Principal.AWS"},
		{"bucket with unknown field", `{"Statement":[],"X":1}`, policy.Resource, "Unknown field X", "X"},
		{"trust with resource", principal(`"*"`), policy.Trust, "AssumeRole policy may only specify STS AssumeRole actions.", "Statement.Action"},
		{"trust about a resource", strings.Replace(principal(`"*"`), "s3:*", "sts:AssumeRole", 1), policy.Trust, "Has prohibited field Resource", "Statement.Resource"},
		{"trust with NotPrincipal", wrap(`{"Effect":"Allow","NotPrincipal":"*","Action":"sts:AssumeRole"}`), policy.Trust, "Has prohibited field NotPrincipal", "Statement.NotPrincipal"},
		{"trust without principal", wrap(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), policy.Trust, "Missing required field Principal", "Statement"},
		{"characters", wrap(`{"Sid":"世","Effect":"Allow","Action":"s3:*","Resource":"*"}`), policy.Identity, `Value at 'policyDocument' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(c.document), policy.Options{Kind: c.kind})
			var bad *policy.DocumentError
			if !errors.As(err, &bad) || !errors.Is(err, policy.ErrMalformed) {
				t.Fatalf("got %v, want a DocumentError", err)
			}
			if bad.Message != c.message || c.path != "" && bad.Path != c.path {
				t.Errorf("got %q at %q, want %q at %q", bad.Message, bad.Path, c.message, c.path)
			}
			if bad.Offset == 0 && c.path != "" {
				t.Errorf("%v points to the start of the document", err)
			}
		})
	}
}

func TestPosition(t *testing.T) {
	document := "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": {\n    \"Effect\": \"Allow\", \"Action\": \"s3\",\n    \"Resource\": \"*\"\n  }\n}"
	_, err := policy.Parse([]byte(document), policy.Options{Name: "mine"})
	want := "policy: mine: Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (Statement.Action, line 4 column 34: want service:Name)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestQuota(t *testing.T) {
	padded := func(n int) []byte {
		text := wrap(`{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::` + "%s" + `"}`)
		empty := len(fmt.Sprintf(text, ""))
		return fmt.Appendf(nil, text, strings.Repeat("x", n-empty))
	}
	for _, c := range []struct {
		kind  policy.Kind
		quota int
		size  int
		white bool
		ok    bool
	}{
		{policy.Identity, 0, 6144, true, true},
		{policy.Identity, 0, 6145, false, false},
		{policy.Identity, policy.NoQuota, 100_000, false, true},
		{policy.Session, 0, 2049, false, false},
		{policy.ServiceControl, 0, 5120, false, true},
		{policy.ServiceControl, 0, 5120, true, false},
		{policy.ServiceControl, 10240, 5120, true, true},
	} {
		document := padded(c.size)
		if c.white {
			document = append([]byte(" \n"), document...)
		}
		_, err := policy.Parse(document, policy.Options{Kind: c.kind, Quota: c.quota})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, policy.ErrTooLarge) {
			t.Errorf("%v of %d characters, quota %d: %v", c.kind, c.size, c.quota, err)
		}
	}
}

// TestJSON: what is no JSON is refused by itself, whatever the policy in it.
func TestJSON(t *testing.T) {
	good := wrap(okStatement)
	for _, document := range []string{
		"", " ", "null", "[]", `"x"`, good + "x", good[:len(good)-1], good + good,
		strings.Replace(good, `"Allow"`, `"Al`+"\n"+`low"`, 1),
		strings.Replace(good, `"*"`, `"\x"`, 1), strings.Replace(good, `"*"`, `"\ud800"`, 1), strings.Replace(good, `"*"`, `"\u12"`, 1),
		strings.Replace(good, `"*"`, `01`, 1), strings.Replace(good, `"*"`, `["*",]`, 1), strings.Replace(good, `,`, `,,`, 1),
		strings.Replace(good, `:`, ``, 1), strings.Repeat("[", 1000), strings.Repeat(`{"a":`, 1000),
		good[:len(good)-1] + ",}", `{"a":tru}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, "\xff",
	} {
		if _, err := policy.Parse([]byte(document), policy.Options{}); !errors.Is(err, policy.ErrMalformed) {
			t.Errorf("%.60q: got %v, want ErrMalformed", document, err)
		}
	}
	escaped := strings.Replace(good, `"Allow"`, `"\u0041llo\u0077"`, 1)
	if _, err := policy.Parse([]byte(escaped), policy.Options{}); err != nil {
		t.Errorf("%s: %v", escaped, err)
	}
}

func TestPolicy(t *testing.T) {
	document := `{"Version":"2012-10-17","Id":"mine","Statement":[{"Sid":"A","Effect":"Allow","Action":"s3:*","Resource":"*"},` +
		`{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`
	p, err := policy.Parse([]byte(document), policy.Options{Name: "n", Kind: policy.Boundary})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{p.Name(), p.Kind(), p.ID(), p.Version(), p.Source(), p.Size(), p.Len(), p.Statement(0).Sid, p.Statement(1).Deny, p.Statement(1).Source}
	want := []any{"n", policy.Boundary, "mine", "2012-10-17", document, len(document), 2, "A", true, `{"Effect":"Deny","Action":"s3:*","Resource":"*"}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePrincipal(t *testing.T) {
	for _, c := range []struct {
		text string
		want policy.Principal
	}{
		{"", policy.Principal{}},
		{"*", policy.Principal{}},
		{alice, policy.Principal{Type: policy.User, Name: alice, Account: "123456789012"}},
		{session, policy.Principal{Type: policy.RoleSession, Name: session, Account: "123456789012", IssuerARN: appRole}},
		{appRole, policy.Principal{Type: policy.Role, Name: appRole, Account: "123456789012"}},
		{"arn:aws:iam::123456789012:root", policy.Principal{Type: policy.Root, Name: "arn:aws:iam::123456789012:root", Account: "123456789012"}},
		{"ecs-tasks.amazonaws.com", policy.Principal{Type: policy.Service, Name: "ecs-tasks.amazonaws.com"}},
	} {
		got, err := policy.ParsePrincipal(c.text)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
	}
	for _, text := range []string{
		"alice", "arn:aws:iam::123456789012:user/", "arn:aws:iam::12345678901:user/a", "arn:aws:iam::123456789012:group/g",
		"arn:aws:sts::123456789012:assumed-role/r", "arn:aws:iam:eu-west-1:123456789012:user/a", "arn:aws:iam::123456789012:rooted",
		"arn:aws:iam::123456789012:root/x", "example.com", "arn:aws:s3:::b",
	} {
		if p, err := policy.ParsePrincipal(text); !errors.Is(err, policy.ErrPrincipal) {
			t.Errorf("%q: got %+v, %v; want ErrPrincipal", text, p, err)
		}
	}
}
