// Package storetest is the suite that every [store.Store] passes: a check for each promise of its comments.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Backend{Open: func(t testing.TB) store.Store { return store.NewMemory() }})
//	}
//
// What only the backend's own tests can do is not here: killing the process, filling the disk, cutting the network.
package storetest
