package runtime

import (
	"context"
	"time"
)

// LogOptions bound what is kept of a container's output.
type LogOptions struct {
	// Limit is how many bytes of output are kept. 0 is [DefaultLogLimit], and less than [MinLogLimit] counts as that. What
	// is in pipes when the container ends, some 300 KiB, may come on top.
	Limit int64

	// Blocking makes a container that has written Limit bytes which nobody has taken with [LogTail.Commit] wait in its
	// next write. Otherwise the oldest output is dropped for the newest, taken or not. A driver that writes logs to disk
	// sets room aside, too, 1 MiB in runtime/containerd, for what is in pipes when the container ends on a full disk.
	Blocking bool

	// Streams tells stdout and stderr apart. What is written to both at the same time may then come in another order.
	// Otherwise everything is of stdout, in the order in which it was written.
	Streams bool
}

// Bounds of LogOptions.Limit.
const (
	DefaultLogLimit = 32 << 20
	MinLogLimit     = 256 << 10
)

// A LogTailer hands what containers write to a log driver, with times and streams. Optional.
type LogTailer interface {
	// TailLog opens the log of the container whose spec had this Log path where the last Commit was, at its start if there
	// was none. At most one tail of a log is open at a time. [ErrNotFound] before the container was created and after
	// RemoveLog.
	TailLog(ctx context.Context, path string) (LogTail, error)
}

// A LogTail is one reader's place in a log. It is not for concurrent use.
type LogTail interface {
	// Next returns what was written next, and io.EOF at the present end; it may be called again for what came after. Data
	// stays valid until the next call.
	Next() (LogPiece, error)

	// Commit notes that everything before a position has been taken: a tail that is opened later, also after a crash of
	// the host program, starts there, and a container that waits may go on. The note, at most 64 KiB, is kept with it.
	// Positions must not go back.
	Commit(at LogPosition, note []byte) error

	// Note is that of the last Commit, by whichever process, and nil if there was none.
	Note() []byte

	// Close lets go of the log. It commits nothing.
	Close() error
}

// A LogWaiter is a LogTail that can say when there may be more, so that nobody has to look at a log in which nothing happens.
// Optional.
type LogWaiter interface {
	LogTail

	// Changed returns a channel that is closed when something is written after the call, or might have been. Look once more
	// before waiting for it: what came before the call does not close it. Until it is closed, Changed returns the same one.
	// Nil means that it cannot be told at present.
	Changed() <-chan struct{}
}

// LogPiece is a line, or a part of one: what a container has written without a newline yet, or 16 KiB of a long line. The
// pieces of a stream in a row are exactly what was written to it.
type LogPiece struct {
	At       time.Time // when the container wrote it
	Stderr   bool      // else it is of stdout, or of a terminal
	Data     []byte    // ends with a newline if a line ends here; there is none before the end
	Dropped  uint64    // how many pieces were dropped between the one before and this one
	Position LogPosition
}

// LogPosition is a place between two pieces. Its members mean something to the driver alone.
type LogPosition struct {
	Segment uint64 `json:"segment"`
	Offset  int64  `json:"offset"`
	Piece   uint64 `json:"piece"`
}
