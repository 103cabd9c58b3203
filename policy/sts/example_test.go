package sts_test

import (
	"fmt"

	"github.com/fardel-io/fardel/policy/sts"
)

// A task's credentials, and the way back from them to what the task may do.
func Example() {
	service, err := sts.Open(sts.Config{Account: "123456789012"}) // with a Store they would survive a restart
	if err != nil {
		fmt.Println(err)
		return
	}
	role, err := service.CreateRole(sts.RoleInput{
		Name: "app",
		TrustPolicy: `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
			"Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`,
		Inline: map[string]string{"read": `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
			"Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:*:secret:app/*"}}`},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	credentials, err := service.TaskCredentials(role.ARN, "arn:aws:ecs:eu-central-1:123456789012:task/default/4f1c", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(credentials.SecretAccessKey) // secrets do not print

	// What the task signed with them came in:
	id, err := service.Authenticate(credentials.AccessKeyID, credentials.SessionToken.Reveal())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(service.GetCallerIdentity(id).ARN)
	for _, secret := range []string{"app/database", "billing/key"} {
		arn := "arn:aws:secretsmanager:eu-central-1:123456789012:secret:" + secret
		fmt.Println(secret, service.Authorize(id, "secretsmanager:GetSecretValue", arn, nil))
	}
	// Output:
	// [redacted]
	// arn:aws:sts::123456789012:assumed-role/app/4f1c
	// app/database <nil>
	// billing/key User: arn:aws:sts::123456789012:assumed-role/app/4f1c is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:eu-central-1:123456789012:secret:billing/key because no identity-based policy allows the secretsmanager:GetSecretValue action
}
