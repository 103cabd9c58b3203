package linux

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// Listen implements [network.Listener].
func (f *Fabric) Listen(ctx context.Context, vpcID string, addr netip.AddrPort) (l net.Listener, err error) {
	err = f.inRouter(ctx, vpcID, addr, func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", addr.String())
		return err
	})
	return l, err
}

// ListenPacket implements [network.Listener].
func (f *Fabric) ListenPacket(ctx context.Context, vpcID string, addr netip.AddrPort) (c net.PacketConn, err error) {
	err = f.inRouter(ctx, vpcID, addr, func() (err error) {
		c, err = (&net.ListenConfig{Control: withQueue}).ListenPacket(ctx, "udp4", addr.String())
		return err
	})
	return c, err
}

// packetQueue is how many bytes of packets wait for whoever reads a socket: what several tasks may send at once without
// crowding out what others send, see [ConnectionLimits].
const packetQueue = 2 << 20

// withQueue gives a socket that. Root of a user namespace may not, and has as much as the kernel gives.
func withQueue(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, packetQueue) })
}

// inRouter opens a socket in a router's namespace. A socket belongs to the namespace of the thread that makes it; who
// uses it later does not matter.
func (f *Fabric) inRouter(ctx context.Context, vpcID string, addr netip.AddrPort, listen func() error) error {
	end, err := f.begin(ctx)
	if err != nil {
		return fmt.Errorf("listen on %s in %s: %w", addr, vpcID, err)
	}
	defer end()
	r := f.router(vpcID)
	v := f.byID.vpcs[vpcID]
	switch {
	case r == nil:
		err = fmt.Errorf("%w: the VPC is not applied", network.ErrNotFound)
	case addr.Addr() != v.Resolver() && !slices.Contains(network.EndpointAddrs(), addr.Addr()):
		err = fmt.Errorf("%w: not one of %v or %s", network.ErrInvalid, network.EndpointAddrs(), v.Resolver())
	default:
		err = inNamespace(r.file, listen)
	}
	if err != nil {
		return fmt.Errorf("listen on %s in %s: %w", addr, vpcID, err)
	}
	return nil
}
