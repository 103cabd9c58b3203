package network

import (
	"context"
	"net"
	"net/netip"
)

// A Fabric makes network state real on one host. Its methods are safe for concurrent use and idempotent: a caller that
// died between a call and the note it meant to make of it repeats the call. A cancelled context ends the call; what is
// half made then is finished or removed by the next Apply, Attach or Detach that concerns it.
//
// A fabric is the only writer of what it made and touches nothing else. Apply of an empty State leaves nothing of it.
type Fabric interface {
	// Apply makes s the state: it adds what is missing, changes what differs, then removes what the fabric made and s
	// does not hold. It blocks until that is done as far as possible and returns the errors of all parts, joined; calling
	// it again does what is left. [ErrConflict] if a VPC has addresses that the host uses otherwise: it is then made
	// all the same, but the host does not reach its private addresses. An s that [Validate] refuses is [ErrInvalid] and
	// changes nothing. A fabric that was opened anew must be given the state before Attach can find subnets and groups in
	// it. The fabric keeps no memory of s, here or in Attach: the caller may change it and apply it again.
	Apply(ctx context.Context, s State) error

	// Attach does what Apply would do with e added to the state, at a cost that does not depend on how many ENIs there
	// are. Attaching an ENI again returns the same Attachment; if its groups, public address, NoSourceDestCheck,
	// bandwidth, published ports or labels differ they are changed. [ErrNotFound] if its subnet or one of its groups is not
	// applied, [ErrInvalid] if e breaks a rule, [ErrExists] if an ENI of this ID has another subnet, address or MAC,
	// [ErrAddressInUse] if another ENI has its address, or one of its ports is published by another ENI or taken by a
	// process of the machine.
	Attach(ctx context.Context, e ENI) (Attachment, error)

	// Detach removes an ENI. When it returns nothing can use the ENI's address any more, and the address may be given to
	// another ENI. No error if there is none.
	Detach(ctx context.Context, eniID string) error

	// Attachments returns the ENIs that exist, in order of their IDs, including those made before a restart of the host
	// program, before and after the state is applied.
	Attachments(ctx context.Context) ([]Attachment, error)

	// Close waits for removals under way and lets go. What was applied stays as it is for the next fabric with the same
	// configuration. Other methods return [ErrClosed] from then on.
	Close() error
}

// A Listener is a fabric that can serve its tasks: what it returns is bound inside the VPC, so that a peer's address is
// that of the calling ENI and cannot be forged. Optional, found by assertion.
type Listener interface {
	// Listen binds a TCP socket in a VPC. addr is one of [EndpointAddrs] or the VPC's [VPC.Resolver] with a port; port 0
	// chooses one. The caller owns the listener and closes it; it does not survive the program. [ErrNotFound] if the VPC
	// is not applied, [ErrInvalid] for another address.
	Listen(ctx context.Context, vpcID string, addr netip.AddrPort) (net.Listener, error)

	// ListenPacket binds a UDP socket in a VPC, as Listen does for TCP.
	ListenPacket(ctx context.Context, vpcID string, addr netip.AddrPort) (net.PacketConn, error)
}

// An Attachment is what a runtime needs to put a task on its ENI.
type Attachment struct {
	ENI       string       `json:"eni"`
	NetNS     string       `json:"netns"`     // path of the network namespace to join
	Interface string       `json:"interface"` // name of the interface in the namespace: "eth0"
	MAC       MAC          `json:"mac"`
	Address   netip.Prefix `json:"address"` // the private address, with the length of its subnet's prefix
	Gateway   netip.Addr   `json:"gateway"` // the router's address in the subnet
	// IPv6Address is the ENI's, with the length of its subnet's prefix, and IPv6Gateway the router's, which is link-local;
	// the zero values if it has none.
	IPv6Address netip.Prefix `json:"ipv6Address,omitzero"`
	IPv6Gateway netip.Addr   `json:"ipv6Gateway,omitzero"`
	DNS         []netip.Addr `json:"dns"`    // name servers for resolv.conf; empty if the host knows none that a task can reach
	Search      []string     `json:"search"` // search domains for resolv.conf
	Hostname    string       `json:"hostname"`
}

// Addresses of endpoints that a VPC itself answers, the same in every VPC.
var (
	credentialsAddr = netip.AddrFrom4([4]byte{169, 254, 170, 2})
	resolverAddr    = netip.AddrFrom4([4]byte{169, 254, 169, 253})
)

// CredentialsAddr is where tasks find their credentials and metadata: 169.254.170.2.
func CredentialsAddr() netip.Addr { return credentialsAddr }

// ResolverAddr is where tasks find the VPC's name server: 169.254.169.253.
func ResolverAddr() netip.Addr { return resolverAddr }

// IPv6Gateway returns the address of the VPC's router as ENIs see it in every subnet: fe80::1.
func IPv6Gateway() netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1}) }

// EndpointAddrs returns the addresses that a VPC itself answers. Security groups do not apply to them.
func EndpointAddrs() []netip.Addr { return []netip.Addr{resolverAddr, credentialsAddr} }
