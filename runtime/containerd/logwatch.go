//go:build linux

package containerd

import (
	"context"
	"encoding/binary"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/internal/spool"
	"github.com/fardel-io/fardel/runtime"
)

// logWatch tells those who read logs when there may be more to read, so that nobody has to look at a log in which nothing
// happens. It is one inotify instance for all of a driver's logs, of which the kernel gives a user 128. Its watches are
// good for one event each: a log that is written to all the time costs nothing between two questions.
type logWatch struct {
	mu     sync.Mutex // guards what follows, and is held while watches are added
	file   *os.File   // nil before the first question, and where there is no inotify
	failed bool
	asked  map[int32]*logQuestion // by watch
}

// logQuestion is a channel for those who wait for the same directory.
type logQuestion struct {
	changed chan struct{}
	askers  int
}

// ask returns a channel that is closed when something happens in a directory, and what to call when it has not been and is
// of no interest any more. The channel is nil where the kernel does not tell.
func (l *logWatch) ask(life life, dir string) (changed <-chan struct{}, forget func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil && !l.failed {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil { // too many instances: somebody else's
			l.failed = true
			return nil, nil
		}
		l.file, l.asked = os.NewFile(uintptr(fd), "inotify"), map[int32]*logQuestion{}
		life.spawn(l.run)
	}
	if l.failed {
		return nil, nil
	}
	watch, err := l.add(dir)
	if err != nil { // too many watches, or the log was removed
		return nil, nil
	}
	q := l.asked[watch]
	if q == nil {
		q = &logQuestion{changed: make(chan struct{})}
		l.asked[watch] = q
	}
	q.askers++
	return q.changed, func() { l.forget(watch, q) }
}

// add returns the number of a watch. The kernel gives that of an older one on the directory as long as nothing has
// happened.
func (l *logWatch) add(dir string) (int32, error) {
	conn, err := l.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var watch int
	var added error
	err = conn.Control(func(fd uintptr) {
		watch, added = unix.InotifyAddWatch(int(fd), dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_ONESHOT|unix.IN_ONLYDIR)
	})
	if err != nil {
		return 0, err
	}
	return int32(watch), added
}

func (l *logWatch) forget(watch int32, q *logQuestion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.askers--; q.askers > 0 || l.asked[watch] != q {
		return
	}
	delete(l.asked, watch)
	if conn, err := l.file.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(watch)) }) // it may have ended by itself
	}
}

// run passes on what the kernel says until the driver is closed.
func (l *logWatch) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { l.file.Close() })()
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	for {
		n, err := l.file.Read(buf)
		if err != nil {
			l.end()
			return
		}
		l.answer(buf[:n])
	}
}

// answer takes events as the kernel writes them.
func (l *logWatch) answer(events []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		watch := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		events = events[min(size, len(events)):]
		if mask&unix.IN_Q_OVERFLOW != 0 { // whom it was for is not known
			l.wakeAll()
		} else if q := l.asked[watch]; q != nil {
			delete(l.asked, watch)
			close(q.changed)
		}
	}
}

func (l *logWatch) wakeAll() {
	for watch, q := range l.asked {
		delete(l.asked, watch)
		close(q.changed)
	}
}

// end lets everybody look for themselves.
func (l *logWatch) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = true
	l.wakeAll()
}

// logTail is a tail that knows when to look again.
type logTail struct {
	*spool.Reader
	d   *Driver
	dir string

	changed <-chan struct{}
	forget  func()
}

var _ runtime.LogWaiter = (*logTail)(nil)

// Changed implements [runtime.LogWaiter].
func (t *logTail) Changed() <-chan struct{} {
	select {
	case <-t.changed:
		t.changed = nil
	default:
	}
	if t.changed == nil {
		t.changed, t.forget = t.d.logWatch.ask(t.d.life, t.dir)
	}
	return t.changed
}

// Close lets go of the log.
func (t *logTail) Close() error {
	if t.changed != nil {
		t.forget()
	}
	return t.Reader.Close()
}
