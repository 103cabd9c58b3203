// Package credentials is the endpoint where the containers of a task get the credentials of the task's role: what the AWS
// SDKs and the AWS CLI ask for at 169.254.170.2 when AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set. It is an http.Handler
// over a [Source] that knows the tasks and an [Issuer] that knows the roles; it listens nowhere, starts nothing and keeps
// nothing but request rates.
//
//	roles, err := sts.NewTaskProvider(service, 0)
//	if err != nil {
//		return err
//	}
//	h := credentials.NewHandler(credentials.Config{Source: tasks, Issuer: roles})
//
// # Who gets what
//
// The caller is whoever the source says that it is, by the address that the request came from or by what the listener put
// into the request's context. It gets the credentials of its own task's role, and only under its own task's ID: with the
// ID of another task it gets the answer to an ID that does not exist. A task's execution role is not among what a source
// tells, so nobody gets that.
//
// # What it serves
//
//	/v2/credentials/<id>       the path in AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
//	/v1/credentials?id=<id>    the same, as older agents had it
//
// The answer is RoleArn, AccessKeyId, SecretAccessKey, Token and Expiration.
//
// # Errors
//
// Errors are JSON objects with code, message and HTTPErrorCode, in the words of the agent of ECS: NoIdInRequest and
// InvalidIdInRequest with 400, CredentialsUninitialized with 503 for a role that cannot be assumed at the moment,
// InternalServerError with 500. Too many requests are a line of text with 429. Why a role cannot be assumed is logged and
// not the task's business.
package credentials
