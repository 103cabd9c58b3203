// Package sts is the part of AWS IAM and STS that a program needs to hand out permissions: roles with their trust and
// permission policies, users with long-lived keys, AssumeRole, temporary credentials that expire, are renewed and can be
// revoked, and the way back from a key in a signed request to whoever it was issued to.
//
//	service, err := sts.Open(sts.Config{Account: "123456789012", Store: sts.NewFileStore(filepath.Join(dir, "sts.json"))})
//	if err != nil {
//		return err
//	}
//	role, err := service.CreateRole(sts.RoleInput{Name: "app", TrustPolicy: trust, Inline: map[string]string{"read": document}})
//	if err != nil {
//		return err
//	}
//	out, err := service.AssumeRole(caller, sts.AssumeRoleInput{RoleARN: role.ARN, RoleSessionName: "nightly"})
//	...
//	id, err := service.Authenticate(accessKeyID, sessionToken) // of a request whose signature is then checked
//	if err != nil {
//		return err
//	}
//	return service.Authorize(id, "ecs:RunTask", definitionARN, conditions) // nil, or *policy.DeniedError
//
// Policies are read by [policy.Parse] when they are stored and are decided upon by a [policy.Directory], which the
// program may share: [Service.Directory].
//
// # Tasks
//
// [Service.TaskCredentials] assumes a role as ECS does for a task: the caller is the service ecs-tasks.amazonaws.com, the
// session is named after the task, and aws:SourceArn is the task's ARN. [NewTaskProvider] keeps the credentials of many
// tasks fresh.
//
// # What is kept where
//
// Roles, users and policies are the program's configuration: it creates them again at each start, under the same names.
// What must survive a restart is in a [Store], one small document: a key of 32 random bytes, which access keys the users
// have, and what was revoked within the last twelve hours. Sessions are not kept at all. A session token is the session,
// encrypted and authenticated (AES-256-GCM) with the stored key, and secret access keys are derived from it (HMAC-SHA256),
// so any number of tasks may have credentials at no cost in memory, issuing them writes nothing, and those that were
// issued before a restart are good after it. A role's session speaks for the role as it is now: changes to its policies
// and tags show at once, and with the role its sessions end.
//
// # Secrets
//
// Secrets are of the type [Secret], which prints, logs and encodes as "[redacted]"; only [Secret.Reveal] gives them away.
//
// # Errors
//
// Errors are *[Error], with AWS's code and text, and match one of this package's sentinels.
//
// # What it is not
//
// It checks no signatures and serves no HTTP. It does not look whether the principals that a trust policy names exist.
// AssumeRoleWithSAML, AssumeRoleWithWebIdentity and GetFederationToken are not here.
package sts
