package network_test

import (
	"fmt"
	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// Two ENIs in the default group of a default VPC, and one in a group of its own.
func ExampleEvaluate() {
	state, err := network.DefaultVPC("example", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	vpc := state.VPCs[0].ID
	state.SecurityGroups = append(state.SecurityGroups, network.SecurityGroup{
		ID: "sg-0000000000000000a", VPC: vpc, Name: "db", Description: "databases",
		Ingress: []network.Rule{{Protocol: network.TCP, FromPort: 5432, ToPort: 5432, CIDRs: []netip.Prefix{state.Subnets[0].CIDR}}},
	})
	alloc := network.NewAllocator(state)
	for i, group := range []string{state.DefaultSecurityGroup(vpc), "sg-0000000000000000a"} {
		subnet, addr, err := alloc.Allocate(state.SubnetIDs())
		if err != nil {
			fmt.Println(err)
			return
		}
		id := fmt.Sprintf("eni-0000000000000000%d", i)
		state.ENIs = append(state.ENIs, network.ENI{ID: id, Subnet: subnet, PrivateIPv4: addr, MAC: network.NewMAC(id), SecurityGroups: []string{group}})
	}
	if err := network.Validate(state); err != nil {
		fmt.Println(err)
		return
	}
	web, db := state.ENIs[0], state.ENIs[1]
	for _, port := range []uint16{5432, 22} {
		fmt.Println(network.Evaluate(state, network.Flow{ENI: web.ID, Destination: db.PrivateIPv4, Protocol: network.TCP, DestinationPort: port}))
	}
	// Output:
	// allowed by ingress check: sg-0000000000000000a of eni-00000000000000001 allows tcp 5432 with 172.31.0.0/20
	// denied by ingress check: no ingress rule of eni-00000000000000001 allows it
}
