//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"

	"github.com/fardel-io/fardel/runtime"
)

// resolveError translates what a registry answers to the question what a tag names.
func resolveError(err error) error {
	status, hasStatus := errors.AsType[remoteerrors.ErrUnexpectedStatus](err)
	switch {
	case matchesOurs(err):
		return err
	case errors.Is(err, docker.ErrInvalidAuthorization), hasStatus && status.StatusCode == http.StatusUnauthorized,
		hasStatus && status.StatusCode == http.StatusForbidden:
		// Docker Hub and ECR answer so for repositories that do not exist, too.
		return fmt.Errorf("%w; or the repository does not exist: %w", err, runtime.ErrUnauthorized)
	case errdefs.IsNotFound(err), hasStatus && status.StatusCode == http.StatusNotFound:
		return runtime.ErrImageNotFound
	}
	return networkError(err)
}

// fetchError translates what goes wrong with content that a manifest or a resolved tag promised.
func fetchError(err error) error {
	status, hasStatus := errors.AsType[remoteerrors.ErrUnexpectedStatus](err)
	unauthorized := hasStatus && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden)
	switch {
	case err == nil, matchesOurs(err), errors.Is(err, context.Canceled), diskFull(err):
		return err
	case unauthorized, errors.Is(err, docker.ErrInvalidAuthorization):
		return fmt.Errorf("%w: %w", err, runtime.ErrUnauthorized)
	// A blob that is missing, a digest or a size that is not what was promised.
	case errdefs.IsNotFound(err), errdefs.IsFailedPrecondition(err), errdefs.IsInvalidArgument(err), errdefs.IsOutOfRange(err):
		return fmt.Errorf("%w: %w", err, runtime.ErrImageCorrupt)
	}
	return networkError(err)
}

// unpackError translates what goes wrong with a layer that has the right digest. Behind a daemon it is only words.
func unpackError(err error) error {
	if matchesOurs(err) || diskFull(err) {
		return err
	}
	text := err.Error()
	for _, words := range []string{
		"archive/tar:", "gzip:", "flate:", "zstd", "magic number", "unexpected EOF", "wrong diff id", "invalid checksum", "unpigz",
		"mismatched image rootfs",
	} {
		if strings.Contains(text, words) {
			return fmt.Errorf("%w: %w", err, runtime.ErrImageCorrupt)
		}
	}
	return err
}

// matchesOurs reports whether an error is translated already.
func matchesOurs(err error) bool {
	for _, ours := range []error{
		runtime.ErrImageCorrupt, runtime.ErrImagePlatform, runtime.ErrImageNotFound, runtime.ErrUnauthorized, runtime.ErrInvalid,
		runtime.ErrRegistryUnavailable, runtime.ErrTooManyRequests, runtime.ErrNoSpace,
		runtime.ErrRegistryNotAllowed, runtime.ErrImageLimit,
	} {
		if errors.Is(err, ours) {
			return true
		}
	}
	return false
}
