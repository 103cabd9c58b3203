package userns

import (
	"fmt"
	"hash/fnv"
	"math"
)

// Size is how many IDs a namespace has: 0 to 65535 inside, as many as the files of an image usually belong to.
const Size = 1 << 16

// Range is user and group IDs of the machine that namespaces are made of.
type Range struct {
	First uint32 // above those of people, services and subordinate IDs in /etc/subuid
	Count uint32 // a multiple of Size
}

// Default is the upper half of what fits into a signed integer, far above what distributions give to anyone: 16384
// namespaces.
func Default() Range { return Range{First: 1 << 30, Count: 1 << 30} }

// Check reports what is wrong with a range. It must have room for two namespaces, and leave out the IDs that mean nobody.
func (r Range) Check() error {
	switch last := uint64(r.First) + uint64(r.Count) - 1; {
	case r.First < Size:
		return fmt.Errorf("IDs from %d: those below %d are of the machine's own users", r.First, Size)
	case r.Count < 2*Size || r.Count%Size != 0:
		return fmt.Errorf("%d IDs: want a multiple of %d, at least twice that", r.Count, Size)
	case last > math.MaxInt32:
		return fmt.Errorf("IDs up to %d: the last one may be %d", last, math.MaxInt32)
	}
	return nil
}

// Halves divides a range among two who do not know of each other's namespaces.
func (r Range) Halves() (Range, Range) {
	half := r.Count / Size / 2 * Size
	return Range{First: r.First, Count: half}, Range{First: r.First + half, Count: r.Count - half}
}

// Pick returns the first ID of a namespace that is not taken. Which one depends on the key, so that it is likely to be the
// same again, and another than those of clusters that have the same range and know nothing of this one. It reports false
// if all are taken.
func (r Range) Pick(key string, taken func(first uint32) bool) (first uint32, ok bool) {
	n := r.Count / Size
	if n == 0 {
		return 0, false
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	start := h.Sum32() % n
	for i := range n {
		if first = r.First + (start+i)%n*Size; !taken(first) {
			return first, true
		}
	}
	return 0, false
}
