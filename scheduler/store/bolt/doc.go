// Package bolt keeps a store in one file on the local disk, with bbolt underneath: the state of a cluster of one machine.
//
//	s, err := bolt.Open("/var/lib/myapp/fardel/state.db", bolt.Options{})
//	if errors.Is(err, store.ErrInUse) {
//		// another process of this program runs
//	}
//	defer s.Close()
//
// An update that returned is on the disk: two fdatasyncs, one for the pages and one for the page that makes them valid.
// Updates that are called while one is being written wait for it and then go together in one write, each with its own
// conditions, outcome and revision, so that ten writers together are hardly slower than one. Reads are from the page
// cache and wait for nobody.
//
// One process has the file at a time; it is locked (flock), so the file must not be on a network file system that does
// not do that. The file holds all the cluster's secrets that its writers put there, and is readable by its owner only.
//
// # The file
//
//	bucket "fardel"
//	    "format"    "1"
//	    "revision"  8 bytes, big endian: the revision of the state
//	bucket "entries"
//	    key         8 bytes, big endian: the revision that wrote it
//	                4 bytes, big endian: CRC-32C of the key, those 8 bytes and the value
//	                the value
//
// A file whose format is newer than the program is refused. What bbolt does not check, rotten values, the sums find;
// Open reads everything once, so that a damaged file is an error that matches [store.ErrCorrupt] when the program starts
// and not a wrong decision or a crash later.
//
// A new file is made beside its place, as "<path>.new-*", and linked there when it is whole. Open removes what a killed
// Open left of those.
//
// # When the disk fails
//
// An update that could not be written, most often because the disk is full, returns the system's error, and the state
// is as before; a full disk may refuse deletions too, as they write pages. If the last of the two fdatasyncs fails, nobody knows what the disk holds: the update returns
// [store.ErrUnknown], and from then on every method an error until the file is closed and opened again.
package bolt
