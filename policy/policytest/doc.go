// Package policytest runs files of policy cases against package policy. Each line of a file is one JSON object: a
// request with the policies that have a say in it and the decision they must lead to, or a document with AWS's answer
// to storing it.
//
// A decision case:
//
//	{"id": …, "request": {"principal": ARN | service | {"type":"Anonymous"}, "action": …, "resource": …,
//	 "resourceAccount": …, "context": {key: value | [values]}}, "identityPolicies": […], "resourcePolicy"?: …,
//	 "permissionBoundaryPolicies"?: […], "sessionPolicy"?: …, "scps"?: [level[policy]], "rcps"?: [level[policy]],
//	 "expected": "Allowed" | "ExplicitlyDenied" | "ImplicitlyDenied"}
//
// A validation case:
//
//	{"id": …, "api": "iam:CreatePolicy", "policyType": …, "document": … | "documentText": …, "valid": false,
//	 "errorCode": …, "errorMessage": …}
package policytest
