//go:build linux

package containerd

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// serveLog is what a daemon's shim starts for each container that has a log: it keeps what comes on descriptors 3, stdout
// or a terminal, and 4, stderr, until their end. Closing 5 says that we are ready. Arguments are "to" and the address of
// the log. SIGTERM comes when the container has ended: the rest is kept then whatever the room for it.
func serveLog(args []string) {
	if err := runLog(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func runLog(args []string) error {
	if len(args) != 2 || args[0] != "to" {
		return fmt.Errorf("%s is started by containerd, not by hand", logName)
	}
	uri, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil { // the rest of its privileges is given up by now, see logPlan
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	stdout, stderr, ready := os.NewFile(3, "stdout"), os.NewFile(4, "stderr"), os.NewFile(5, "ready")
	if uri.Path == "" { // what a terminal without a log shows
		if err := ready.Close(); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, stdout)
		return err
	}
	w, err := openSpool(uri)
	if err != nil {
		return err
	}
	finishOn(term, w)
	if err := ready.Close(); err != nil {
		return err
	}
	copies := []func(){func() { keep(w, false, stdout) }}
	if uri.Query().Get("streams") == "2" { // nobody closes the other of a terminal
		copies = append(copies, func() { keep(w, true, stderr) })
	}
	split(copies...)
	return w.Close()
}
