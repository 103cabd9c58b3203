//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/fardel-io/fardel/runtime"
)

const (
	layersAtOnce = 4              // downloads of one image, as with Docker's 3 and a bit
	leaseTime    = 24 * time.Hour // after which what a killed process left is garbage, should nobody sweep before
)

// transfer brings an image onto this machine: what the name means, the blobs, the unpacked layers and last the records.
func (d *Driver) transfer(ctx context.Context, f *flight) (_ runtime.Image, err error) {
	ctx, release, err := d.lease(ctx)
	if err != nil {
		return runtime.Image{}, err
	}
	defer func() { err = errors.Join(err, release(err != nil)) }()
	r := f.request
	conns := &registries{
		cfg: d.cfg.Registries, host: r.name.Registry, auth: r.auth, logger: d.logger, resolver: d.cfg.resolver, proxy: d.cfg.proxy,
	}
	defer conns.close()
	step := runtime.PullManifest
	defer func() { err = pullError(ctx, r, step, err) }()
	if err := conns.open(); err != nil {
		return runtime.Image{}, err
	}
	target, err := d.resolve(ctx, conns, r)
	if err != nil {
		return runtime.Image{}, err
	}
	d.use.hold(f, r.name.Pinned(target.Digest.String()))
	// The digest keeps a tag that moves meanwhile out of it.
	b := &bringer{d: d, store: d.client.ContentStore(), conns: conns, name: r.name.Pinned(target.Digest.String()), progress: &f.progress}
	known, err := d.assemble(ctx, target, r.matcher, b)
	if err != nil {
		if _, tried := errors.AsType[*triedError](err); !tried {
			err = fmt.Errorf("registry %s: %w", r.name.Registry, fetchError(err))
		}
		return runtime.Image{}, err
	}
	step = runtime.PullUnpack
	f.progress.unpacking()
	if err := d.unpack(ctx, r.name, known); err != nil {
		return runtime.Image{}, err
	}
	d.use.hold(f, known.requested(r).Ref)
	return d.record(ctx, r, target, known, pulledLabel)
}

// pullError says of an error what it was about. What the caller or Close ended is none.
func pullError(ctx context.Context, r request, step runtime.PullStep, err error) error {
	if err == nil || ctx.Err() != nil && context.Cause(ctx) != errPullTimeout {
		return err
	}
	if diskFull(err) && !errors.Is(err, runtime.ErrNoSpace) {
		err = fmt.Errorf("%w: %w", err, runtime.ErrNoSpace)
	}
	if context.Cause(ctx) == errPullTimeout {
		err = fmt.Errorf("%w: %w", errPullTimeout, runtime.ErrRegistryUnavailable)
	}
	said := &runtime.PullError{Ref: r.name.String(), Platform: r.platform, Step: step, Attempts: 1, Err: err}
	if said.Platform == "" {
		said.Platform = platforms.DefaultString()
	}
	if tried, ok := errors.AsType[*triedError](err); ok {
		said.Step, said.Attempts = tried.step, tried.attempts
	}
	return said
}

// triedError is an error of something that was tried several times.
type triedError struct {
	step     runtime.PullStep
	attempts int
	err      error
}

func (e *triedError) Error() string { return e.err.Error() }

func (e *triedError) Unwrap() error { return e.err }

// resolve asks what a name means, unless that is known or the name says it itself.
func (d *Driver) resolve(ctx context.Context, conns *registries, r request) (target ocispec.Descriptor, err error) {
	if !r.refresh {
		record, err := d.client.ImageService().Get(ctx, recordName(r.name))
		if err == nil {
			return record.Target, nil
		}
		if !errdefs.IsNotFound(err) {
			return ocispec.Descriptor{}, err
		}
	}
	attempts, err := d.attempt(ctx, func() (bool, error) {
		return false, conns.ask(ctx, func(p place) error {
			asking, stop := d.documentContext(ctx)
			defer stop()
			_, found, err := p.resolver.Resolve(withBodyLimit(asking, bodyLimit{maxManifest, "manifest", runtime.ErrImageLimit}), recordName(r.name))
			if err != nil {
				return resolveError(inTime(ctx, asking, err))
			}
			if err := checkDocument(found, maxManifest); err != nil {
				return err
			}
			target = found
			return nil
		})
	})
	if ctx.Err() != nil {
		return target, ctx.Err()
	}
	if err != nil {
		return target, &triedError{runtime.PullManifest, attempts, err}
	}
	return target, nil
}

