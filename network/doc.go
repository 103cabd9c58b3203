// Package network is the VPC as data: what a task's network is, who may reach whom in it, and the [Fabric] that makes
// it real. It holds no I/O, starts nothing and imports the standard library only.
//
// A [State] is everything that is wanted at one moment: VPCs of IPv4 and IPv6, their subnets, security groups, prefix lists,
// network ACLs, route tables, gateways of four kinds, peering connections, public addresses, and the network interfaces
// ([ENI]) of tasks. Its nouns and rules are those of Amazon VPC: five reserved addresses in each subnet, stateful security
// groups that only allow, stateless network ACLs in order of their numbers, the longest prefix, no layer 2. What every VPC
// of EC2 has without being asked need not be named.
//
//	state, err := network.DefaultVPC("my cluster", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
//	alloc := network.NewAllocator(state)
//	subnet, addr, err := alloc.Allocate(state.SubnetIDs())
//	state.ENIs = append(state.ENIs, network.ENI{ID: network.NewID("eni", "task 1"), Subnet: subnet, PrivateIPv4: addr,
//		MAC: network.NewMAC("task 1"), SecurityGroups: []string{state.DefaultSecurityGroup(state.VPCs[0].ID)}})
//	err = network.Validate(state)
//	verdict := network.Evaluate(state, network.Flow{ENI: a, Destination: b, Protocol: network.TCP, DestinationPort: 80})
//
// [Evaluate] says what must happen to a packet and which rule decides. Fabrics are tested against it: a fabric that
// lets a packet through that Evaluate refuses, or the other way round, is wrong. [Analyze] answers the question of a
// person, why A cannot reach B, with everything that stands in the way and of the answer, before a task runs and
// while it does.
//
// # The machine and the outside
//
// A VPC of fardel lives on a machine that has addresses of its own. To a task that machine is not a neighbour: it
// reaches every task, and no task reaches it, except to answer. What lies beyond is the outside, reached through an
// internet gateway by the ENIs that have a public address, and through a NAT gateway by others. The outside reaches tasks
// at public addresses of their own, which come from a pool of the operator's, and at their IPv6 addresses; in both cases
// only in subnets that are public, and if network ACLs and groups allow it.
//
// IPv6-only subnets, NAT64, DNS64, transit gateways, VPC endpoints, gateway route tables, secondary addresses of ENIs and
// the retargeting of local routes are not modelled.
//
// Fabrics live in the folders below: network/linux for real interfaces, network/fake for tests of host programs. Every
// fabric passes the suite in network/networktest.
package network
