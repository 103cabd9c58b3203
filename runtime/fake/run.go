package fake

import (
	"context"
	"fmt"
	"sync"

	"github.com/fardel-io/fardel/runtime"
)

// life waits for the goroutines of a machine.
type life struct{ group sync.WaitGroup }

func (l *life) wait() { l.group.Wait() }

// run runs a program in the machine until it returns, and ends its process then.
func (m *Machine) run(ctx context.Context, p *Process, program Program) {
	m.life.group.Go(func() {
		code := 2 // of a program that panics or leaves through runtime.Goexit
		defer func() {
			if r := recover(); r != nil {
				fmt.Fprintf(p.Stderr, "panic: %v\n", r)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			p.finish(runtime.Exit{Code: code & 0xff})
		}()
		code = program(ctx, p)
	})
}

// follow passes changes of a terminal's size on until its process ends or there are no more.
func (m *Machine) follow(p *Process, sizes <-chan runtime.WindowSize) {
	m.life.group.Go(func() {
		for {
			select {
			case size, ok := <-sizes:
				if !ok {
					return
				}
				m.mu.Lock()
				p.size = size
				p.signal(SIGWINCH)
				m.mu.Unlock()
			case <-p.ended:
				return
			}
		}
	})
}