// assemble makes an image's blobs present and tells containerd how they hang together.
func (d *Driver) assemble(ctx context.Context, target ocispec.Descriptor, matcher platforms.MatchComparer, b *bringer) (*knownImage, error) {
	t := &tree{store: b.store, matcher: matcher, bring: b.bring}
	chosen, err := t.choose(ctx, target)
	if err != nil {
		return nil, err
	}
	m, config, err := t.read(ctx, chosen)
	if err != nil {
		return nil, err
	}
	if err := d.cfg.ImageLimits.layers(m.Layers); err != nil {
		return nil, err
	}
	b.progress.expect(m.Layers)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	for _, layer := range m.Layers {
		group.Go(func() error { return b.bring(gctx, layer) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if chosen.Digest != target.Digest {
		if err := b.keep(ctx, target, "m.", chosen); err != nil {
			return nil, err
		}
	}
	if err := b.keep(ctx, chosen, "config", m.Config); err != nil {
		return nil, err
	}
	if err := b.keep(ctx, chosen, "l.", m.Layers...); err != nil {
		return nil, err
	}
	return newKnown(target, chosen, m, config), nil
}

// bringer makes blobs present in the content store.
type bringer struct {
	d        *Driver
	store    content.Store
	conns    *registries // nil while importing, where the archive must have had everything
	name     string      // of the image
	progress *progress
}

// bring fetches a blob that is not there. Two callers for one blob, also of different images, share the transfer.
func (b *bringer) bring(ctx context.Context, desc ocispec.Descriptor) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w: %w", desc.Digest, err, runtime.ErrImageCorrupt)
	}
	release, err := b.d.pulls.claim(ctx, desc.Digest)
	if err != nil {
		return err
	}
	defer release()
	_, err = b.store.Info(ctx, desc.Digest)
	if err == nil {
		if err := b.d.hold(ctx, "content", desc.Digest.String()); err != nil {
			return err
		}
		info, ierr := b.store.Info(ctx, desc.Digest) // it may have been collected before
		if ierr == nil {
			b.progress.add(info.Size)
			b.progress.finished(desc)
			return nil
		}
		err = ierr
	}
	if !errdefs.IsNotFound(err) {
		return err
	}
	if b.conns == nil {
		return fmt.Errorf("%s %s is missing: %w", desc.MediaType, desc.Digest, runtime.ErrImageCorrupt)
	}
	b.progress.transferring()
	if err := b.download(ctx, desc); err != nil {
		return err
	}
	b.progress.finished(desc)
	return nil
}

// download fetches a blob, from where the last download of it was broken off. What has come of a layer stays if it is not
// wrong and the disk is not full.
func (b *bringer) download(ctx context.Context, desc ocispec.Descriptor) error {
	// Only Windows has layers that lie elsewhere, and where an image says that is not for a pull to go.
	desc.URLs = nil
	ref := remotes.MakeRefKey(ctx, desc)
	began := written(ctx, b.store, ref)
	b.progress.add(began)
	have := began
	attempts, err := b.d.attempt(ctx, func() (bool, error) {
		err := b.conns.ask(ctx, func(p place) error { return b.downloadFrom(ctx, p, desc, ref) })
		before := have
		have = written(ctx, b.store, ref)
		return have > before, err
	})
	undo, cancel := undoContext(ctx)
	defer cancel()
	if err == nil {
		if began > 0 {
			return b.d.finishPartial(undo, ref)
		}
		return nil
	}
	step := runtime.PullLayers
	if !images.IsLayerType(desc.MediaType) {
		step = runtime.PullManifest
	}
	if ctx.Err() == nil {
		err = &triedError{step, attempts, fmt.Errorf("%s %s: %w", desc.MediaType, desc.Digest, err)}
	}
	status, serr := b.store.Status(undo, ref)
	if serr != nil || diskFull(err) {
		return errors.Join(err, b.d.throwAway(undo, ref))
	}
	return errors.Join(err, b.d.putAside(undo, status))
}

// downloadFrom fetches a blob from one place. What an earlier download left may be wrong: the machine may have lost power.
func (b *bringer) downloadFrom(ctx context.Context, p place, desc ocispec.Descriptor, ref string) error {
	fetcher, err := p.resolver.Fetcher(ctx, b.name)
	if err != nil {
		return err
	}
	for {
		began := written(ctx, b.store, ref)
		err := b.fetch(ctx, fetcher, desc)
		if err == nil || !wrongContent(err) {
			return fetchError(err)
		}
		undo, cancel := undoContext(ctx)
		err = errors.Join(err, abort(undo, b.store, ref))
		cancel()
		if began == 0 || ctx.Err() != nil {
			return fetchError(err)
		}
		b.progress.add(-began)
	}
}

// fetch downloads the rest of a blob, and gives up when nothing comes for a while.
func (b *bringer) fetch(ctx context.Context, fetcher remotes.Fetcher, desc ocispec.Descriptor) error {
	whole := ctx
	if !images.IsLayerType(desc.MediaType) {
		var stop context.CancelFunc
		whole, stop = b.d.documentContext(ctx)
		defer stop()
	}
	listening, l, stop := listen(whole, b.d.cfg.pullSilence)
	defer stop()
	// What comes may be encoded, which makes what does not compress a little longer.
	limited := withBodyLimit(listening, bodyLimit{desc.Size + desc.Size/8 + 64<<10, "blob", runtime.ErrImageCorrupt})
	err := remotes.Fetch(limited, b.store, countingFetcher{fetcher, b.progress, l}, desc)
	switch {
	case err == nil, errdefs.IsAlreadyExists(err):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(context.Cause(listening), errSilence):
		return fmt.Errorf("nothing came for %v, or too little: %w", l.after, runtime.ErrRegistryUnavailable)
	}
	return inTime(ctx, whole, err)
}

// errDocumentTime ends a request for an index, a manifest or a configuration, and for a token with it.
var errDocumentTime = errors.New("containerd: the registry takes too long")

// documentContext is a context for what is small and has to come as a whole within a time.
func (d *Driver) documentContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d.cfg.documentTime, errDocumentTime)
}

