// Package scenario makes random VPCs, and packets that have something to do with them, for tests that compare two views
// of one network: what [network.Evaluate] says and what a fabric does.
//
//	g := scenario.New(scenario.Config{Seed: seed})
//	state := g.State()
//	for _, f := range g.Flows(state, 100) { ... }
//	state = g.Change(state) // and again
//
// Equal configurations give equal states and packets. States pass [network.Validate]; they have few ports, prefixes and
// outside addresses, so that rules meet packets, and packets that are allowed are about as many as those that are not.
// When a packet is judged differently, [Shrink] drops whatever of the state does not matter.
package scenario
