package runtimetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// together calls f n times at once and returns the errors when all have returned.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = f(i) })
	}
	group.Wait()
	return errs
}

// behind calls f in a goroutine and returns where its error will be.
func behind(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// life takes a sandbox and two containers, one that ends with 3 and one that ends with 4 on SIGTERM, from their creation
// to their removal.
func (c *check) life(s runtime.SandboxSpec, short, long runtime.ContainerSpec) error {
	if err := c.Driver.CreateSandbox(c.ctx, s); err != nil {
		return err
	}
	for _, spec := range []runtime.ContainerSpec{long, short} {
		if err := c.Driver.CreateContainer(c.ctx, spec); err != nil {
			return err
		}
		if err := c.Driver.Start(c.ctx, spec.ID); err != nil {
			return err
		}
	}
	if err := expectExit(c.ctx, c.Driver, short.ID, 3); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if log, err := c.readLog(long.Log); err == nil && strings.Contains(log, "up") {
			break
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return fmt.Errorf("container %s did not come up: %w", long.ID, c.ctx.Err())
		}
	}
	if err := c.Driver.Kill(c.ctx, long.ID, "SIGTERM"); err != nil {
		return err
	}
	if err := expectExit(c.ctx, c.Driver, long.ID, 4); err != nil {
		return err
	}
	for _, spec := range []runtime.ContainerSpec{long, short} {
		if err := c.Driver.RemoveContainer(c.ctx, spec.ID); err != nil {
			return err
		}
	}
	return c.Driver.RemoveSandbox(c.ctx, s.ID)
}

func expectExit(ctx context.Context, d runtime.Driver, id string, want int) error {
	exit, err := d.Wait(ctx, id)
	if err != nil {
		return err
	}
	if exit.Code != want {
		return fmt.Errorf("container %s: got %+v, want code %d", id, exit, want)
	}
	return nil
}