// inTime says of an error that the time of a document was up, if the caller's was not.
func inTime(ctx, document context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(context.Cause(document), errDocumentTime) {
		return fmt.Errorf("%w: %w", errDocumentTime, runtime.ErrRegistryUnavailable)
	}
	return err
}

// keep makes the collector keep children as long as their parent. Unlike containerd's own function it numbers the
// manifests of an index by digest, so that one for another platform that comes later does not displace the first.
func (b *bringer) keep(ctx context.Context, parent ocispec.Descriptor, kind string, children ...ocispec.Descriptor) error {
	if len(children) == 0 {
		return nil
	}
	const prefix = "containerd.io/gc.ref.content."
	labels, fields := map[string]string{}, []string{}
	for i, child := range children {
		key := prefix + kind
		switch kind {
		case "l.":
			key += fmt.Sprint(i)
		case "m.":
			key += child.Digest.Encoded()[:12]
		}
		labels[key] = child.Digest.String()
		fields = append(fields, "labels."+key)
	}
	_, err := b.store.Update(ctx, content.Info{Digest: parent.Digest, Labels: labels}, fields...)
	return err
}

// countingFetcher reports what it reads.
type countingFetcher struct {
	remotes.Fetcher
	progress *progress
	listener *listener
}

func (c countingFetcher) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	c.listener.began()
	rc, err := c.Fetcher.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	counting := countingReader{rc, c.progress, c.listener}
	if seeker, ok := rc.(io.Seeker); ok { // containerd goes on in the middle after an error
		return struct {
			countingReader
			io.Seeker
		}{counting, seeker}, nil
	}
	return counting, nil
}

type countingReader struct {
	io.ReadCloser
	progress *progress
	listener *listener
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.progress.add(int64(n))
	switch {
	case err != nil:
		c.listener.end()
	case n > 0:
		c.listener.heard(n)
	}
	return n, err
}

// record makes the image known under its digest and then under its name. marks are labels that say how it came.
func (d *Driver) record(ctx context.Context, r request, target ocispec.Descriptor, k *knownImage, marks ...string) (runtime.Image, error) {
	img := k.requested(r)
	labels := map[string]string{}
	for _, mark := range marks {
		labels[mark] = r.name.Registry
	}
	pinned, named := target, maps.Clone(labels)
	if ref := r.name.Pinned(target.Digest.String()); img.Ref != ref {
		pinned, labels[indexLabel] = k.manifest, ref
	}
	if err := d.putRecord(ctx, img.Ref, pinned, labels); err != nil {
		return img, err
	}
	if r.name.Digest == "" {
		if err := d.putRecord(ctx, r.name.String(), target, named); err != nil {
			return img, err
		}
	}
	d.pulls.put(r.platform+" "+target.Digest.String(), k)
	return img, nil
}

