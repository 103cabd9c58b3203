package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
)

// Listen binds a TCP port at which the tasks of a VPC reach the host program, "" is the default VPC, at 169.254.170.2. Of
// a connection the peer's address is the task's, which cannot be forged; which task has it says [Cluster.List]. Security
// groups have no say. Port 80 is the cluster's own, and port 0 chooses one. The listener is the caller's to close, before
// the cluster. It fails with [scheduler.ErrNotFound] when there is no such VPC.
func (c *Cluster) Listen(ctx context.Context, vpcID string, port uint16) (net.Listener, error) {
	fabric, ok := c.network.(network.Listener)
	if !ok {
		return nil, fmt.Errorf("local: listen in a VPC: %w on this system", errors.ErrUnsupported)
	}
	s, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range s.VPCs {
		if v.ID == vpcID || vpcID == "" && v.IsDefault {
			return fabric.Listen(ctx, v.ID, netip.AddrPortFrom(network.CredentialsAddr(), port))
		}
	}
	return nil, fmt.Errorf("%w: VPC %q (\"\" is the default one)", scheduler.ErrNotFound, vpcID)
}
