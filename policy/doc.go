// Package policy decides who may do what by IAM policies: the JSON documents of AWS IAM in, a decision out, with the
// reason and AWS's own words. It is the whole language (every element, operator and policy variable) and all layers
// that have a say: identity, resource and trust policies, permissions boundaries, session policies, service and resource
// control policies, in one account or across two.
//
//	p, err := policy.Parse(document, policy.Options{Name: "runners"})   // refused if AWS would refuse it
//	if err != nil {
//		return err                                                      // *DocumentError: AWS's text and the place
//	}
//	layers := policy.Layers{Identity: []*policy.Set{policy.NewSet(p)}}
//	r, err := policy.NewRequest("arn:aws:iam::123456789012:user/alice", "ecs:RunTask", definitionARN, conditions)
//	if err != nil {
//		return err
//	}
//	return policy.Evaluate(&layers, r).Err(r)                           // nil, or *DeniedError in AWS's words
//
// A program with many principals keeps their policies in a [Directory], which finds the layers of a request by itself
// and takes changes while decisions are made.
//
// What an authorizer is asked (a principal, an action, a resource, conditions as a map) is what [NewRequest] takes:
//
//	r, err := policy.NewRequest(q.Principal, q.Action, q.Resource, q.Conditions)
//	if err != nil {
//		return err
//	}
//	return directory.Decide(r, nil).Err(r)
//
// # Speed
//
// A set of more than a few statements is an index: a trie over the names of actions, under each a trie over resources
// that knows parts of an ARN that are "*", and where many statements still stand in one place, a trie over the values
// that they want of a condition key. A decision follows the request's own names through them, so its cost does not grow
// with the number of policies; what it cannot avoid is statements that fit in all of this and differ only in conditions
// of other kinds (negated ones, numbers, dates, patterns with wildcards at both ends), which it evaluates one by one. The
// tries are immutable and share their nodes: changing one policy copies the few nodes on its way.
//
// # What it is not
//
// It knows no actions, resources or condition keys of any service: a misspelled action is a valid one that nobody asks
// for. It adds no keys to a request; aws:CurrentTime, aws:SourceIp and the rest are the caller's to fill in. It does not
// check that a principal is who it says it is.
//
// # Purity
//
// The package imports the standard library only, starts no goroutine, does no I/O and reads no clock. A [Policy] and a
// [Set] never change. [Evaluate] takes no lock and allocates nothing.
//
// # Errors
//
// [Parse] returns a [*DocumentError], which matches [ErrMalformed] or [ErrTooLarge]. A denied request's
// [Decision.Err] is a [*DeniedError], which matches [ErrDenied].
package policy
