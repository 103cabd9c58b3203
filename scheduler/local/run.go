package local

import (
	"context"
	"log/slog"
)

// start runs work until its end is called.
func start(work func(context.Context) error, name string, log *slog.Logger) *background {
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		if err := work(ctx); err != nil {
			log.Error(name+" ended", "error", err)
		}
	}()
	return b
}
