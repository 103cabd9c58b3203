package runtime

import (
	"fmt"
	"regexp"
	"strings"
)

// ImageName is a parsed image reference in its full form.
type ImageName struct {
	Registry   string // host, with port if one was given: "docker.io", "localhost:5000"
	Repository string // path in it: "library/nginx"
	Tag        string // "latest" if the reference had neither tag nor digest; "" if it had only a digest
	Digest     string // "sha256:…"; "" if the reference had none
}

const (
	dockerHub = "docker.io"
	// maxRepository bounds registry and repository together, as registries do.
	maxRepository = 255
)

var (
	registryPattern = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?$`)
	pathPattern     = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestPattern   = regexp.MustCompile(`^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$`)
	hexPattern      = regexp.MustCompile(`^[a-f0-9]{64}$`)
)

// ParseImageName reads an image reference with Docker's rules: "nginx" is docker.io/library/nginx:latest, and a first
// part with a dot, a colon or an upper-case letter, or "localhost", is a registry. The error matches [ErrInvalid].
func ParseImageName(ref string) (ImageName, error) {
	fail := func(reason string) (ImageName, error) {
		return ImageName{}, fmt.Errorf("image %q: %s: %w", ref, reason, ErrInvalid)
	}
	if ref == "" {
		return fail("empty reference")
	}
	if hexPattern.MatchString(ref) {
		return fail("64 hexadecimal digits are a local ID, not a name")
	}
	rest, digest, hasDigest := strings.Cut(ref, "@")
	if hasDigest && !digestPattern.MatchString(digest) {
		return fail("the digest is not sha256: and 64 hexadecimal digits")
	}
	n := ImageName{Registry: dockerHub, Digest: digest}
	if first, path, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(first, ".:[") || first == "localhost" || first != strings.ToLower(first)) {
		n.Registry, rest = first, path
	}
	path, tag, hasTag := strings.Cut(rest, ":")
	switch {
	case hasTag && !tagPattern.MatchString(tag):
		return fail("the tag is not 1 to 128 letters, digits, dots, hyphens and underscores")
	case hasTag:
		n.Tag = tag
	case !hasDigest:
		n.Tag = "latest"
	}
	if n.Registry == "index."+dockerHub {
		n.Registry = dockerHub
	}
	if n.Registry == dockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	n.Repository = path
	switch {
	case !registryPattern.MatchString(n.Registry):
		return fail("the registry is not a host name")
	case !pathPattern.MatchString(path):
		return fail("the repository is not lower-case letters and digits, joined by dots, underscores, hyphens and slashes")
	case len(n.Registry)+1+len(path) > maxRepository:
		return fail(fmt.Sprintf("registry and repository have more than %d characters", maxRepository))
	}
	return n, nil
}

// String is the full reference.
func (n ImageName) String() string {
	s := n.Registry + "/" + n.Repository
	if n.Tag != "" {
		s += ":" + n.Tag
	}
	if n.Digest != "" {
		s += "@" + n.Digest
	}
	return s
}

// Pinned is the reference to what has the digest in the same repository, without a tag: an Image.Ref.
func (n ImageName) Pinned(digest string) string {
	return n.Registry + "/" + n.Repository + "@" + digest
}
