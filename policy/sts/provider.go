package sts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ProviderConfig says what a [Provider] gives.
type ProviderConfig struct {
	// Refresh gets new credentials. It is called by one at a time; required.
	Refresh func(ctx context.Context) (Credentials, error)

	// MinRemaining is how long credentials are good for at least when they are given; 0 is 30 minutes. Where Refresh
	// gets credentials that are good for less than twice as long, it is half of what they are good for. The AWS CLI
	// wants new ones from 15 minutes before the end on, so less than that has it ask again and again.
	MinRemaining time.Duration

	// Valid reports whether credentials still count, apart from their expiration. Nil is that they do.
	Valid func(c Credentials) bool

	Now func() time.Time // nil is time.Now
}

// DefaultMinRemaining is the default of ProviderConfig.MinRemaining.
const DefaultMinRemaining = 30 * time.Minute

// Provider gives credentials that are good for a while, and gets new ones when those it has are not. It is safe for
// concurrent use: those who ask during a refresh wait for it and share what it gets.
type Provider struct {
	cfg  ProviderConfig
	turn chan struct{} // holds an element while somebody refreshes, or reads current
	have *Credentials  // belongs to the holder of the turn
}

// NewProvider returns a provider that has no credentials yet.
func NewProvider(cfg ProviderConfig) (*Provider, error) {
	if cfg.Refresh == nil {
		return nil, errors.New("sts: ProviderConfig.Refresh is required")
	}
	if cfg.MinRemaining < 0 {
		return nil, fmt.Errorf("sts: ProviderConfig.MinRemaining %v must not be negative", cfg.MinRemaining)
	}
	if cfg.MinRemaining == 0 {
		cfg.MinRemaining = DefaultMinRemaining
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Provider{cfg: cfg, turn: make(chan struct{}, 1)}, nil
}

// Retrieve returns credentials with at least MinRemaining left. When no new ones can be had, those that are there are
// given as long as they are good, and after that the error of Refresh. It waits no longer than ctx.
func (p *Provider) Retrieve(ctx context.Context) (Credentials, error) {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	}
	defer func() { <-p.turn }()
	if p.have != nil && p.fresh(p.have) {
		return *p.have, nil
	}
	c, err := p.cfg.Refresh(ctx)
	if err == nil {
		p.have = &c
		return c, nil
	}
	if p.have != nil && p.valid(p.have) && p.have.Remaining(p.cfg.Now()) > 0 {
		return *p.have, nil
	}
	return Credentials{}, err
}

func (p *Provider) valid(c *Credentials) bool { return p.cfg.Valid == nil || p.cfg.Valid(*c) }

// fresh reports whether credentials need no refresh.
func (p *Provider) fresh(c *Credentials) bool {
	enough := min(p.cfg.MinRemaining, c.Expiration.Sub(c.IssuedAt)/2)
	return c.Remaining(p.cfg.Now()) >= enough && p.valid(c)
}

// TaskProvider gives tasks the credentials of their roles, fresh ones when those they have near their end or were
// revoked. It is safe for concurrent use. Tasks need not be taken off it: it forgets those that have not asked for a quarter
// of an hour, and gives them others when they come again.
type TaskProvider struct {
	service  *Service
	duration time.Duration

	mu      sync.Mutex // guards what follows
	tasks   map[taskKey]*taskEntry
	sweepAt int // how many tasks it takes to look for those that are gone
}

type taskKey struct{ taskARN, roleARN string }

type taskEntry struct {
	provider *Provider
	asked    time.Time // last
}

// fewTasks are not worth a sweep.
const fewTasks = 64

// idleAfter is when a task is forgotten. An SDK asks at the start of a program and then before credentials end, hours
// later; issuing new ones takes less than finding out whether a task is still there.
const idleAfter = 15 * time.Minute

// NewTaskProvider returns a provider for the tasks of a service. duration is how long credentials are good for, 15 minutes
// to 12 hours; 0 is [TaskDuration].
func NewTaskProvider(s *Service, duration time.Duration) (*TaskProvider, error) {
	if duration == 0 {
		duration = TaskDuration
	}
	if duration < minDuration || duration > maxDuration || duration%time.Second != 0 {
		return nil, fmt.Errorf("sts: credentials of tasks cannot be good for %v: want %v to %v in whole seconds", duration, minDuration, maxDuration)
	}
	return &TaskProvider{service: s, duration: duration, tasks: map[taskKey]*taskEntry{}, sweepAt: fewTasks}, nil
}

// Retrieve returns credentials of a role for a task. All containers of a task get the same ones. Its errors are those of
// [Service.TaskCredentials].
func (t *TaskProvider) Retrieve(ctx context.Context, roleARN, taskARN string) (Credentials, error) {
	p, err := t.provider(taskKey{taskARN, roleARN})
	if err != nil {
		return Credentials{}, err
	}
	return p.Retrieve(ctx)
}

func (t *TaskProvider) provider(key taskKey) (*Provider, error) {
	now := t.service.cfg.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.tasks[key]
	if e == nil {
		if len(t.tasks) >= t.sweepAt {
			t.sweep(now)
		}
		p, err := NewProvider(ProviderConfig{
			Refresh: func(context.Context) (Credentials, error) {
				return t.service.TaskCredentials(key.roleARN, key.taskARN, t.duration)
			},
			Valid: t.service.counts, Now: t.service.cfg.Now,
		})
		if err != nil {
			return nil, err
		}
		e = &taskEntry{provider: p}
		t.tasks[key] = e
	}
	e.asked = now
	return e.provider, nil
}

// sweep forgets tasks that have not asked for long. The next one waits for twice as many as are left, so that the cost
// of a request does not grow with their number.
func (t *TaskProvider) sweep(now time.Time) {
	for key, e := range t.tasks {
		if now.Sub(e.asked) > idleAfter {
			delete(t.tasks, key)
		}
	}
	t.sweepAt = max(fewTasks, 2*len(t.tasks))
}
