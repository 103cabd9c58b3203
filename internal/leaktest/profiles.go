package leaktest

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// profiles are those that the kernel has, if it has AppArmor and this process may know them.
func (s *Snapshot) profiles(all set) error {
	list, err := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		if s.marked(line) {
			all.add("AppArmor profile", strings.TrimSpace(line))
		}
	}
	return nil
}
