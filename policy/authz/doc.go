// Package authz authorizes actions by IAM policies: those of a cluster's verbs, and a host program's own.
//
//	directory := &policy.Directory{}                                    // documents and who has them
//	auth, err := authz.New(authz.Config{Directory: directory})
//	cluster, err := local.Open(ctx, local.Config{Dir: dir, Authorizer: auth})
//	run, err := cluster.As("arn:aws:iam::000000000000:user/alice").Run(ctx, def, scheduler.RunOptions{})
//
// For its own actions the host program picks names and ARNs of its own and asks the same [Authorizer]:
//
//	err := auth.Authorize(ctx, authz.Request{
//		Caller: caller, Action: "vault:ReadSecret", Resource: "arn:aws:vault:us-east-1:000000000000:secret/database",
//	})
//
// It adds to package policy what a decision about a live request takes: the global condition keys about the principal
// and the time, and a caller's session policies. It holds no policies and remembers no decisions: a change to
// the directory is seen by the next request.
//
// # Errors
//
// Denial is a [*policy.DeniedError] with AWS's text; it matches [policy.ErrDenied]. A principal that is none is
// [policy.ErrPrincipal]. Both mean that the action must not be done, as any other error does.
package authz
