package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// tail is how long the processes of a launch may go on after it counts as over.
const tail = 10 * time.Second

// quiet waits until no process has come or gone for a while, or ctx ends, and returns how many there are.
func quiet(ctx context.Context) int {
	const while = 10
	last := pids()
	for same := 0; same < while && pause(ctx, 25*time.Millisecond) == nil; same++ {
		if now := pids(); !slices.Equal(now, last) {
			last, same = now, 0
		}
	}
	return len(last)
}

// settle waits until a launch has left no process, so that it does not take time from the next one. expected is how many
// processes there were before it.
func settle(ctx context.Context, expected int) error {
	for began := time.Now(); len(pids()) > expected; {
		if time.Since(began) > tail {
			return fmt.Errorf("%d processes more than before the launch, %v after it: %v", len(pids())-expected, tail, others())
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return pause(ctx, 25*time.Millisecond) // for what the kernel releases after the process
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// entrant is a contestant and what was measured of it.
type entrant struct {
	name string // as -only knows it
	contestant
	samples []series // for each row
	failed  error
}

// race lets the contestants launch round by round. In each round another one begins, so that none always follows the
// same other. One that fails is out. The first round warms up and does not count. The race ends early with ctx.
func race(ctx context.Context, entrants []*entrant, n int, say func(string, ...any)) {
	expected := quiet(ctx)
	for round := range n + 1 {
		if round%max(1, n/4) == 0 {
			say("round %d of %d", round, n)
		}
		for i := range entrants {
			e := entrants[(i+round)%len(entrants)]
			if e.failed != nil {
				continue
			}
			took, err := e.launchOnce(ctx, expected)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				say("%s is out: %v", e.name, err)
				e.failed = err
				expected = quiet(ctx)
				continue
			}
			if round > 0 {
				for i, d := range took {
					e.samples[i] = append(e.samples[i], d)
				}
			}
		}
	}
}

func (e *entrant) launchOnce(ctx context.Context, expected int) (series, error) {
	once, cancel := context.WithTimeout(ctx, oneLaunch)
	defer cancel()
	took, err := e.launch(once)
	if err != nil {
		return nil, err
	}
	return took, settle(ctx, expected)
}
