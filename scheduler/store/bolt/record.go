package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/fardel-io/fardel/scheduler/store"
)

// header is the length of what stands before a value: its revision and its sum.
const header = 8 + 4

func sum(polynomial *crc32.Table, key, revision, value []byte) uint32 {
	s := crc32.Update(0, polynomial, key)
	s = crc32.Update(s, polynomial, revision)
	return crc32.Update(s, polynomial, value)
}

// encode returns what the file holds for an entry.
func encode(key, value []byte, revision store.Revision) []byte {
	record := make([]byte, header, header+len(value))
	binary.BigEndian.PutUint64(record, uint64(revision))
	binary.BigEndian.PutUint32(record[8:], sum(crc32.MakeTable(crc32.Castagnoli), key, record[:8], value))
	return append(record, value...)
}

// decode is the reverse. The entry is a copy.
func decode(key, record []byte) (store.Entry, error) {
	if len(record) < header {
		return store.Entry{}, fmt.Errorf("%w: the record of %q has %d bytes, at least %d expected", store.ErrCorrupt, key, len(record), header)
	}
	value := record[header:]
	want := binary.BigEndian.Uint32(record[8:])
	if got := sum(crc32.MakeTable(crc32.Castagnoli), key, record[:8], value); got != want {
		return store.Entry{}, fmt.Errorf("%w: the record of %q has sum %08x, not %08x", store.ErrCorrupt, key, got, want)
	}
	return store.Entry{Key: string(key), Value: append([]byte{}, value...), Revision: revisionOf(record)}, nil
}

// revisionOf reads the revision that a record begins with, 0 for no record.
func revisionOf(record []byte) store.Revision {
	if len(record) < 8 {
		return 0
	}
	return store.Revision(binary.BigEndian.Uint64(record))
}
