// Package fake is a network fabric in memory, for unit tests of programs that use fardel: no root, no namespaces, no
// packets. It keeps every promise of [network.Fabric] that can be kept without a kernel and passes the suite in
// network/networktest.
//
//	fabric := fake.New(fake.Config{})
//	err := fabric.Apply(ctx, state)
//	a, err := fabric.Attach(ctx, eni)
//	verdict := fabric.Probe(network.Flow{ENI: eni.ID, Destination: addr, Protocol: network.TCP, DestinationPort: 80})
//
// Who reaches whom is what [network.Evaluate] says. Config.Fail makes calls fail; a [Host] outlives a fabric as a
// machine outlives a program, so that a test can restart one.
//
// No packet is sent, so nothing is limited either: an ENI's bandwidth is noted, as faults are. Nothing listens and nothing can be joined: the paths in attachments lead nowhere, and the fabric is no
// [network.Listener].
package fake
