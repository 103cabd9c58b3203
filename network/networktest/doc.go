// Package networktest is the suite that every network fabric passes: named checks of what [network.Fabric] promises,
// and packets compared with [network.Evaluate].
//
//	func TestFabric(t *testing.T) {
//		networktest.Run(t, func(t testing.TB) networktest.Fixture { return newMachine(t) })
//	}
//
// A [Fixture] is a machine of the fabric's kind. One with real interfaces sends real packets; it makes the namespaces
// for them itself, the outside's included, so that nothing leaves the machine.
package networktest
