package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/task"
)

// secretOptions returns the values of a log configuration's secretOptions, by option.
func (w *worker) secretOptions(ctx context.Context, c *container) (map[string]string, error) {
	return c.options.unseal(func() (map[string]string, error) {
		options := map[string]string{}
		for _, s := range c.def.LogConfiguration.SecretOptions {
			value, err := w.secret(ctx, s.ValueFrom)
			if err != nil {
				return nil, &startError{task.ErrorResourceInitialization, c.def.Name, err}
			}
			options[s.Name] = value
		}
		return options, nil
	})
}

// openLog opens a container's log driver.
func (w *worker) openLog(ctx context.Context, c *container, info logs.Info) (logs.Writer, error) {
	if sends(c.def) { // the options are the log router's, which has the secret ones
		return w.e.cfg.Logs.Open(ctx, c.def.LogConfiguration.LogDriver, c.def.LogConfiguration.Options, info)
	}
	options, err := w.logOptions(ctx, c)
	if err != nil {
		return nil, err
	}
	secret := c.concealer()
	to, err := w.e.cfg.Logs.Open(ctx, c.def.LogConfiguration.LogDriver, options, info)
	if err != nil || len(secret) == 0 {
		return to, secret.conceal(err)
	}
	return &discreet{to, secret}, nil
}

// concealer has the values of a container's secret options, as far as they are known.
func (c *container) concealer() concealer {
	c.options.mu.Lock()
	defer c.options.mu.Unlock()
	var values concealer
	for _, v := range c.options.value {
		if v != "" {
			values = append(values, v)
		}
	}
	return values
}

// concealer keeps values out of errors.
type concealer []string

// conceal returns err, or one in its place whose text lacks the values. The chain is kept where nothing is concealed.
func (c concealer) conceal(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, v := range c {
		text = strings.ReplaceAll(text, v, "[secret]")
	}
	switch {
	case text == err.Error():
		return err
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return errors.New(text)
}

// discreet is a writer whose errors, which may say where it writes to, do not tell secret options.
type discreet struct {
	to     logs.Writer
	secret concealer
}

// Write implements [logs.Writer].
func (d *discreet) Write(ctx context.Context, r logs.Record) error {
	return d.secret.conceal(d.to.Write(ctx, r))
}

// Flush implements [logs.Writer].
func (d *discreet) Flush(ctx context.Context, all bool) (uint64, error) {
	n, err := d.to.Flush(ctx, all)
	return n, d.secret.conceal(err)
}

// Close implements [logs.Writer].
func (d *discreet) Close() error { return d.secret.conceal(d.to.Close()) }
