// Package policy compares package policy with other policy engines written in Go: the same decisions in the same run.
// It is a module of its own so that their modules stay out of fardel's.
//
//	go test -bench . -benchmem
//
// Cedar, Rego and casbin have languages of their own; each statement is spelled the way that engine wants it. IAM's
// missing keys, set operators, layers and messages have no counterpart there and are not part of the comparison.
package policy