func (d *Driver) putRecord(ctx context.Context, name string, target ocispec.Descriptor, labels map[string]string) error {
	target.Annotations, target.Platform = nil, nil // of the archive or index it was found in
	record := images.Image{Name: name, Target: target, Labels: map[string]string{ownerLabel: d.cfg.Owner}}
	maps.Copy(record.Labels, labels)
	service := d.client.ImageService()
	_, err := service.Update(ctx, record, "target", "labels")
	if errdefs.IsNotFound(err) {
		_, err = service.Create(ctx, record)
	}
	if err != nil {
		return fmt.Errorf("record image %s: %w", name, err)
	}
	return nil
}

// lease keeps the collector away from what is being made. What nothing refers to when it is released is garbage.
func (d *Driver) lease(ctx context.Context) (context.Context, func(failed bool) error, error) {
	if err := d.sweepTransfers(ctx); err != nil {
		return ctx, nil, err
	}
	service := d.client.LeasesService()
	lease, err := service.Create(ctx, leases.WithRandomID(), leases.WithExpiration(leaseTime), leases.WithLabels(map[string]string{ownerLabel: d.cfg.Owner}))
	if err != nil {
		return ctx, nil, fmt.Errorf("lease: %w", err)
	}
	return leases.WithLease(ctx, lease.ID), func(failed bool) error {
		undo, cancel := undoContext(ctx)
		defer cancel()
		var opts []leases.DeleteOpt
		if failed { // collect now
			opts = append(opts, leases.SynchronousDelete)
		}
		if err := service.Delete(undo, lease, opts...); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("release lease: %w", err)
		}
		return nil
	}, nil
}

// hold adds what is there, or may be, to the lease of ctx. Nothing else refers to what a pull that was killed has left, or to
// the layers of an image that was removed just now, and the collector would take it at any moment.
func (d *Driver) hold(ctx context.Context, kind string, ids ...string) error {
	id, leased := leases.FromContext(ctx)
	if !leased {
		return errors.New("no lease to hold content with")
	}
	for _, r := range ids {
		if err := d.client.LeasesService().AddResource(ctx, leases.Lease{ID: id}, leases.Resource{ID: r, Type: kind}); err != nil {
			return fmt.Errorf("hold %s %s: %w", kind, r, err)
		}
	}
	return nil
}

// sweepTransfers removes what an earlier process of the same owner was transferring when it was killed, but for layers that
// the next pull can go on with. It does so once.
func (d *Driver) sweepTransfers(ctx context.Context) error {
	d.pulls.mu.Lock()
	defer d.pulls.mu.Unlock()
	if d.pulls.swept {
		return nil
	}
	kept, err := d.sweepPartials(ctx)
	if err != nil {
		return err
	}
	service := d.client.LeasesService()
	list, err := service.List(ctx)
	if err != nil {
		return fmt.Errorf("list leases: %w", err)
	}
	for _, lease := range list {
		if lease.Labels[ownerLabel] != d.cfg.Owner || kept[lease.ID] {
			continue
		}
		if err := service.Delete(ctx, lease); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("release lease: %w", err)
		}
	}
	d.pulls.swept = true
	return nil
}

// claim is the right to transfer a blob.
type claim struct {
	free    chan struct{} // holds one token when nobody transfers
	holders int           // that have or want it; guarded by pulls.mu
}

// claim waits until nobody else transfers a blob.
func (p *pulls) claim(ctx context.Context, blob digest.Digest) (release func(), err error) {
	p.mu.Lock()
	c := p.blobs[blob]
	if c == nil {
		c = &claim{free: make(chan struct{}, 1)}
		c.free <- struct{}{}
		if p.blobs == nil {
			p.blobs = map[digest.Digest]*claim{}
		}
		p.blobs[blob] = c
	}
	c.holders++
	p.mu.Unlock()
	done := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.holders--; c.holders == 0 {
			delete(p.blobs, blob)
		}
	}
	select {
	case <-c.free:
		return func() { c.free <- struct{}{}; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}

// claimed reports whether anybody has or wants the right to transfer a blob.
func (p *pulls) claimed(blob digest.Digest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.blobs[blob] != nil
}

// tryClaim claims a blob that nobody has or wants.
func (p *pulls) tryClaim(blob digest.Digest) (release func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blobs[blob] != nil {
		return nil, false
	}
	if p.blobs == nil {
		p.blobs = map[digest.Digest]*claim{}
	}
	c := &claim{free: make(chan struct{}, 1), holders: 1}
	p.blobs[blob] = c
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		c.free <- struct{}{}
		if c.holders--; c.holders == 0 {
			delete(p.blobs, blob)
		}
	}, true
}
