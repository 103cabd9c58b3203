package containerd

import (
	"cmp"
	"slices"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// cached is something that takes space in the image cache: an image, or a download that was broken off.
type cached struct {
	key      string
	lastUsed time.Time
	imported bool             // neither counts nor goes
	spared   bool             // counts and stays: in use, or held
	parts    map[string]int64 // what it is made of, with its size in bytes; others may have the same parts
}

// planCollection says what is to go, in this order, and how much is left of what counts then. Something whose parts are
// all shared goes, too, when it is the least recently used: its parts may go with the next that has them.
func planCollection(all []cached, limit runtime.ImageLimit, now time.Time) (gone []string, left int64) {
	users := map[string]int{} // of each part that counts
	for _, c := range all {
		for part, size := range c.parts {
			if !c.imported && users[part] == 0 {
				left += size
			}
			if !c.imported {
				users[part]++
			}
		}
	}
	for _, c := range all {
		for part, size := range c.parts {
			if c.imported && users[part] > 0 {
				left -= size
				delete(users, part)
			}
		}
	}
	candidates := slices.DeleteFunc(slices.Clone(all), func(c cached) bool {
		return c.imported || c.spared || now.Sub(c.lastUsed) < limit.MinAge
	})
	slices.SortFunc(candidates, func(a, b cached) int {
		return cmp.Or(a.lastUsed.Compare(b.lastUsed), cmp.Compare(a.key, b.key))
	})
	for _, c := range candidates {
		if left <= limit.MaxBytes {
			break
		}
		for part, size := range c.parts {
			n, counts := users[part]
			if !counts {
				continue
			}
			if users[part] = n - 1; n == 1 {
				left -= size
			}
		}
		gone = append(gone, c.key)
	}
	return gone, left
}
