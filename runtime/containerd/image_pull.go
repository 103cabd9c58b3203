//go:build linux

package containerd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/platforms"

	"github.com/fardel-io/fardel/runtime"
)

// progressEvery is how often a caller hears how far a pull is.
const progressEvery = 100 * time.Millisecond

// flight is one transfer that any number of callers wait for. It ends early when none is left.
type flight struct {
	request  request
	ctx      context.Context
	cancel   context.CancelFunc
	progress progress
	done     chan struct{}
	waiters  int  // guarded by pulls.mu
	ended    bool // guarded by pulls.mu

	// Set before done is closed.
	image runtime.Image
	err   error
}

// request is a pull that was checked.
type request struct {
	name     runtime.ImageName
	platform string // as asked for; "" is this machine's
	matcher  platforms.MatchComparer
	auth     *runtime.Credentials
	refresh  bool
}

// key is the same for requests that can share a transfer. Those with other credentials cannot: they may be refused.
func (r request) key() string {
	auth := ""
	if r.auth != nil {
		auth = fmt.Sprintf("%x", sha256.Sum256([]byte(r.auth.Username+"\x00"+r.auth.Password)))
	}
	return fmt.Sprintf("%s %s %s %t", r.name, r.platform, auth, r.refresh)
}

var errPullTimeout = fmt.Errorf("timed out after waiting %v", pullTimeout)

func newRequest(spec runtime.ImageSpec) (request, error) {
	name, err := runtime.ParseImageName(spec.Ref)
	if err != nil {
		return request{}, err
	}
	r := request{
		name: name, platform: spec.Platform, matcher: platforms.Default(), auth: spec.Auth, refresh: spec.Refresh && name.Digest == "",
	}
	if spec.Platform == "" {
		return r, nil
	}
	p, err := platforms.Parse(spec.Platform)
	if err != nil {
		return request{}, fmt.Errorf("image %s: platform %q: %w: %w", spec.Ref, spec.Platform, err, runtime.ErrInvalid)
	}
	if r.matcher = platforms.Only(p); platforms.Format(p) == platforms.DefaultString() {
		r.platform = ""
	}
	return r, nil
}

// Pull implements [runtime.Driver]. A name is resolved to a digest once; after that it costs no request, and the registry
// need not be there, until [Driver.RemoveImage] or a spec with Refresh.
func (d *Driver) Pull(ctx context.Context, spec runtime.ImageSpec) (runtime.Image, error) {
	if err := d.open(); err != nil {
		return runtime.Image{}, err
	}
	r, err := newRequest(spec)
	if err != nil {
		return runtime.Image{}, err
	}
	if err := ctx.Err(); err != nil {
		return runtime.Image{}, fmt.Errorf("pull %s: %w", spec.Ref, err)
	}
	if !r.refresh {
		img, found, err := d.findHeld(d.context(ctx), r, spec.Holder)
		if err != nil {
			return runtime.Image{}, fmt.Errorf("pull %s: %w", spec.Ref, err)
		}
		if found {
			report(spec, runtime.PullProgress{Done: img.Size, Total: img.Size, Cached: true})
			return img, nil
		}
	}
	if spec.Offline {
		return runtime.Image{}, fmt.Errorf("image %s is not on this machine: %w", spec.Ref, runtime.ErrImageNotFound)
	}
	f := d.join(r)
	img, err := d.await(ctx, f, spec)
	if err != nil {
		return runtime.Image{}, fmt.Errorf("pull %s: %w", spec.Ref, err)
	}
	return img, nil
}

// findHeld finds an image on this machine and holds it.
func (d *Driver) findHeld(ctx context.Context, r request, holder string) (runtime.Image, bool, error) {
	d.use.gate.RLock()
	defer d.use.gate.RUnlock()
	known, err := d.find(ctx, r.name, r.matcher, r.platform)
	if known == nil || err != nil {
		return runtime.Image{}, false, err
	}
	img := known.requested(r)
	d.use.mark(r.name.String())
	d.holdPulled(holder, img)
	return img, true, nil
}

// holdPulled holds an image for a caller of Pull, under the name that stays when the tag moves.
func (d *Driver) holdPulled(holder string, img runtime.Image) {
	if holder != "" {
		d.use.hold(holder, img.Ref)
	}
}

// requested names an image as a request asked for it. For another platform than the machine's, Ref is that of the
// platform's manifest, as the digest of an index would mean the machine's.
func (k *knownImage) requested(r request) runtime.Image {
	img := k.named(r.name)
	if r.platform != "" {
		img.Ref = r.name.Pinned(k.manifest.Digest.String())
	}
	return img
}

func report(spec runtime.ImageSpec, p runtime.PullProgress) {
	if spec.Progress != nil {
		p.Ref = spec.Ref
		spec.Progress(p)
	}
}

// join adds a waiter to the flight for a request, which it starts if there is none.
func (d *Driver) join(r request) *flight {
	p := &d.pulls
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flights[r.key()]; f != nil {
		f.waiters++
		return f
	}
	f := &flight{request: r, done: make(chan struct{}), waiters: 1}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	d.use.hold(f, r.name.String())
	if p.flights == nil {
		p.flights = map[string]*flight{}
	}
	p.flights[r.key()] = f
	d.life.spawn(func(ctx context.Context) { d.fly(ctx, f) })
	return f
}

// leave takes a waiter off. The last one to leave ends the flight, and who comes then starts another. What a flight
// brought is held until all who waited for it hold it themselves.
func (d *Driver) leave(f *flight) {
	d.pulls.mu.Lock()
	defer d.pulls.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	f.cancel()
	d.pulls.land(f)
	if f.ended {
		d.use.release(f)
	}
}

// land lets no more waiters on. The caller holds mu.
func (p *pulls) land(f *flight) {
	if key := f.request.key(); p.flights[key] == f {
		delete(p.flights, key)
	}
}

// fly does the transfer. When it has ended nothing half made is left.
func (d *Driver) fly(ctx context.Context, f *flight) {
	defer context.AfterFunc(ctx, f.cancel)()
	defer f.cancel()
	limited, done := context.WithTimeoutCause(d.context(f.ctx), pullTimeout, errPullTimeout)
	defer done()
	f.image, f.err = d.transfer(limited, f)
	d.pulls.mu.Lock()
	d.pulls.land(f)
	if f.ended = true; f.waiters == 0 {
		d.use.release(f)
	}
	d.pulls.mu.Unlock()
	close(f.done)
}

// await waits for a flight and reports its progress in the caller's goroutine.
func (d *Driver) await(ctx context.Context, f *flight, spec runtime.ImageSpec) (runtime.Image, error) {
	defer d.leave(f)
	var ticks <-chan time.Time
	if spec.Progress != nil {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-f.done:
			if errors.Is(f.err, context.Canceled) && d.open() != nil {
				return runtime.Image{}, d.open()
			}
			if f.err == nil {
				d.holdPulled(spec.Holder, f.image)
				report(spec, f.progress.now())
			}
			return f.image, f.err
		case <-ctx.Done():
			return runtime.Image{}, ctx.Err()
		case <-d.life.stopped:
			return runtime.Image{}, runtime.ErrClosed
		case <-ticks:
			report(spec, f.progress.now())
		}
	}
}
