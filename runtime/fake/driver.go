package fake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// Driver implements [runtime.Driver] and all of its optional interfaces.
type Driver struct {
	cfg     Config
	machine *Machine
	closed  chan struct{}
	once    sync.Once
}

var (
	_ runtime.Driver          = (*Driver)(nil)
	_ runtime.Execer          = (*Driver)(nil)
	_ runtime.Stater          = (*Driver)(nil)
	_ runtime.Restarter       = (*Driver)(nil)
	_ runtime.StorageReporter = (*Driver)(nil)
	_ runtime.LogReader       = (*Driver)(nil)
	_ runtime.LogTailer       = (*Driver)(nil)
	_ runtime.ImageStore      = (*Driver)(nil)

	_ runtime.ImageCollector = (*Driver)(nil)
)

// New returns a driver. It starts nothing; what containers start is ended by [Machine.Close]. An image whose name cannot
// be parsed is never found.
func New(cfg Config) *Driver {
	m := cfg.Machine
	if m == nil {
		m = &Machine{}
	}
	d := &Driver{cfg: cfg, machine: m, closed: make(chan struct{})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.init()
	for ref, img := range cfg.Images {
		if name, err := runtime.ParseImageName(ref); err == nil {
			m.registry[name.String()] = newImage(name, img)
		}
	}
	m.drivers = append(m.drivers, d)
	return d
}

// Machine returns what the driver runs on.
func (d *Driver) Machine() *Machine { return d.machine }

// Close detaches the driver. Its containers go on.
func (d *Driver) Close() error {
	d.machine.mu.Lock()
	d.machine.drivers = slices.DeleteFunc(d.machine.drivers, func(other *Driver) bool { return other == d })
	delete(d.machine.holds, d)
	d.machine.mu.Unlock()
	d.detach()
	return nil
}

func (d *Driver) detach() { d.once.Do(func() { close(d.closed) }) }

// AddImage makes Pull find an image, as if someone had pushed it to its registry. It replaces one of the same name.
func (d *Driver) AddImage(ref string, img Image) error {
	name, err := runtime.ParseImageName(ref)
	if err != nil {
		return err
	}
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	d.machine.registry[name.String()] = newImage(name, img)
	return nil
}

// do is one method: with its failures and delays, and f in between with the machine locked.
func (d *Driver) do(ctx context.Context, method, id string, f func(m *Machine) error) error {
	if err := d.begin(ctx, method, id); err != nil {
		return err
	}
	d.machine.mu.Lock()
	err := f(d.machine)
	d.machine.mu.Unlock()
	return d.done(method, id, err)
}

func (d *Driver) begin(ctx context.Context, method, id string) error {
	if d.cfg.Delay != nil {
		if delay := d.cfg.Delay(method, id); delay > 0 {
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			case <-d.closed:
			}
		}
	}
	select {
	case <-d.closed:
		return fmt.Errorf("%s %s: %w", method, id, runtime.ErrClosed)
	default:
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", method, id, err)
	}
	if d.cfg.Fail != nil {
		return d.cfg.Fail(method, id)
	}
	return nil
}

func (d *Driver) done(method, id string, err error) error {
	if err == nil && d.cfg.FailAfter != nil {
		return d.cfg.FailAfter(method, id)
	}
	return err
}

// CreateSandbox implements [runtime.Driver].
func (d *Driver) CreateSandbox(ctx context.Context, spec runtime.SandboxSpec) error {
	return d.do(ctx, "CreateSandbox", spec.ID, func(m *Machine) error {
		if err := checkID("sandbox", spec.ID); err != nil {
			return err
		}
		if old := m.sandboxes[spec.ID]; old != nil {
			if old.identity != identity(spec) {
				return fmt.Errorf("sandbox %s: %w", spec.ID, runtime.ErrExists)
			}
			return nil
		}
		m.sandboxes[spec.ID] = &sandbox{spec: spec, identity: identity(spec)}
		return nil
	})
}

// CreateContainer implements [runtime.Driver].
func (d *Driver) CreateContainer(ctx context.Context, spec runtime.ContainerSpec) error {
	return d.do(ctx, "CreateContainer", spec.ID, func(m *Machine) error {
		if err := checkID("container", spec.ID); err != nil {
			return err
		}
		if old := m.containers[spec.ID]; old != nil {
			if old.identity != identity(spec) {
				return fmt.Errorf("container %s: %w", spec.ID, runtime.ErrExists)
			}
			return nil
		}
		c, err := m.newContainer(spec)
		if err != nil {
			return err
		}
		m.containers[spec.ID] = c
		if spec.Log != "" && m.logs[spec.Log] == nil {
			m.logs[spec.Log] = &log{room: make(chan struct{})}
		}
		return nil
	})
}

// newContainer checks a spec and makes a container that is not in the machine yet. The caller holds the lock.
func (m *Machine) newContainer(spec runtime.ContainerSpec) (*container, error) {
	s := m.sandboxes[spec.SandboxID]
	if s == nil {
		return nil, fmt.Errorf("container %s: sandbox %q: %w", spec.ID, spec.SandboxID, runtime.ErrNotFound)
	}
	img := m.present(spec.Image)
	if img == nil {
		return nil, fmt.Errorf("container %s: image %s is not on this machine; pull it first: %w", spec.ID, spec.Image, runtime.ErrImageNotFound)
	}
	args, err := spec.CommandLine(img.config)
	if err != nil {
		return nil, err
	}
	env, err := spec.Environment(img.config, spec.UTSHostname(s.spec))
	if err != nil {
		return nil, err
	}
	if err := spec.CheckMounts(); err != nil {
		return nil, err
	}
	stop, err := spec.StopSignalNumber(img.config)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.ID, err)
	}
	if err := img.checkUser(firstOf(spec.User, img.config.User)); err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.ID, err)
	}
	program := img.program(args[0], img.Main)
	if program == nil {
		return nil, fmt.Errorf("container %s: no %q in image %s: %w", spec.ID, args[0], img.config.Name, runtime.ErrCommandNotFound)
	}
	s.containers++
	return &container{
		spec: spec, identity: identity(spec), image: img, order: s.containers, args: args, env: env, program: program, stop: Signal(stop),
		state: runtime.StateCreated, done: make(chan struct{}), executed: map[*Process]bool{},
	}, nil
}

