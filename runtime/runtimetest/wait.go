package runtimetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fardel-io/fardel/runtime"
)

var waitChecks = []namedCheck{
	{"WaitBeforeStart", waitBeforeStart},
	{"WaitMany", waitMany},
	{"WaitCancelled", waitCancelled},
	{"WaitRemoved", waitRemoved},
}

func waitBeforeStart(c *check) {
	s := c.sandbox()
	spec := c.spec(s, "exit 4")
	c.create(spec)
	done := behind(func() error { return expectExit(c.ctx, c.Driver, spec.ID, 4) })
	c.ok("Start", c.Driver.Start(c.ctx, spec.ID))
	c.ok("Wait", <-done)
}

func waitMany(c *check) {
	s := c.sandbox()
	spec := c.start(c.spec(s, "catch USR1 6", "out up", "hang"))
	c.awaitLog(spec.Log, "up")
	exits := make([]runtime.Exit, 16)
	done := behind(func() error {
		return errors.Join(together(len(exits), func(i int) (err error) {
			exits[i], err = c.Driver.Wait(c.ctx, spec.ID)
			return err
		})...)
	})
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGUSR1"))
	c.ok("Wait", <-done)
	for i, exit := range exits {
		if exit.Code != 6 || exit != exits[0] {
			c.t.Errorf("waiter %d: got %+v, the first %+v", i, exit, exits[0])
		}
	}
}

// waitCancelled wants that one waiter that gives up disturbs neither the container nor another waiter.
func waitCancelled(c *check) {
	s := c.sandbox()
	spec := c.start(c.spec(s, "catch USR1 6", "out up", "hang"))
	c.awaitLog(spec.Log, "up")
	ctx, cancel := context.WithCancel(c.ctx)
	gaveUp := behind(func() error { _, err := c.Driver.Wait(ctx, spec.ID); return err })
	patient := behind(func() error { return expectExit(c.ctx, c.Driver, spec.ID, 6) })
	cancel()
	c.want("Wait, cancelled", <-gaveUp, context.Canceled)
	if got, _ := c.status(spec.ID); got.State != runtime.StateRunning {
		c.t.Errorf("after a cancelled Wait the container is %s", got.State)
	}
	c.ok("Kill", c.Driver.Kill(c.ctx, spec.ID, "SIGUSR1"))
	c.ok("Wait of the other", <-patient)
}

// waitRemoved wants that a waiter learns of a removal: from the end that it brought, or as ErrNotFound.
func waitRemoved(c *check) {
	s := c.sandbox()
	running := c.start(c.spec(s, "hang"))
	created := c.spec(s, "hang")
	c.create(created)
	for _, spec := range []runtime.ContainerSpec{running, created} {
		done := behind(func() error {
			exit, err := c.Driver.Wait(c.ctx, spec.ID)
			if err == nil && exit.Code != 137 {
				return fmt.Errorf("got %+v, want code 137", exit)
			}
			if errors.Is(err, runtime.ErrNotFound) {
				return nil
			}
			return err
		})
		c.ok("RemoveContainer", c.Driver.RemoveContainer(c.ctx, spec.ID))
		c.ok("Wait of a removed container", <-done)
	}
}
