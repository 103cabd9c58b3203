package authz_test

import (
	"context"
	"fmt"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/authz"
)

// A host program protects something of its own: it invents the action and the resource.
func Example() {
	document := `{"Version": "2012-10-17", "Statement": {
		"Effect": "Allow", "Action": "vault:ReadSecret", "Resource": "arn:aws:vault:*:*:secret/${aws:username}/*"}}`
	p, err := policy.Parse([]byte(document), policy.Options{Name: "own-secrets"})
	if err != nil {
		fmt.Println(err)
		return
	}
	const ann = "arn:aws:iam::123456789012:user/ann"
	directory := &policy.Directory{}
	if err := directory.Put(p); err != nil {
		fmt.Println(err)
		return
	}
	if err := directory.Attach(ann, policy.Attachments{Policies: []string{"own-secrets"}}); err != nil {
		fmt.Println(err)
		return
	}
	auth, err := authz.New(authz.Config{Directory: directory})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, secret := range []string{"ann/database", "bob/database"} {
		fmt.Println(auth.Authorize(context.Background(), authz.Request{
			Principal: ann, Action: "vault:ReadSecret", Resource: "arn:aws:vault:us-east-1:123456789012:secret/" + secret,
		}))
	}
	// Output:
	// <nil>
	// User: arn:aws:iam::123456789012:user/ann is not authorized to perform: vault:ReadSecret on resource: arn:aws:vault:us-east-1:123456789012:secret/bob/database because no identity-based policy allows the vault:ReadSecret action
}