// find returns a container. The caller holds the lock.
func (m *Machine) find(id string) (*container, error) {
	if c := m.containers[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("container %s: %w", id, runtime.ErrNotFound)
}

// Start implements [runtime.Driver].
func (d *Driver) Start(ctx context.Context, id string) error {
	return d.do(ctx, "Start", id, func(m *Machine) error {
		c, err := m.find(id)
		if err == nil && c.state == runtime.StateCreated {
			c.start(m)
		}
		return err
	})
}

// Restart implements [runtime.Restarter].
func (d *Driver) Restart(ctx context.Context, id string, n int, secret func(context.Context) (runtime.Secrets, error)) error {
	return d.do(ctx, "Restart", id, func(m *Machine) error {
		c, err := m.find(id)
		switch {
		case err != nil:
			return err
		case c.restarts >= n:
			return nil
		case c.state != runtime.StateStopped || n != c.restarts+1:
			return fmt.Errorf("restart container %s, which is %s after %d restarts, for the %d. time: %w", id, c.state, c.restarts, n, runtime.ErrInvalid)
		}
		spec := c.spec
		if spec.SecretEnv = nil; secret != nil {
			if spec.SecretEnv, err = secret(ctx); err != nil {
				return err
			}
		}
		env, err := spec.Environment(c.image.config, spec.UTSHostname(m.sandboxes[spec.SandboxID].spec))
		if err != nil {
			return err
		}
		m.containers[id] = &container{
			spec: spec, identity: c.identity, image: c.image, order: c.order, args: c.args, env: env, program: c.program, stop: c.stop,
			restarts: n, state: runtime.StateCreated, done: make(chan struct{}), executed: map[*Process]bool{},
		}
		return nil
	})
}

// Wait implements [runtime.Driver].
func (d *Driver) Wait(ctx context.Context, id string) (runtime.Exit, error) {
	var c *container
	err := d.do(ctx, "Wait", id, func(m *Machine) (err error) {
		c, err = m.find(id)
		return err
	})
	if err != nil {
		return runtime.Exit{}, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return runtime.Exit{}, fmt.Errorf("wait for container %s: %w", id, ctx.Err())
	case <-d.closed:
		return runtime.Exit{}, fmt.Errorf("wait for container %s: %w", id, runtime.ErrClosed)
	}
	d.machine.mu.Lock()
	defer d.machine.mu.Unlock()
	if c.first == nil {
		return runtime.Exit{}, fmt.Errorf("container %s was removed before it was started: %w", id, runtime.ErrNotFound)
	}
	return c.exit, nil
}

// Kill implements [runtime.Driver]. A container that was not started yet is not affected: [runtime.ErrNotRunning].
func (d *Driver) Kill(ctx context.Context, id, signal string) error {
	return d.do(ctx, "Kill", id, func(m *Machine) error {
		c, err := m.find(id)
		if err != nil {
			return err
		}
		number := c.stop
		if signal != "" {
			n, err := runtime.ParseSignal(signal)
			if err != nil {
				return fmt.Errorf("container %s: %w", id, err)
			}
			number = Signal(n)
		}
		if c.first == nil {
			return fmt.Errorf("container %s was not started: %w", id, runtime.ErrNotRunning)
		}
		c.first.signal(number)
		return nil
	})
}

// RemoveContainer implements [runtime.Driver].
func (d *Driver) RemoveContainer(ctx context.Context, id string) error {
	return d.do(ctx, "RemoveContainer", id, func(m *Machine) error {
		m.remove(m.containers[id])
		return nil
	})
}

// remove ends and forgets a container, if there is one. The caller holds the lock.
func (m *Machine) remove(c *container) {
	if c == nil {
		return
	}
	c.removed = true
	c.end(m, killed)
	m.touch(c.image.config.Ref)
	delete(m.containers, c.spec.ID)
}

// RemoveSandbox implements [runtime.Driver].
func (d *Driver) RemoveSandbox(ctx context.Context, id string) error {
	return d.do(ctx, "RemoveSandbox", id, func(m *Machine) error {
		for _, c := range m.containers {
			if c.spec.SandboxID == id {
				m.remove(c)
			}
		}
		delete(m.sandboxes, id)
		return nil
	})
}

// List implements [runtime.Driver]. It sorts by ID.
func (d *Driver) List(ctx context.Context) (runtime.Inventory, error) {
	var inventory runtime.Inventory
	err := d.do(ctx, "List", "", func(m *Machine) error {
		for _, s := range m.sandboxes {
			inventory.Sandboxes = append(inventory.Sandboxes, runtime.SandboxStatus{ID: s.spec.ID, Labels: s.spec.Labels})
		}
		for _, c := range m.containers {
			inventory.Containers = append(inventory.Containers, c.status())
		}
		return nil
	})
	slices.SortFunc(inventory.Sandboxes, func(a, b runtime.SandboxStatus) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(inventory.Containers, func(a, b runtime.ContainerStatus) int { return cmp.Compare(a.ID, b.ID) })
	return inventory, err
}
