package policytest_test

import (
	"strings"
	"testing"

	"github.com/fardel-io/fardel/policy/policytest"
)

// TestRun: a case that the package decides otherwise is reported, not only counted.
func TestRun(t *testing.T) {
	const request = `"request":{"principal":"arn:aws:iam::123456789012:user/a","action":"s3:GetObject","resource":"*","resourceAccount":"123456789012","context":{}}`
	const identity = `"identityPolicies":[{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}]`
	for _, c := range []struct {
		name, line string
		want, got  string
		passed     bool
	}{
		{"right", `{"id":"x",` + request + `,` + identity + `,"expected":"Allowed"}`, "Allowed", "Allowed", true},
		{"wrong", `{"id":"x",` + request + `,` + identity + `,"expected":"ImplicitlyDenied"}`, "ImplicitlyDenied", "Allowed", false},
		{"null is absent", `{"id":"x",` + request + `,` + identity + `,"resourcePolicy":null,"sessionPolicy":null,"permissionBoundaryPolicies":null,"scps":null,"expected":"Allowed"}`, "Allowed", "Allowed", true},
		{"bad policy", `{"id":"x",` + request + `,"identityPolicies":[{}],"expected":"Allowed"}`, "Allowed",
			"error: policy: Identity 0: Syntax errors in policy. (line 1 column 1: Statement is missing)", false},
		{"bad principal", `{"id":"x","request":{"principal":"a"},"expected":"Allowed"}`, "Allowed",
			`error: policy: not a principal: "a": want the ARN of a user, role, session, account root or identity provider, or the name of a service`, false},
		{"refused", `{"id":"x","api":"iam:CreatePolicy","document":{},"valid":false,"errorCode":"MalformedPolicyDocument","errorMessage":"Syntax errors in policy."}`,
			"MalformedPolicyDocument: Syntax errors in policy.", "MalformedPolicyDocument: Syntax errors in policy.", true},
		{"not refused", `{"id":"x","api":"iam:CreatePolicy","document":{},"valid":true}`,
			"valid", "MalformedPolicyDocument: Syntax errors in policy.", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			err := policytest.Run(strings.NewReader("\n"+c.line+"\n"), func(r policytest.Result) {
				n++
				if r.Want != c.want || r.Got != c.got || r.Passed() != c.passed || r.Line != 2 || r.ID != "x" {
					t.Errorf("%v", r)
				}
			})
			if err != nil || n != 1 {
				t.Errorf("%d results, %v", n, err)
			}
		})
	}
	for _, line := range []string{"{", "{}", `{"id":"x"}`} {
		if err := policytest.Run(strings.NewReader(line), func(policytest.Result) {}); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}
