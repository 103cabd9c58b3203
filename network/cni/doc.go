// Package cni is a network fabric made of the plugins and the configuration that an operator already has: it joins tasks
// to a network of the Container Network Interface, as Kubernetes and podman do, through the library libcni.
//
//	fabric, err := cni.New(cni.Config{Dir: "/var/lib/myapp/fardel/network", Owner: "myapp", Network: "/etc/cni/net.d"})
//	state, err := fabric.State("eu-central-1") // a VPC that fits what the IPAM plugin hands out
//	err = fabric.Apply(ctx, state)
//	a, err := fabric.Attach(ctx, eni)
//
// It takes root, the plugins that the configuration names, and what they need. Configurations of version 0.4.0 or later
// are checked in Apply.
//
// # What it can do
//
// A state of one VPC, whose subnets are ranges of the network. Each ENI is an attachment: the fabric makes a namespace at
// Dir/netns/eni-…, and the plugins an interface in it, which gets the private address of the ENI. So the IPAM plugin must
// be host-local, or a plugin must have the capability "ips". What the plugins answer as MAC is the attachment's:
// few let one choose, and the ENI's is passed as a wish.
//
// # What it cannot do
//
// What a packet may do is the network's affair, not the fabric's. So a state that asks for more than a network where
// everybody reaches everybody is refused, with an [network.UnsupportedError] for each feature: security groups other than
// ones that allow everything both ways, network ACLs, routes other than local ones, gateways, peering, prefix lists, public
// addresses, limits of bandwidth and published ports but by plugins and Config.CapabilityArgs, IPv6, several VPCs. Neither
// does anything here keep tasks from the machine, or check source addresses, unless plugins do.
//
// # Crashes
//
// A file for each ENI says that plugins are about to be called, before they are. The first use of the next fabric with the
// same Dir removes what was half made, with the configuration that it was begun with. A plugin outlives a host program that
// is killed: it and its children hold a lock meanwhile, and the next fabric waits for them. Attachments are named
// fardel-<owner>-<ENI>, and those of others are never touched.
package cni
