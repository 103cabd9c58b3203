package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
)

// parentContext ends when the process that made the namespaces closes its end of the pipe, or is no more.
func parentContext() context.Context {
	const pipe, lock = 3, 4
	syscall.CloseOnExec(pipe)
	syscall.CloseOnExec(lock)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(pipe, "parent"))
		cancel()
	}()
	return ctx
}

// inside measures, in the namespaces of a run, and prints the report. When ctx ends it releases everything and prints
// none; that is no error.
func inside(ctx context.Context, o options, out io.Writer) error {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, "… "+format+"\n", args...) }
	w, err := newWorkshop(o.inside)
	if err != nil {
		return err
	}
	r := &report{Rounds: o.n, Machine: machine(ctx)}
	var errs []error
	if o.wants("scale") { // first, while there are no daemons and this process is small
		r.Scale, err = measureScale(ctx, w, o.n, say)
		errs = append(errs, err)
	}
	if ctx.Err() == nil && (o.wants("burst") || o.wants("idle")) {
		errs = append(errs, r.measureCrowds(ctx, w, o, say))
	}
	if ctx.Err() == nil {
		errs = append(errs, r.launches(ctx, w, o, say))
	}
	if ctx.Err() == nil {
		errs = append(errs, r.print(out, o.json))
	}
	return errors.Join(errs...)
}

// launches fills in the first two tables.
func (r *report) launches(ctx context.Context, w *workshop, o options, say func(string, ...any)) error {
	var entrants []*entrant
	var errs []error
	for _, name := range parts {
		open := openers[name]
		if open == nil || !o.wants(name) {
			continue
		}
		say("prepare %s", name)
		c, err := open(ctx, w)
		if missing := new(missingError); errors.As(err, &missing) {
			r.LeftOut = append(r.LeftOut, leftOut{name, err.Error()})
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			r.LeftOut = append(r.LeftOut, leftOut{name, err.Error()})
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		entrants = append(entrants, &entrant{name: name, contestant: c, samples: make([]series, len(c.rows()))})
	}
	if len(entrants) > 0 {
		race(ctx, entrants, o.n, say)
	}
	for _, e := range slices.Backward(entrants) {
		if err := e.close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
		}
	}
	for _, e := range entrants {
		r.add(e)
		if e.failed != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.name, e.failed))
		}
	}
	return errors.Join(errs...)
}
