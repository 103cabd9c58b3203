// Package spool keeps what a container writes in a bounded number of bytes on disk, between the process that copies its
// output and those that read it. The two share nothing but a directory, and each may die and be replaced at any moment.
//
//	w, err := spool.Create(spool.Options{Dir: dir, Limit: 8 << 20, Blocking: true}) // the shim
//	err = w.Write(false, []byte("hello\n"), time.Now())
//
//	r, err := spool.Tail(dir)                                                      // the log driver
//	piece, err := r.Next()
//	err = r.Commit(piece.Position, nil)
//
// # Layout
//
//	<dir>/0000000001.seg   segments, oldest first; an eighth of the limit each
//	<dir>/cursor           JSON: where the tail has committed
//	<dir>/reserve          in blocking mode: room for a last segment, empty
//
// A segment begins with "fardlog1", the number of pieces and of bytes written before it, 8 bytes each. Then come pieces:
//
//	1 byte    0x51 for stdout, 0x52 for stderr
//	2 bytes   length of the data, at most 16384
//	8 bytes   nanoseconds since 1970
//	4 bytes   CRC-32C of all that and the data
//	          the data
//
// Numbers are little endian. Every line is a piece of its own, so that a position is never inside of one. What a dead
// writer left of its last piece is no piece: it ends the segment, and the next writer begins a new one.
//
// The writer alone deletes segments. The oldest goes when another is needed and the limit would be exceeded; in blocking
// mode only one that the tail has committed, for which the writer waits. A reader that finds its segment gone goes on with
// the oldest, and knows from its header what it has missed.
//
// When the container has ended, what is left in its pipes cannot wait for room. In blocking mode it goes, where the disk is
// full, to the reserve, which becomes a segment. File systems without fallocate promise no room, and there it is lost.
//
// Nothing is synced to disk: a spool survives the death of processes, not the loss of power, after which its last seconds
// may be missing.
package spool
