package logs

import (
	"context"
	"errors"
	"time"
)

// A Sink takes what awslogs sends to CloudWatch Logs. It is safe for concurrent use; of one stream it gets one call at a
// time.
type Sink interface {
	// CreateStream makes a log stream, and with createGroup its group, unless they are there. [ErrGroupNotFound] if the group
	// is not.
	CreateStream(ctx context.Context, s Stream, createGroup bool) error

	// PutEvents appends events to a stream. They are in the order of their times, span at most 24 hours, and are at most
	// 10,000 and, with 26 bytes for each, 1 MiB: the limits of the API of this name. When it returns without error they are
	// kept; after an error all of them come again.
	PutEvents(ctx context.Context, s Stream, events []Event) error
}

// Stream names a log stream.
type Stream struct{ Region, Group, Name string }

// Event is one log event.
type Event struct {
	Time    time.Time // milliseconds
	Message string    // valid UTF-8, not empty
}

// ErrGroupNotFound is CloudWatch's ResourceNotFoundException for a log group.
var ErrGroupNotFound = errors.New("ResourceNotFoundException: The specified log group does not exist.")
