package sts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestProviderRefreshes(t *testing.T) {
	clock := newClock()
	var calls int
	var failing error
	valid := true
	p := must(NewProvider(ProviderConfig{
		Refresh: func(context.Context) (Credentials, error) {
			if failing != nil {
				return Credentials{}, failing
			}
			calls++
			return Credentials{AccessKeyID: fmt.Sprint(calls), IssuedAt: clock.Now(), Expiration: clock.Now().Add(2 * time.Hour)}, nil
		},
		MinRemaining: 20 * time.Minute, Valid: func(Credentials) bool { return valid }, Now: clock.Now,
	}))(t)
	refused := errors.New("refused")
	for _, step := range []struct {
		name    string
		after   time.Duration
		failing error
		invalid bool
		want    string
	}{
		{"first", 0, nil, false, "1"},
		{"kept", 99 * time.Minute, nil, false, "1"},
		{"near the end", 2 * time.Minute, nil, false, "2"},
		{"revoked", time.Minute, nil, true, "3"},
		{"refused near the end", 110 * time.Minute, refused, false, "3"},
		{"refused at the end", 11 * time.Minute, refused, false, ""},
		{"let in again", 0, nil, false, "4"},
		{"refused and revoked", 0, refused, true, ""},
	} {
		clock.add(step.after)
		failing, valid = step.failing, !step.invalid
		c, err := p.Retrieve(t.Context())
		if c.AccessKeyID != step.want || (err == nil) != (step.want != "") || err != nil && !errors.Is(err, refused) {
			t.Errorf("%s: got %q, %v, want %q", step.name, c.AccessKeyID, err, step.want)
		}
	}
}

// TestProviderShares: one refresh serves all who ask meanwhile, and nobody waits longer than he wants to.
func TestProviderShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		p := must(NewProvider(ProviderConfig{Refresh: func(context.Context) (Credentials, error) {
			<-time.After(time.Second)
			calls.Add(1)
			return Credentials{IssuedAt: time.Now(), Expiration: time.Now().Add(time.Hour)}, nil
		}}))(t)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { must(p.Retrieve(t.Context()))(t) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Retrieve(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		wg.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d refreshes, want 1", n)
		}
	})
}

func TestTaskProvider(t *testing.T) {
	f := newFixture(t)
	if _, err := NewTaskProvider(f.Service, time.Minute); err == nil {
		t.Error("a minute is taken")
	}
	p := must(NewTaskProvider(f.Service, 0))(t)
	get := func(task string) string {
		t.Helper()
		return must(p.Retrieve(t.Context(), f.task.ARN, task))(t).AccessKeyID
	}
	first := get(taskARN)
	if get(taskARN) != first {
		t.Error("the second container of the task has other credentials")
	}
	if get(taskARN+"x") == first {
		t.Error("another task has the same credentials")
	}
	f.clock.add(5*time.Hour + 29*time.Minute)
	if get(taskARN) != first {
		t.Error("renewed too early")
	}
	f.clock.add(2 * time.Minute)
	second := get(taskARN)
	if second == first {
		t.Error("not renewed before the end")
	}
	wantError(t, f.RevokeSession("task", "0123456789abcdef0123456789abcdef"), "")
	if get(taskARN) == second {
		t.Error("revoked credentials are given")
	}
	var role *TaskRoleError
	if _, err := p.Retrieve(t.Context(), f.app.ARN, taskARN); !errors.As(err, &role) {
		t.Errorf("got %v", err)
	}
	for i := range 1000 {
		f.clock.add(time.Hour)
		get(fmt.Sprintf("%sx%d", taskARN[:80], i))
	}
	if n := len(p.tasks); n > 2*fewTasks {
		t.Errorf("%d tasks are kept", n)
	}
}

// TestConcurrent: everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	f := newFixture(t)
	p := must(NewTaskProvider(f.Service, 0))(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 50 {
				c, err := p.Retrieve(t.Context(), f.task.ARN, fmt.Sprintf("%s%d", taskARN[:80], i))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()); err != nil && !errors.Is(err, ErrRevoked) {
					t.Error(err)
				}
				if err := f.TagRole("task", Tag{"n", fmt.Sprint(j)}); err != nil {
					t.Error(err)
				}
				if j%10 == 0 {
					if err := f.RevokeSessions("task", time.Time{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
