// Package runtimetest is the suite that every [runtime.Driver] passes, so that what the engine relies on holds for real
// containers and for the fake alike.
//
//	func TestDriver(t *testing.T) {
//		runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
//			driver := open(t)
//			return runtimetest.Fixture{Driver: driver, AddImage: addImage, Leftovers: leftovers}
//		})
//	}
//
// Each check is a test of its own that opens a fixture, drives it through the interface alone and, at its end, wants
// nothing left over. Optional interfaces are found by assertion and skipped by name where a driver has none, as is what
// a fixture says its machine lacks.
//
// What runs in the containers is the program of the package guest, whose statements say what a check needs of it.
// [Archive] puts it into an image for drivers with real containers; others implement it with guest.Run.
package runtimetest
