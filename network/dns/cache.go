package dns

import (
	"container/list"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// question is what others are asked.
type question struct {
	name   string // canonical
	kind   uint16
	do, cd bool
}

// cache keeps answers of others, those used least recently going first. They are kept packed, so that their memory is
// known.
type cache struct {
	max int // bytes

	mu      sync.Mutex
	size    int
	entries map[question]*list.Element
	recent  list.List // of *cached, most recently used first
}

type cached struct {
	question
	raw     []byte
	stored  time.Time
	expires time.Time
}

// overhead is about what an entry costs besides its name and message.
const overhead = 256

func (c *cached) cost() int { return len(c.raw) + len(c.name) + overhead }

// get returns a reply with the time it has been kept taken off its TTLs.
func (c *cache) get(q question, now time.Time) (*reply, bool) {
	raw, age, ok := c.find(q, now)
	if !ok {
		return nil, false
	}
	m := new(wire.Msg)
	if m.Unpack(raw) != nil {
		return nil, false
	}
	for _, section := range [][]wire.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl -= min(h.Ttl, age)
		}
	}
	return &reply{rcode: m.Rcode, answer: m.Answer, authority: m.Ns, authenticated: m.AuthenticatedData}, true
}

func (c *cache) find(q question, now time.Time) (raw []byte, age uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if !ok {
		return nil, 0, false
	}
	entry := e.Value.(*cached)
	if !now.Before(entry.expires) {
		c.remove(e)
		return nil, 0, false
	}
	c.recent.MoveToFront(e)
	return entry.raw, uint32(now.Sub(entry.stored) / time.Second), true
}

// put keeps a reply for ttl. A reply that would take more than an eighth of the cache is not kept.
func (c *cache) put(q question, r *reply, ttl time.Duration, now time.Time) {
	m := wire.Msg{Answer: r.answer, Ns: r.authority, Compress: true}
	m.Rcode, m.AuthenticatedData = r.rcode, r.authenticated
	raw, err := m.Pack()
	if err != nil || ttl <= 0 {
		return
	}
	entry := &cached{question: q, raw: raw, stored: now, expires: now.Add(ttl)}
	if entry.cost() > c.max/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[q]; ok {
		c.remove(e)
	}
	if c.entries == nil {
		c.entries = map[question]*list.Element{}
	}
	c.entries[q] = c.recent.PushFront(entry)
	for c.size += entry.cost(); c.size > c.max; {
		c.remove(c.recent.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	entry := c.recent.Remove(e).(*cached)
	delete(c.entries, entry.question)
	c.size -= entry.cost()
}
