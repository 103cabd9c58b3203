package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// patience is how long a run that is told to end may take to stop its tasks and daemons before it is killed.
const patience = time.Minute

// folderPrefix begins the name of the folder of every run.
const folderPrefix = "fardel-launch-"

// setup prepares the namespaces and runs the benchmark in them. $0 is busybox. The shell stays as the first process: it
// reaps the processes whose parents have ended.
const setup = `
"$0" mount -t proc proc /proc &&
"$0" mount -t tmpfs -o mode=755 tmpfs /run &&
"$0" mount -t tmpfs -o mode=755 tmpfs /var/lib &&
"$0" ip link set lo up || exit
"$@" || exit
`

// outside makes the folder of a run, runs the benchmark in namespaces of its own, and removes what they leave.
func outside(ctx context.Context, o options, out io.Writer) error {
	if goruntime.GOOS != "linux" {
		return errors.New("containers need Linux")
	}
	if os.Geteuid() != 0 {
		return errors.New("containers need root: run this program as root, or with sudo")
	}
	busybox, err := findBusybox()
	if err != nil {
		return err
	}
	lock, err := lockMachine()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := sweep(); err != nil {
		return err
	}
	if o.inside, err = os.MkdirTemp("", folderPrefix); err != nil {
		return err
	}
	for _, hidden := range []string{"/run/", "/var/run/", "/var/lib/"} {
		if strings.HasPrefix(o.inside, hidden) {
			return errors.Join(fmt.Errorf("folder %s is in %s, which the benchmark hides: set TMPDIR to another place", o.inside, hidden),
				os.Remove(o.inside))
		}
	}
	err = runInside(ctx, o, busybox, lock, out)
	if left := remove(o.inside); left != nil {
		return errors.Join(err, left)
	}
	fmt.Fprintln(os.Stderr, "nothing is left: no process, no mount, no cgroup, no file")
	return err
}

// lockMachine makes sure that this is the only run: two would measure each other. The lock is on the folder for temporary
// files and leaves nothing there.
func lockMachine() (*os.File, error) {
	f, err := os.Open(os.TempDir())
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another run holds the lock on %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// sweep removes what runs have left that were killed. None can be under way.
func sweep() error {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), folderPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		fmt.Fprintln(os.Stderr, "removing what a killed run left:", dir)
		if err := remove(dir); err != nil {
			return err
		}
	}
	return nil
}

// findBusybox finds a busybox that runs without the machine's libraries.
func findBusybox() (string, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("%w: apt-get install busybox-static", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("%s needs shared libraries, which a container lacks: apt-get install busybox-static", path)
	}
	return path, nil
}

// runInside starts a copy of this program in new namespaces and waits until nothing runs in them. The copy ends in good
// order when the pipe that it has as descriptor 3 is closed, by this function or by the death of this process. It holds
// the lock, descriptor 4, as long as it runs.
//
// It is a copy so that it shares no pages with this process, which would make the memory of both look smaller.
func runInside(ctx context.Context, o options, busybox string, lock *os.File, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	binary := filepath.Join(o.inside, "launch")
	if err := copyFile(binary, self, 0o755); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	cmd := exec.Command(busybox, append([]string{"sh", "-c", setup, busybox, binary}, o.args()...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + o.inside, "TMPDIR=" + o.inside, "LANG=C"}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.ExtraFiles = []*os.File{r, lock}
	cmd.SysProcAttr = runAttr()
	err = cmd.Start()
	r.Close()
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("measuring failed: %w", err) // it has said why
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		w.Close()
		select {
		case err = <-done:
		case <-time.After(patience):
			err = errors.Join(fmt.Errorf("did not stop within %v and was killed", patience), cmd.Process.Kill())
			<-done
		}
	}
	if ctx.Err() != nil {
		return errors.Join(errors.New("stopped before the end"), err)
	}
	return err
}

func copyFile(dst, src string, mode os.FileMode) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
