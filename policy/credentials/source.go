package credentials

import (
	"context"
	"errors"
	"net/netip"

	"github.com/fardel-io/fardel/policy/sts"
)

// ErrNotFound is what a [Source] returns for an address that no task has.
var ErrNotFound = errors.New("credentials: not found")

// A Source knows the tasks of this host. Its methods are safe for concurrent use.
type Source interface {
	// Task returns the task that a request came from, [ErrNotFound] if it came from none. ctx is the request's, and addr
	// its source address, never an IPv4 one in IPv6 form; it is the zero address if it cannot be told. It should not wait
	// for anything slow.
	Task(ctx context.Context, addr netip.Addr) (Task, error)
}

// Task is what the endpoint has to know of a task.
type Task struct {
	ARN     string // required
	RoleARN string // of the task role; "" for none

	// CredentialsID is what the path in the task's AWS_CONTAINER_CREDENTIALS_RELATIVE_URI ends with. "" is none, and no
	// request gets any credentials.
	CredentialsID string
}

// An Issuer gives tasks the credentials of roles. [sts.TaskProvider] is one.
type Issuer interface {
	// Retrieve returns credentials of a role for a task, which are good for long enough that they need not be asked for
	// again at once. Its error is logged. It is safe for concurrent use and returns when ctx ends.
	Retrieve(ctx context.Context, roleARN, taskARN string) (sts.Credentials, error)
}
