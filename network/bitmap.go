package network

import "math/bits"

// bitmap is a set of small integers that finds its next gap quickly: full says which words have no gap, so that a
// search in a full /16 looks at some 30 words instead of 1024.
type bitmap struct {
	size  int
	words []uint64
	full  []uint64
}

func newBitmap(size int) bitmap {
	words := (size + 63) / 64
	return bitmap{size: size, words: make([]uint64, words), full: make([]uint64, (words+63)/64)}
}

func (b *bitmap) has(n int) bool { return b.words[n/64]&(1<<(n%64)) != 0 }

func (b *bitmap) set(n int) {
	w := n / 64
	b.words[w] |= 1 << (n % 64)
	if b.words[w] == ^uint64(0) {
		b.full[w/64] |= 1 << (w % 64)
	}
}

func (b *bitmap) clear(n int) {
	w := n / 64
	b.words[w] &^= 1 << (n % 64)
	b.full[w/64] &^= 1 << (w % 64)
}

// firstClear returns the first integer from n on that is not in the set, size if there is none.
func (b *bitmap) firstClear(n int) int {
	if n >= b.size {
		return b.size
	}
	w := n / 64
	if gaps := ^b.words[w] >> (n % 64); gaps != 0 {
		return min(n+bits.TrailingZeros64(gaps), b.size)
	}
	w++
	for f := w / 64; f < len(b.full); f++ {
		gaps := ^b.full[f]
		if f == w/64 {
			gaps = gaps >> (w % 64) << (w % 64)
		}
		if gaps == 0 {
			continue
		}
		if word := f*64 + bits.TrailingZeros64(gaps); word < len(b.words) {
			return min(word*64+bits.TrailingZeros64(^b.words[word]), b.size)
		}
		return b.size
	}
	return b.size
}
