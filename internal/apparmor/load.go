package apparmor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	parser = "apparmor_parser" // it makes of a profile's text what the kernel takes
	remove = "/sys/kernel/security/apparmor/.remove"

	// parserTimeout is for one profile without further files, which takes some 30 ms.
	parserTimeout = time.Minute
)

// ErrNoParser is matched where the program that loads profiles is missing.
var ErrNoParser = errors.New("apparmor_parser is not in PATH, /usr/sbin or /sbin: apt-get install apparmor")

// Load gives the kernel the profile of this name, in place of the one that it has. What runs under that is confined by the new
// one at once.
func Load(ctx context.Context, name string) error {
	text, err := Profile(name)
	if err != nil {
		return err
	}
	path, err := findParser()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, parserTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--replace", "--skip-cache", "--quiet")
	cmd.Stdin = strings.NewReader(text)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load AppArmor profile %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func findParser() (string, error) {
	for _, name := range []string{parser, "/usr/sbin/" + parser, "/sbin/" + parser} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoParser
}

// Remove takes the profile of this name from the kernel; no error if it is not there. What runs under it is not confined any
// more.
func Remove(name string) error {
	f, err := os.OpenFile(remove, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove AppArmor profile %s: %w", name, err)
	}
	_, err = f.WriteString(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("remove AppArmor profile %s: %w", name, err)
	}
	return nil
}
