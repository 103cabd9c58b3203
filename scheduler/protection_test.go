package scheduler_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fardel-io/fardel/scheduler"
)

func TestTaskProtection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.open()
		defer w.end()
		run := mustRun(t, c, define("app serve"), scheduler.RunOptions{Group: "service:web"})
		alone := mustRun(t, c, define("app serve"), scheduler.RunOptions{})
		is := func(c *scheduler.Cluster, enabled bool, left time.Duration) {
			t.Helper()
			got, err := c.TaskProtection(t.Context(), run.ARN())
			if err != nil || got.Enabled != enabled || got.TaskARN != run.ARN() || (enabled && time.Until(got.ExpirationDate) != left) {
				t.Errorf("%+v, %v; want enabled %t for %v", got, err, enabled, left)
			}
		}
		set := func(enabled bool, expires time.Duration) error {
			_, err := c.SetTaskProtection(t.Context(), run.ID(), enabled, expires)
			return err
		}
		is(c, false, 0)
		if err := set(true, 0); err != nil {
			t.Error(err)
		}
		is(c, true, 2*time.Hour)
		if err := set(true, 10*time.Minute); err != nil {
			t.Error(err)
		}
		if _, err := run.WaitRunning(t.Context()); err != nil { // the engine's records leave it alone
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		is(c, true, 9*time.Minute)
		_ = c.Close()
		c = w.open()
		is(c, true, 9*time.Minute)
		<-time.After(9 * time.Minute)
		is(c, false, 0)
		if err := errors.Join(set(true, 48*time.Hour), set(false, 0)); err != nil {
			t.Error(err)
		}
		is(c, false, 0)
		for _, bad := range []time.Duration{time.Second, 90 * time.Second, 48*time.Hour + time.Minute, -time.Minute} {
			if err := set(true, bad); !errors.Is(err, scheduler.ErrInvalid) {
				t.Errorf("for %v: %v, want ErrInvalid", bad, err)
			}
		}
		var failure *scheduler.ProtectionFailure
		if _, err := c.TaskProtection(t.Context(), alone.ID()); !errors.As(err, &failure) || failure.Reason != "TASK_NOT_VALID" {
			t.Errorf("a task of no service: %v", err)
		}
		if _, err := c.SetTaskProtection(t.Context(), alone.ID(), true, 0); !errors.As(err, &failure) {
			t.Errorf("a task of no service: %v", err)
		}
		if _, err := c.TaskProtection(t.Context(), "00000000000000000000000000000000"); !errors.Is(err, scheduler.ErrNotFound) {
			t.Errorf("no task: %v", err)
		}
		for _, run := range []string{run.ID(), alone.ID()} {
			if _, err := c.Stop(t.Context(), run, ""); err != nil {
				t.Fatal(err)
			}
			stopped, err := c.Lookup(t.Context(), run)
			if err != nil {
				t.Fatal(err)
			}
			mustWait(t, stopped)
		}
		if err := set(true, 0); !errors.As(err, &failure) {
			t.Errorf("a task that has stopped: %v", err)
		}
	})
}
