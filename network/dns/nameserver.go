package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// nameServer is a resolver that runs in a VPC.
type nameServer struct {
	*Resolver
	stop context.CancelFunc
	done chan struct{} // closed when it does not run any more
}

// server returns the name server of a VPC and starts it if it does not run.
func (f *Fabric) server(ctx context.Context, vpcID string) (*Resolver, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.servers[vpcID]
	if s != nil && s.runs() {
		return s.Resolver, nil
	}
	v, ok := f.vpcs[vpcID]
	if !ok {
		return nil, fmt.Errorf("name server of %s: %w: the VPC is not applied", vpcID, network.ErrNotFound)
	}
	packets, listeners, err := f.listen(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("name server of %s: %w", vpcID, err)
	}
	if s == nil {
		s = &nameServer{}
		s.Resolver, err = NewResolver(f.resolverConfig(v))
		if err == nil {
			err = s.SetZones(f.zonesOf(vpcID))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("name server of %s: %w", vpcID, err), closeSockets(packets, listeners))
	}
	s.done = make(chan struct{})
	var run context.Context
	run, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.start(run, packets, listeners, f.cfg.Logger.With("vpcId", vpcID))
	f.servers[vpcID] = s
	return s.Resolver, nil
}

func (s *nameServer) runs() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// listen opens the sockets of a name server.
func (f *Fabric) listen(ctx context.Context, v network.VPC) (packets []net.PacketConn, listeners []net.Listener, err error) {
	addrs := []netip.Addr{network.ResolverAddr()}
	if base2 := v.Resolver(); base2.IsValid() {
		addrs = append(addrs, base2)
	}
	for _, a := range addrs {
		pc, l, err := f.listenAt(ctx, v, netip.AddrPortFrom(a, serverPort))
		if errors.Is(err, network.ErrInvalid) && a != network.ResolverAddr() {
			continue // the fabric's routers have no address in the VPC; tasks are told of the other one
		}
		if err != nil {
			return nil, nil, errors.Join(err, closeSockets(packets, listeners))
		}
		packets, listeners = append(packets, pc), append(listeners, l)
	}
	return packets, listeners, nil
}

func (f *Fabric) listenAt(ctx context.Context, v network.VPC, at netip.AddrPort) (net.PacketConn, net.Listener, error) {
	pc, err := f.listener.ListenPacket(ctx, v.ID, at)
	if err != nil {
		return nil, nil, err
	}
	l, err := f.listener.Listen(ctx, v.ID, at)
	if err != nil {
		return nil, nil, errors.Join(err, pc.Close())
	}
	return pc, l, nil
}

func closeSockets(packets []net.PacketConn, listeners []net.Listener) error {
	var errs []error
	for _, pc := range packets {
		errs = append(errs, pc.Close())
	}
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// closeServers ends the name servers of some VPCs and waits for that.
func (f *Fabric) closeServers(which func(vpcID string) bool) {
	f.mu.Lock()
	var gone []*nameServer
	for id, s := range f.servers {
		if which(id) {
			gone = append(gone, s)
			delete(f.servers, id)
		}
	}
	f.mu.Unlock()
	for _, s := range gone {
		s.stop()
		<-s.done
	}
}
