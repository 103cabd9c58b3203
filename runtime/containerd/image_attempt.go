//go:build linux

package containerd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"

	"github.com/fardel-io/fardel/runtime"
)

// attempt does something until it works, cannot work, or was tried often enough, and says how often it was tried. do
// reports whether it got any further, in which case the count begins anew.
func (d *Driver) attempt(ctx context.Context, do func() (further bool, err error)) (attempts int, err error) {
	delay := d.cfg.pullDelay
	for {
		further, err := do()
		if further {
			attempts, delay = 0, d.cfg.pullDelay
		}
		attempts++
		if err == nil || ctx.Err() != nil || !transient(err) || attempts >= d.cfg.PullAttempts {
			return attempts, err
		}
		d.logger.Info("registry is asked again", "in", delay, "error", err)
		select {
		case <-ctx.Done():
			return attempts, ctx.Err()
		case <-time.After(delay + time.Duration(pullJitter*rand.Float64()*float64(delay))):
		}
		delay = min(2*delay, max(mostPullDelay, d.cfg.pullDelay))
	}
}

// transient reports whether an error may be gone the next time.
func transient(err error) bool {
	return errors.Is(err, runtime.ErrRegistryUnavailable) && !permanent(err) || errors.Is(err, runtime.ErrTooManyRequests)
}

// permanent recognises what makes a registry unreachable that waiting does not mend: a name that nobody has, and a
// certificate that is not trusted.
func permanent(err error) bool {
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return name.IsNotFound
	}
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	return authority || host || invalid || errors.Is(err, http.ErrSchemeMismatch)
}

// networkError recognises what is the network's or the registry's fault, and not the image's.
func networkError(err error) error {
	if status, ok := errors.AsType[remoteerrors.ErrUnexpectedStatus](err); ok {
		switch {
		case status.StatusCode == http.StatusTooManyRequests:
			return fmt.Errorf("%w: %w", err, runtime.ErrTooManyRequests)
		case status.StatusCode >= 500, status.StatusCode == http.StatusRequestTimeout:
			return fmt.Errorf("%w: %w", err, runtime.ErrRegistryUnavailable)
		}
		return err
	}
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || permanent(err) {
		return fmt.Errorf("%w: %w", err, runtime.ErrRegistryUnavailable)
	}
	return err
}

// errSilence ends a download that brings nothing.
var errSilence = errors.New("containerd: the registry sends nothing")

// leastProgress is how many bytes of a layer have to come for its download to go on: with a minute for each, a KiB a second.
const leastProgress = 64 << 10

// listener ends a download that brings nothing, or next to nothing, for a while.
type listener struct {
	timer *time.Timer
	after time.Duration
	bytes int // since the timer was set
}

func (l *listener) began() {
	l.bytes = 0
	l.timer.Reset(l.after)
}

// heard notes that n bytes came. Only one goroutine reads a layer.
func (l *listener) heard(n int) {
	if l.bytes += n; l.bytes >= leastProgress {
		l.began()
	}
}

// end is when all has come: to write it down may take its time.
func (l *listener) end() { l.timer.Stop() }

// wrongContent reports whether what came is not what was promised, so that none of it may be used.
func wrongContent(err error) bool {
	return errdefs.IsFailedPrecondition(err) || errdefs.IsInvalidArgument(err) || errdefs.IsOutOfRange(err)
}
