package fake_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/fake"
)

func Example() {
	ctx := context.Background()
	state, err := network.DefaultVPC("example", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fabric := fake.New(fake.Config{})
	if err := fabric.Apply(ctx, state); err != nil {
		fmt.Println(err)
		return
	}
	alloc := network.NewAllocator(state)
	subnet, addr, err := alloc.Allocate(state.SubnetIDs())
	if err != nil {
		fmt.Println(err)
		return
	}
	a, err := fabric.Attach(ctx, network.ENI{ID: network.NewID("eni", "task 1"), Subnet: subnet, PrivateIPv4: addr,
		MAC: network.NewMAC("task 1"), SecurityGroups: []string{state.DefaultSecurityGroup(state.VPCs[0].ID)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Address, a.Gateway, a.Hostname)
	fmt.Println(fabric.Probe(network.Flow{FromHost: true, Destination: addr, Protocol: network.TCP, DestinationPort: 80}))
	// Output:
	// 172.31.0.4/20 172.31.0.1 ip-172-31-0-4.eu-central-1.compute.internal
	// allowed by route check: the host reaches every ENI
}
