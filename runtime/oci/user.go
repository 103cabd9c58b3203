package oci

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/runtime"
)

// maxLine bounds a line of /etc/passwd or /etc/group, which belong to the image and are not trusted.
const maxLine = 64 << 10

// ResolveUser finds who a user string means in an image. It takes "", "user", "uid", "user:group" and any mix of names
// and numbers; "" is root. passwd and group are the image's /etc/passwd and /etc/group; nil counts as an empty file. A
// number needs no entry; a name does, and without one the error matches [runtime.ErrInvalid]. Malformed lines are
// skipped, as libc does.
//
// Supplementary groups are those that list the user in group, and none when the string names a group, as with Docker.
func ResolveUser(user string, passwd, group io.Reader) (User, error) {
	name, groupName, hasGroup := strings.Cut(user, ":")
	if hasGroup && groupName == "" || strings.Contains(groupName, ":") {
		return User{}, fmt.Errorf("user %q: want user, uid, user:group or uid:gid: %w", user, runtime.ErrInvalid)
	}
	account, err := findAccount(name, passwd)
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", user, err)
	}
	u := User{UID: account.uid, GID: account.gid, Home: account.home}
	if hasGroup {
		if u.GID, err = findGroup(groupName, group); err != nil {
			return User{}, fmt.Errorf("user %q: %w", user, err)
		}
		return u, nil
	}
	u.AdditionalGIDs, err = groupsOf(account.name, u.GID, group)
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", user, err)
	}
	return u, nil
}

// account is a line of /etc/passwd.
type account struct {
	name     string // "" if the number has no entry
	home     string // "" if it says none that can be in an environment
	uid, gid uint32
}

func findAccount(name string, passwd io.Reader) (account, error) {
	if name == "" {
		name = "0"
	}
	uid, numeric, err := parseID(name)
	if err != nil {
		return account{}, err
	}
	found, ok := account{uid: uid}, false
	err = eachLine(passwd, "/etc/passwd", func(fields []string) bool {
		if len(fields) < 4 {
			return true
		}
		u, uok, uerr := parseID(fields[2])
		g, gok, gerr := parseID(fields[3])
		if !uok || !gok || uerr != nil || gerr != nil {
			return true
		}
		// A number is never looked up as a name: an image whose user is called "1000" could otherwise be anyone.
		if numeric && u == uid || !numeric && fields[0] == name {
			found, ok = account{name: fields[0], home: home(fields), uid: u, gid: g}, true
		}
		return !ok
	})
	if err != nil {
		return account{}, err
	}
	if !ok && !numeric {
		return account{}, fmt.Errorf("no user %q in the image's /etc/passwd: %w", name, runtime.ErrInvalid)
	}
	return found, nil
}

func home(fields []string) string {
	if len(fields) < 6 || strings.ContainsRune(fields[5], 0) {
		return ""
	}
	return fields[5]
}

func findGroup(name string, group io.Reader) (uint32, error) {
	gid, numeric, err := parseID(name)
	if err != nil || numeric {
		return gid, err
	}
	found := false
	err = eachLine(group, "/etc/group", func(fields []string) bool {
		if len(fields) < 3 || fields[0] != name {
			return true
		}
		if id, ok, err := parseID(fields[2]); ok && err == nil {
			gid, found = id, true
		}
		return !found
	})
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("no group %q in the image's /etc/group: %w", name, runtime.ErrInvalid)
	}
	return gid, nil
}

func groupsOf(user string, primary uint32, group io.Reader) ([]uint32, error) {
	if user == "" {
		return nil, nil
	}
	var ids []uint32
	err := eachLine(group, "/etc/group", func(fields []string) bool {
		if len(fields) < 4 || !slices.Contains(strings.Split(fields[3], ","), user) {
			return true
		}
		if id, ok, err := parseID(fields[2]); ok && err == nil && id != primary {
			ids = append(ids, id)
		}
		return true
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// parseID reads a UID or GID. numeric is false for what is a name. The kernel reserves 2^32-1; runtimes keep IDs in a
// signed 32-bit integer, hence the lower limit.
func parseID(s string) (id uint32, numeric bool, err error) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && (n < 0 || n > math.MaxInt32):
		return 0, true, fmt.Errorf("%s is not between 0 and %d: %w", s, math.MaxInt32, runtime.ErrInvalid)
	case err != nil:
		return 0, false, nil
	}
	return uint32(n), true, nil
}

// eachLine calls f with the colon-separated fields of each line until it returns false.
func eachLine(r io.Reader, name string, f func(fields []string) bool) error {
	if r == nil {
		return nil
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if !f(strings.Split(line, ":")) {
			return nil
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("the image's %s has a line of more than %d bytes: %w", name, maxLine, runtime.ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("read the image's %s: %w", name, err)
	}
	return nil
}
