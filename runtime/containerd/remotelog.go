//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// loggerFile is the record of a logger that the driver has started itself: a daemon's shim, which starts the others, has
// no stdin for containers whose output it gives to a program.
const loggerFile = "logger.json"

// loggerStreams are the write ends of a logger's FIFOs, held open until the daemon has them.
type loggerStreams []*os.File

func (s loggerStreams) release() {
	for _, f := range s {
		f.Close()
	}
}

// startLogger starts serveLog with the FIFOs stdout and stderr of a container's directory. It ends when nobody has them
// open for writing any more, and outlives this process.
func startLogger(logger, dir string, c creation) (_ loggerStreams, err error) {
	if !reexecs.Load() {
		return nil, errors.New("the log of an interactive container needs `if containerd.Reexec() { return }` at the top of main")
	}
	var holds loggerStreams
	var ends []*os.File
	defer func() {
		for _, f := range ends {
			f.Close()
		}
		if err != nil {
			holds.release()
		}
	}()
	for _, name := range []string{"stdout", "stderr"} {
		s, err := openStream(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		holds, ends = append(holds, s.hold), append(ends, s.src)
	}
	ready, done, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := &exec.Cmd{
		Path:        logger,
		Args:        []string{logName, "to", spoolURI(c)},
		Dir:         "/",
		Env:         []string{"GOMAXPROCS=2"},
		ExtraFiles:  append(ends, done),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = cmd.Start()
	if cerr := done.Close(); err == nil && cerr != nil {
		err = errors.Join(cerr, cmd.Process.Kill(), cmd.Wait())
	}
	if err != nil {
		return nil, fmt.Errorf("start the logger of a container: %w", err)
	}
	p, err := identify(cmd.Process.Pid)
	if err == nil {
		err = writeJSON(filepath.Join(dir, loggerFile), p)
	}
	if err == nil {
		if _, rerr := ready.Read(make([]byte, 1)); !errors.Is(rerr, io.EOF) { // it closes its end
			err = rerr
		}
	}
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return holds, cmd.Process.Release()
}

// finishLogger has a container's logger, if the driver started one, not wait for room any more. The returned function
// waits until it has ended.
func (r *remote) finishLogger(t target) (end func() error, err error) {
	var p process
	found, err := readJSON(filepath.Join(r.dir, "containers", t.container, loggerFile), &p)
	if err != nil || !found || !p.alive() {
		return func() error { return nil }, err
	}
	if err := syscall.Kill(p.PID, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return nil, err
	}
	return func() error { return p.end(unix.SIGTERM) }, nil
}
