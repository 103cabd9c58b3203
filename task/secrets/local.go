package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Directory is a [Provider] on files below Dir. The newline at the end of a file, if there is one, is not part of the
// value.
//
//	secretsmanager/<name>                          a secret, with or without its six random characters
//	secretsmanager/<name>.versions/<stage or ID>   another version of it than the current one
//	ssm/<name>                                     a parameter, its path as directories
//	ssm/<name>.versions/<version or label>         what ":3" or ":label" after its name means
type Directory struct {
	Dir string // required
}

// maxSecret is what Secrets Manager allows, in bytes.
const maxSecret = 64 << 10

// Secret implements [Provider].
func (d Directory) Secret(_ context.Context, r Reference) (string, error) {
	for _, name := range r.files() {
		if !fs.ValidPath(name) { // ".." would lead to what another service holds
			continue
		}
		data, err := readBelow(d.Dir, path.Join(string(r.Service), name), maxSecret)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", r, err)
		}
		return strings.TrimSuffix(string(data), "\n"), nil
	}
	return "", fmt.Errorf("secret %s: %w in %s", r, ErrNotFound, d.Dir)
}

// files are the names that a secret can have, the most exact first.
func (r Reference) files() []string {
	version, current := r.VersionID, r.VersionStage == "" || r.VersionStage == "AWSCURRENT"
	if version == "" && !current {
		version = r.VersionStage
	}
	names := []string{r.Name}
	if r.Service == ParameterStore {
		name, selector, _ := strings.Cut(strings.TrimPrefix(r.Name, "/"), ":")
		names, version = []string{name}, selector
	} else if i := strings.LastIndexByte(r.Name, '-'); i > 0 && len(r.Name)-i == len("-abcdef") {
		names = append(names, r.Name[:i])
	}
	if version == "" {
		return names
	}
	for i := range names {
		names[i] += ".versions/" + version
	}
	return names
}

// Environment is a [Provider] on variables of the host program: Prefix and the name of the secret without its random
// characters, or of the parameter, in capitals and with an underscore for whatever is not a letter or digit. The parameter
// /app/db-password is APP_DB_PASSWORD. It has no versions.
type Environment struct {
	Prefix string
	Lookup func(name string) (string, bool) // such as os.LookupEnv // required
}

// Secret implements [Provider].
func (e Environment) Secret(_ context.Context, r Reference) (string, error) {
	if r.VersionID != "" || r.VersionStage != "" && r.VersionStage != "AWSCURRENT" {
		return "", fmt.Errorf("secret %s: %w: variables have no versions", r, ErrNotFound)
	}
	var tried []string
	for _, file := range r.files() {
		name := e.Prefix + variable(file)
		if value, ok := e.Lookup(name); ok {
			return value, nil
		}
		tried = append(tried, name)
	}
	return "", fmt.Errorf("secret %s: %w: set %s", r, ErrNotFound, strings.Join(tried, " or "))
}

func variable(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// readBelow reads a file that is in a directory whatever symbolic links say.
func readBelow(dir, name string, most int64) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most { // a FIFO would block
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", path.Join(dir, name), most)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
