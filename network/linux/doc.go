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
// Routers are mounted at Dir/netns/vpc-…, tasks at Dir/netns/eni-…. Dir/enis has a record of each ENI, and files of ENIs
// that are gone, up to 256, for the next ones.
//
//	     task                     task
//	┌─────────────┐          ┌─────────────┐
//	│ eth0        │          │ eth0        │
//	│ 10.0.0.4/20 │          │ 10.0.0.5/20 │        routes: the gateway on eth0, all else by the gateway
//	└──────┬──────┘          └──────┬──────┘
//	       │ e3f…                   │ e91…
//	┌──────┴────────────────────────┴──────┐        ┌─────────────┐
//	│ router of vpc-…                      │ n5c…   │ NAT gateway │
//	│ 10.0.0.1, 10.0.0.2, 169.254.169.253, ├────────┤ eth0        │
//	│ 169.254.170.2          table fardel  │        └─────────────┘
//	│ main: who has which address          │ p07…   ┌─────────────┐
//	│ one table of routes for each subnet  ├────────┤ router of a │
//	└──────────────────┬───────────────────┘        │ peered VPC  │
//	                   │ uplink, 169.254.x.y/31     └─────────────┘
//	┌──────────────────┴───────────────────┐
//	│ host            table fardel-<owner> │  10.0.0.0/16 and public addresses dev fardel-…
//	│ fardel-…                             │
//	└──────────────────┬───────────────────┘
//	                outside
//
// The router routes and does not bridge, so every packet between two tasks passes it. The links of a subnet's ENIs are
// one group of links, whose number is that of the subnet's route table, too. A packet from an ENI meets, in this order:
//
//   - prerouting, before fragments are put together and connections looked up: link, source address and source MAC must be
//     those of one ENI, or with NoSourceDestCheck link and MAC. The packet is marked with the group of its link;
//   - routing by the mark: the table of the subnet. Local routes go on in the main table: an ENI's link, or nothing,
//     silently. A route to an ENI, a NAT gateway or a peering connection has a blackhole behind it for when that is gone;
//   - filtered: if it leaves the group of links by which it came, the network ACL of the one, then of the other;
//   - stateful: a known connection passes. Otherwise the sender's link gives its class, the set of groups that it
//     carries, and the class its egress chain: the chains of its groups, one rule for each peer of a rule;
//   - admitted: outwards only with a public address; inwards by the class of the receiver's link and its ingress chain.
//
// An ENI is two set elements and one for each of its groups, and three more for a public address, whatever the number of
// ENIs and rules, in one transaction. A group that a rule names is the set of its members' addresses, a prefix list a set
// of ranges. The router answers ARP for every address, and knows the address of every ENI for good, so forged ARP changes
// nothing.
//
// IPv6 has a table, routes and chains of the same form. ENIs have no link-local addresses, and who has which address is
// known for good on both sides, so there is no neighbor discovery to forge, and router advertisements are not heard.
// Neighbor discovery that a task sends nevertheless is dropped.
//
// A NAT gateway is a namespace that sends back to the router what it is given, with its own address as source: so
// network ACLs and routes of its subnet apply to it, with the addresses that a packet has at each of them. Public
// addresses are translated 1 to 1 in the router, where the internet gateway of EC2 stands: rules see private ones.
//
// # What ENIs share
//
// A VPC's table of connections, the memory in which the kernel puts fragments together, the sockets of the name server and the
// endpoints, and the kernel's table of neighbors are there for all ENIs. [ConnectionLimits] bound what one takes, in tables of
// nftables of their own, which last when the ruleset is replaced: the connections that an ENI has open, or that others outside
// have open to it, and how many are opened in a second, each in a set by link that the kernel fills, so that an ENI more costs
// nothing. Connections of an ENI are counted in up to 128 shards, since the kernel walks what it has counted together. A packet is
// charged when all groups have let it pass, and only if its connection is not known yet.
//
// Who sends is checked before fragments are put together: the kernel does that by addresses alone, and would take a part from
// one ENI into a packet of another. A table for ARP lets an ENI speak for its own address only, and neighbor discovery is not
// forwarded.
//
// # Bandwidth
//
// An ENI's [network.Bandwidth] is enforced on the router's end of its link, before anything else in the one direction and
// after it in the other, so a task cannot lift it, whatever capabilities it has. What exceeds it is dropped, not queued:
// that needs neither a queue nor a link more for each ENI, and takes nothing from others. What a second's traffic at the
// limit and 128 KiB are worth may pass at once after a pause. Faults that are injected queue in the task's namespace, before
// the limit.
//
// # The host
//
// In the host's namespace there are one link for each VPC with routes to its CIDRs and public addresses, one nftables
// table, and nothing else. Other tables are never touched, but for two rules in Docker's. The table drops what tasks send to the host itself, unless it
// is an answer, what tries to reach private addresses uninvited, and what goes from VPC to VPC but by public addresses.
// To the outside the host's address stands for ENIs that have no public address of their own, and for all of them unless
// [Config.RoutedPublicAddresses]. The host's own packets carry its end of the link as source.
//
// ip_forward is switched on when an ENI with a public address and a default route of the host meet, or when a port is
// published for others than the host, and only if it is off. The links of all fabrics are marked then, and who removes the last marked link switches it off again. While it is
// on, the host forwards between its other links too, as far as its firewall lets it.
//
// With [Config.PublicAddressLink] the host answers on that link, with ARP and neighbor discovery, for the public and the
// IPv6 addresses that ENIs have, and for no others: each is an entry of `ip neigh show proxy`, made after the host's route to
// the address and removed before it. Neither proxy_arp nor proxy_ndp is switched on; the kernel makes use of entries of IPv6
// when net.ipv6.conf.<link>.proxy_ndp is 1 and the link forwards, and [Fabric.Obstacles] says if not. It answers a question
// that went to all after up to net.ipv4.neigh.<link>.proxy_delay, 0.8 s.
//
// A [network.PublishedPort] is destination NAT in that table, for what comes from anywhere but tasks and for the host's own
// processes. Others keep their source address, which rules see; the host's end of the uplink stands for the host, and for a
// loopback address as well, for which route_localnet is switched on for the uplink alone. Nobody listens at the port: Attach
// tries to bind it, and refuses one that a process has; a process that binds it later gets nothing of what is published.
//
// The host reaches no private address of a VPC whose CIDR overlaps a route of the host or another VPC's, and Apply
// returns an error that matches [network.ErrConflict].
//
// # Changes
//
// Rules, ACLs and routes change for running tasks at once, and all rules of a VPC at the same moment. Network ACLs and
// routes apply to the packets of known connections, too. What began before goes on being translated as it was. The
// connections of an ENI end with it.
//
// Connections that are known go on when the rule that allowed them is gone. EC2 does the same with those that it tracks.
// Linux differs where EC2 does not track, or not as long:
//
//   - TCP and UDP that rules for 0.0.0.0/0 or ::/0 and all ports allow both ways are not tracked by EC2, and end with the
//     rule. Here they are tracked, and go on.
//   - ICMP is always tracked, here and there.
//   - EC2 forgets an established TCP connection after 5 days without a packet, or 350 seconds on newer instances; here it is
//     nf_conntrack's 5 days. UDP is forgotten after 30 seconds, or 180 if it went both ways in EC2 and 120 here.
//   - A connection that nobody knows, since the router was made anew, goes on here if rules allow its packets.
//   - EC2 bounds the connections of an instance, here [ConnectionLimits] do those of an ENI. A VPC has a table of its own, and
//     the host another, which has what leaves it; each holds the kernel's nf_conntrack_max.
//   - A connection of TCP that both sides have closed is remembered for 10 seconds.
//
// # Crashes
//
// Nothing is kept but the kernel's own state and a small file for each ENI, written when it is complete and renamed when
// its removal begins. Links in the host's namespace carry the owner in their alias; they are made in the router's
// namespace and moved when they are marked. The next Apply completes or removes what a dead process left.
//
// # What it does not do
//
//   - It does not switch the host's forwarding of IPv6 on, since hosts that do stop believing router advertisements: what
//     IPv6 of a VPC leaves it by takes `sysctl net.ipv6.conf.all.forwarding=1`. [Fabric.Obstacles] says when that lacks.
//   - Endpoints and the name server answer over IPv4 only.
//   - An ENI that sends to its own public address without ports, or from a port to the same one, is not held up by its
//     own rules: both directions look the same.
//   - Answers that nobody asked for, such as an echo reply out of nothing, do not reach the outside: they cannot be
//     translated.
//   - A firewall of the host that drops what it forwards drops what tasks send outside: a packet must pass all tables.
//     Where Docker is, two rules in its chain for others, DOCKER-USER, let fardel's links pass while there are any; of
//     other firewalls [Fabric.Obstacles] and a warning in the log say which chain is in the way. With iptables-legacy
//     rules cannot be seen: `iptables -I DOCKER-USER -i fardel-+ -j ACCEPT` and the same with -o let fardel's pass.
//   - "Outside" is all that the host reaches beyond its links to VPCs: its local networks and containers of others, too.
//   - It does not bound what all ENIs together take of the host's table of connections: a dozen that use their shares up may fill
//     it. Nor does it bound how many neighbors on its own networks the host looks for on behalf of tasks: where those are
//     larger than a /22, raise net.ipv4.neigh.default.gc_thresh3.
//   - An error of ICMP passes if it quotes a known connection, whoever sends it. An ENI sends no more than 100 a second.
//   - An ENI without source check may send in the name of its neighbours, parts of packets too: it is as trusted as they are.
package linux
