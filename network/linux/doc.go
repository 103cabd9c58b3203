// Package linux is the network fabric for a Linux host: VPCs made of network namespaces, veth pairs, routes and nftables.
//
//	fabric, err := linux.New(linux.Config{Dir: "/var/lib/myapp/fardel/network", Owner: "myapp"})
//	routes, err := fabric.HostRoutes()
//	cidr, err := network.FreeCIDR(routes)
//	state, err := network.DefaultVPC("myapp", cidr, "eu-central-1", []string{"eu-central-1a"})
//	err = fabric.Apply(ctx, state)
//	a, err := fabric.Attach(ctx, eni) // run the task in the namespace at a.NetNS
//
// It takes root, or CAP_NET_ADMIN and CAP_SYS_ADMIN, and a kernel of 5.6 or later with veth and nftables. It starts no
// program and needs none installed.
//
// # The router
//
// Each VPC is one namespace, the router. Each ENI is a pair of links between it and a namespace of the task's own.
// Routers are mounted at Dir/netns/vpc-…, tasks at Dir/netns/eni-….
//
//	     task                     task
//	┌─────────────┐          ┌─────────────┐
//	│ eth0        │          │ eth0        │
//	│ 10.0.0.4/20 │          │ 10.0.0.5/20 │        routes: the gateway on eth0, all else by the gateway
//	└──────┬──────┘          └──────┬──────┘
//	       │ e3f…                   │ e91…
//	┌──────┴────────────────────────┴──────┐
//	│ router of vpc-…                      │  10.0.0.4 dev e3f…, 10.0.0.5 dev e91…
//	│ 10.0.0.1, 169.254.169.253,           │  10.0.0.0/16 blackhole, 169.254.0.0/16 blackhole
//	│ 169.254.170.2          table fardel  │  0.0.0.0/0 by the uplink, if the VPC has a way out
//	└──────────────────┬───────────────────┘
//	                   │ uplink, 169.254.x.y/31
//	┌──────────────────┴───────────────────┐
//	│ host            table fardel-<owner> │  10.0.0.0/16 dev fardel-…
//	│ fardel-…                             │
//	└──────────────────┬───────────────────┘
//	                outside
//
// The router routes and does not bridge, so every packet between two tasks passes it. A packet from an ENI meets, in
// this order:
//
//   - prerouting, before connection tracking: link, source address and source MAC must be those of one ENI;
//   - routing: an ENI's link, the uplink, or nothing, silently;
//   - forward: a known connection passes. Otherwise the sender's address gives its class, the set of groups that it
//     carries, and the class its egress chain: the chains of its groups, one rule for each peer of a rule;
//   - admitted: outwards only with a public address; inwards by the class of the receiver and its ingress chain.
//
// An ENI is three set elements and one for each of its groups, whatever the number of ENIs and rules, in one
// transaction. A group that a rule names is the set of its members' addresses. The router answers ARP for every
// address, and knows the address of every ENI for good, so forged ARP changes nothing.
//
// # The host
//
// In the host's namespace there are one link for each VPC with a route to its CIDRs, one nftables table, and nothing
// else. Other tables are never touched. The table drops what tasks send to the host itself, unless it is an answer, what
// tries to reach tasks uninvited, and what goes from VPC to VPC; it translates the source of what goes outside to the
// address of the host. The host's own packets carry its end of the link as source.
//
// ip_forward is switched on when an ENI with a public address and a default route of the host meet, and only if it is
// off. The links of all fabrics are marked then, and who removes the last marked link switches it off again. While it is
// on, the host forwards between its other links too, as far as its firewall lets it.
//
// A VPC whose CIDR overlaps a route of the host or another VPC's is made without a link, and Apply returns an error that
// matches [network.ErrConflict].
//
// # Crashes
//
// Nothing is kept but the kernel's own state and a small file for each ENI, written when it is complete and renamed when
// its removal begins. Links in the host's namespace carry the owner in their alias; they are made in the router's
// namespace and moved when they are marked. The next Apply completes or removes what a dead process left.
//
// # What it does not do
//
//   - Network ACLs, route tables of subnets, elastic and secondary addresses, NAT gateways, peering, a name server, IPv6.
//     IPv6 is off in the namespaces of tasks and routers.
//   - Public addresses: an ENI with AssignPublicIP shares the host's address, and cannot be reached at it.
//   - Answers that nobody asked for, such as an echo reply out of nothing, do not reach the outside: they cannot be
//     translated.
//   - A firewall of the host that drops what it forwards drops what tasks send outside: a packet must pass all tables.
//     Docker's is one; `iptables -I DOCKER-USER -i fardel-+ -j ACCEPT` and the same with -o lets fardel's pass.
//   - "Outside" is all that the host reaches beyond its links to VPCs: its local networks and containers of others, too.
//   - Bandwidth and the number of connections are not limited per ENI; the kernel's table of connections is shared.
package linux
