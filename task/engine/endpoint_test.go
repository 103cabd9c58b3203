package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// oneListener is a fabric that can be listened on by one at a time, as an address can.
type oneListener struct {
	network.Fabric
	network.Listener
	taken atomic.Bool
}

func (f *oneListener) Listen(context.Context, string, netip.AddrPort) (net.Listener, error) {
	if !f.taken.CompareAndSwap(false, true) {
		return nil, errors.New("address already in use")
	}
	return &listening{f: f, closed: make(chan struct{})}, nil
}

// listening is a listener that nobody calls.
type listening struct {
	f      *oneListener
	once   sync.Once
	closed chan struct{}
}

func (l *listening) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l *listening) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.f.taken.Store(false)
	})
	return nil
}

func (l *listening) Addr() net.Addr { return &net.TCPAddr{} }

// The last task of a VPC leaves while the next one comes: its endpoint waits for the address to be free.
func TestEndpointFollowsItself(t *testing.T) {
	fabric := &oneListener{}
	e, err := New(Config{Driver: noDriver{}, Fabric: fabric, Journal: noJournal{}})
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	for n := range 4 {
		w := newWorker(e, Assignment{
			Task: &task.Task{TaskARN: "arn:aws:ecs:eu-central-1:123456789012:task/default/" + string(rune('a'+n))}, Definition: &task.TaskDefinition{},
			ENI: network.ENI{PrivateIPv4: netip.AddrFrom4([4]byte{10, 0, 0, byte(n)})}, Subnet: network.Subnet{VPC: "vpc-1"},
		})
		tasks.Go(func() {
			for range 300 {
				if err := e.endpoints.join(t.Context(), w); err != nil {
					t.Error(err)
					return
				}
				e.endpoints.leave(w)
			}
		})
	}
	tasks.Wait()
	e.endpoints.closeAll()
	if fabric.taken.Load() {
		t.Error("an endpoint is open after the last task")
	}
}

type (
	noDriver  struct{ runtime.Driver }
	noJournal struct{ Journal }
)
