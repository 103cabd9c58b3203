package fake

import (
	"context"
	"fmt"
	"slices"

	"github.com/fardel-io/fardel/runtime"
)

// Exec implements [runtime.Execer].
func (d *Driver) Exec(ctx context.Context, id string, spec runtime.ExecSpec) (int, error) {
	if err := d.begin(ctx, "Exec", id); err != nil {
		return 0, err
	}
	p, err := d.startExec(ctx, id, spec)
	if err != nil {
		return 0, err
	}
	defer func() { // the streams are the caller's again
		settle(p.Stdout)
		settle(p.Stderr)
	}()
	select {
	case <-p.ended:
	case <-ctx.Done():
		d.machine.kill(p)
		return 0, fmt.Errorf("execute %q in container %s: %w", spec.Args[0], id, ctx.Err())
	case <-d.closed:
		d.machine.kill(p)
		return 0, fmt.Errorf("execute %q in container %s: %w", spec.Args[0], id, runtime.ErrClosed)
	}
	return p.exit.Code, d.done("Exec", id, nil)
}

func (m *Machine) kill(p *Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.signal(SIGKILL)
}

func (d *Driver) startExec(ctx context.Context, id string, spec runtime.ExecSpec) (*Process, error) {
	m := d.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.find(id)
	switch {
	case err != nil:
		return nil, err
	case len(spec.Args) == 0 || spec.Args[0] == "":
		return nil, fmt.Errorf("execute in container %s: no command: %w", id, runtime.ErrInvalid)
	case c.state != runtime.StateRunning:
		return nil, fmt.Errorf("execute %q in container %s: %w", spec.Args[0], id, runtime.ErrNotRunning)
	}
	program := c.image.program(spec.Args[0], c.image.Exec)
	if program == nil {
		return nil, fmt.Errorf("execute in container %s: no %q in image %s: %w", id, spec.Args[0], c.image.config.Name, runtime.ErrCommandNotFound)
	}
	env, err := runtime.ContainerSpec{ID: id, Env: spec.Env, Terminal: spec.Terminal}.Environment(runtime.Image{Env: c.env}, "")
	if err != nil {
		return nil, err
	}
	pctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := c.newProcess(m, cancel)
	p.Args, p.Env = slices.Clone(spec.Args), env
	p.Dir, p.User = firstOf(spec.WorkingDir, p.Dir), firstOf(spec.User, p.User)
	if err := c.image.checkUser(p.User); err != nil {
		cancel()
		return nil, fmt.Errorf("execute in container %s: %w", id, err)
	}
	p.attach(spec)
	c.executed[p] = true
	m.run(pctx, p, program)
	if spec.Terminal && spec.Resize != nil {
		m.follow(p, spec.Resize)
	}
	return p, nil
}

// attach connects a process with the streams of an Exec.
func (p *Process) attach(spec runtime.ExecSpec) {
	if spec.Stdin != nil {
		p.Stdin = spec.Stdin
	}
	if spec.Stdout != nil {
		p.Stdout = p.stream(spec.Stdout)
	}
	if spec.Stderr != nil {
		p.Stderr = p.stream(spec.Stderr)
	}
	if spec.Terminal {
		p.Stderr, p.terminal, p.size = p.Stdout, true, runtime.WindowSize{Width: 80, Height: 24}
	}
}
