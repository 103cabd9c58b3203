package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// The ECS agent's ECS_IMAGE_MINIMUM_CLEANUP_AGE and ECS_IMAGE_CLEANUP_INTERVAL.
const (
	defaultImageAge = time.Hour
	defaultCollect  = 30 * time.Minute
)

// ImageCache says how much images may take that were pulled. The zero value keeps them all.
type ImageCache struct {
	// MaxBytes is what they may take on disk together, compressed and unpacked; what several share counts once. When it is
	// more, those go that were not used for longest. What was imported, is in use or belongs to a task that has not
	// stopped stays, so it can be more for a while. 0 is no limit.
	MaxBytes int64

	// MinAge is how long an image must not have been used before it can go, as with ECS_IMAGE_MINIMUM_CLEANUP_AGE. 0 is
	// one hour, as there; less than 0 is at once.
	MinAge time.Duration

	// Interval is how often the cache is looked at, as with ECS_IMAGE_CLEANUP_INTERVAL. 0 is 30 minutes, as there. It is
	// also looked at after each pull, and while it is too full after each task.
	Interval time.Duration
}

func (c ImageCache) check() error {
	if c.MaxBytes < 0 || c.Interval < 0 {
		return errors.New("MaxBytes and Interval must not be less than 0")
	}
	return nil
}

func (c ImageCache) limit() runtime.ImageLimit {
	limit := runtime.ImageLimit{MaxBytes: c.MaxBytes, MinAge: c.MinAge}
	switch {
	case c.MinAge == 0:
		limit.MinAge = defaultImageAge
	case c.MinAge < 0:
		limit.MinAge = 0
	}
	return limit
}

// holdImages keeps the images of a task from being collected for as long as it has not stopped: what its definition
// names, and what that meant when an earlier process pulled it.
func (w *worker) holdImages() {
	keeper, ok := w.e.cfg.Driver.(runtime.ImageCollector)
	if !ok || w.rec.LastStatus >= task.Stopped {
		return
	}
	for i, c := range w.containers {
		keeper.HoldImages(w.holder, c.def.Image)
		name, err := runtime.ParseImageName(c.def.Image)
		if digest := w.rec.Containers[i].ImageDigest; err == nil && digest != "" {
			keeper.HoldImages(w.holder, name.Pinned(digest))
		}
	}
}

func (w *worker) releaseImages() {
	if keeper, ok := w.e.cfg.Driver.(runtime.ImageCollector); ok {
		keeper.ReleaseImages(w.holder)
	}
}

// cacheGrew has the image cache looked at.
func (e *Engine) cacheGrew() {
	select {
	case e.pulled <- struct{}{}:
	default:
	}
}

// keepCache keeps the image cache within its bounds until ctx ends. It begins when the tasks of the last run are known,
// whose images must stay.
func (e *Engine) keepCache(ctx context.Context) {
	collector, ok := e.cfg.Driver.(runtime.ImageCollector)
	if !ok || e.cfg.ImageCache.MaxBytes == 0 {
		return
	}
	interval := e.cfg.ImageCache.Interval
	if interval == 0 {
		interval = defaultCollect
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-e.pulled:
		}
		e.mu.Lock()
		known := e.swept
		e.mu.Unlock()
		if !known {
			continue // Sweep has it looked at again
		}
		if err := e.collectImages(ctx, collector); err != nil && ctx.Err() == nil && !closed(err) {
			e.log.Error("image cache is looked at again later", "error", err)
		}
	}
}

func (e *Engine) collectImages(ctx context.Context, collector runtime.ImageCollector) error {
	done, err := collector.CollectImages(ctx, e.cfg.ImageCache.limit())
	if err != nil {
		return err
	}
	most := e.cfg.ImageCache.MaxBytes
	e.overfull.Store(done.Bytes > most)
	if done.Bytes > most {
		e.log.Warn(fmt.Sprintf("images take %d bytes of %d: the rest is in use or was used just now", done.Bytes, most))
	}
	return nil
}
