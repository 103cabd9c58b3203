package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Caller is the task that a request to the endpoints at 169.254.170.2 came from, known by the address of its network
// interface, which it cannot forge.
type Caller struct {
	TaskARN     string
	TaskRoleARN string // of the definition, with overrides; "" is none
	VPC         string // where the task is: addresses are unique in one VPC only
	// CredentialsID is what the path in the task's AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ends with.
	CredentialsID string
}

// callerKey is the key of a [Caller] in a request's context.
type callerKey struct{}

// CallerFrom returns the task that a request came from, out of the request's context. False for a request from an address
// that no task has any more.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// withCaller returns a context that [CallerFrom] finds a task in.
func withCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// credentialsPath is where a task finds its role's credentials, and what comes before it are those of version 1.
const (
	credentialsPath   = "/v2/credentials/"
	credentialsPathV1 = "/v1/credentials"
)

// CredentialsID returns the ID of a task's credentials in the path of their endpoint, in the form of a UUID as in ECS. It
// is the same after every restart of the host. It is no secret: the caller's address protects a task.
func CredentialsID(taskID string) string {
	h := sha256.Sum256([]byte(taskID + "\x00credentials"))
	s := hex.EncodeToString(h[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
