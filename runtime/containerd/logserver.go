//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// serveLog is what a daemon's shim starts for a container with a terminal: it appends what comes on descriptor 3 to a
// file until its end. Descriptor 4 would be stderr, which a terminal does not have apart; closing 5 says that we are
// ready. Arguments are "path" and the path.
func serveLog(args []string) {
	if err := runLog(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func runLog(args []string) error {
	if len(args) != 2 || args[0] != "path" {
		return fmt.Errorf("%s is started by containerd, not by hand", logName)
	}
	f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := os.NewFile(5, "ready").Close(); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = io.Copy(f, os.NewFile(3, "stdout"))
	return errors.Join(err, f.Close())
}
