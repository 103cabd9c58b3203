package scheduler

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Serve takes over the tasks of the last run and then does the cluster's work until ctx ends, when it returns nil. The
// tasks go on. It can be called once. [Cluster.Ready] is closed when verbs are served.
func (c *Cluster) Serve(ctx context.Context) error {
	c.mu.Lock()
	if c.serving {
		c.mu.Unlock()
		return errors.New("scheduler: Serve was called before")
	}
	c.serving = true
	c.mu.Unlock()
	return c.serve(ctx)
}

func (c *core) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer close(c.done)
	defer cancel()
	watch, err := c.recover(ctx)
	if err != nil {
		c.fail(err)
		return err
	}
	defer watch.Close()
	loops := []func(context.Context) error{
		c.engine.Run,
		func(ctx context.Context) error { return c.follow(ctx, watch) },
		c.expireNowAndThen,
	}
	var wg sync.WaitGroup
	for _, loop := range loops {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := loop(ctx); err != nil {
				c.fail(err)
				cancel() // one loop without the others would leave tasks unattended
			}
		}()
	}
	close(c.ready)
	wg.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail remembers why the cluster cannot go on.
func (c *core) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, err)
}

// serveInBackground is Serve until Close.
func (c *Cluster) serveInBackground(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.serving = true
	go func() { _ = c.serve(ctx) }() // its error is kept in c.err
}

// expireNowAndThen forgets tasks that have been stopped for long.
func (c *core) expireNowAndThen(ctx context.Context) error {
	every := time.NewTicker(max(c.cfg.Retention/10, time.Second))
	defer every.Stop()
	for {
		if err := c.expire(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Error("stopped tasks cannot be forgotten, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}
