package policy_test

import (
	"strings"
	"testing"

	"github.com/fardel-io/fardel/policy"
)

func TestCallerRequest(t *testing.T) {
	const account = "123456789012"
	keys := []string{"aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:PrincipalIsAWSService", "aws:PrincipalServiceName", "aws:username"}
	claims := map[string][]string{"app:color": {"red"}}
	for _, key := range keys {
		claims[strings.ToLower(key)] = []string{"claimed"} // a request says nothing about who makes it
	}
	for _, tt := range []struct {
		principal, issuer string
		want              []string // of keys
	}{
		{"arn:aws:iam::123456789012:user/path/ann", "", []string{"arn:aws:iam::123456789012:user/path/ann", account, "User", "false", "", "ann"}},
		{"arn:aws:iam::123456789012:root", "", []string{"arn:aws:iam::123456789012:root", account, "Account", "false", "", ""}},
		{"arn:aws:sts::123456789012:assumed-role/app/one", "arn:aws:iam::123456789012:role/path/app",
			[]string{"arn:aws:iam::123456789012:role/path/app", account, "AssumedRole", "false", "", ""}},
		{"arn:aws:sts::123456789012:federated-user/bob", "", []string{"arn:aws:sts::123456789012:federated-user/bob", account, "FederatedUser", "false", "", ""}},
		{"ecs-tasks.amazonaws.com", "", []string{"", "", "", "true", "ecs-tasks.amazonaws.com", ""}},
		{"*", "", []string{"", "", "Anonymous", "false", "", ""}},
	} {
		p, err := policy.ParsePrincipal(tt.principal)
		if err != nil {
			t.Fatal(err)
		}
		if tt.issuer != "" {
			p.IssuerARN = tt.issuer
		}
		c := policy.Caller{Principal: p, Context: map[string][]string{"aws:SourceIp": {"10.0.0.1"}}}
		r := c.Request("app:Do", "*", claims)
		for i, key := range keys {
			got := ""
			if values := r.Context.Values(key); len(values) == 1 {
				got = values[0]
			}
			if got != tt.want[i] {
				t.Errorf("%s: %s is %q, want %q", tt.principal, key, got, tt.want[i])
			}
		}
		if got := r.Context.Values("aws:SourceIp"); len(got) != 1 || got[0] != "10.0.0.1" {
			t.Errorf("%s: aws:SourceIp is %q", tt.principal, got)
		}
		if got := r.Context.Values("App:Color"); len(got) != 1 || got[0] != "red" {
			t.Errorf("%s: app:color is %q", tt.principal, got)
		}
	}
}
