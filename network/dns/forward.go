package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// ForwarderConfig says whom a forwarder asks, and what it keeps.
type ForwarderConfig struct {
	// Servers returns the servers to ask, the preferred one first. It is called for every query that goes out and must be
	// quick; see [HostServers]. Required. While it returns none, queries are refused.
	Servers func() []netip.AddrPort

	Timeout     time.Duration // for one server to answer; 0 is 2 s
	Attempts    int           // rounds over all servers; 0 is 2
	MaxInFlight int           // questions that are being asked, equal ones counted once; 0 is 1024

	CacheBytes     int           // 0 is 4 MiB, negative keeps nothing
	MaxTTL         time.Duration // for which an answer is kept and clients may keep it; 0 is one hour
	MaxNegativeTTL time.Duration // the same for what is not there; 0 is 15 minutes

	// Dial opens a socket to a server; network is "udp" or "tcp". Nil is that of the standard library, in the network
	// namespace of the program: it reaches stubs at loopback addresses that no task can.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (c ForwarderConfig) withDefaults() (ForwarderConfig, error) {
	if c.Servers == nil {
		return c, fmt.Errorf("configure forwarder: %w: Servers is required", ErrInvalid)
	}
	if c.Timeout < 0 || c.Attempts < 0 || c.MaxInFlight < 0 || c.MaxTTL < 0 || c.MaxNegativeTTL < 0 {
		return c, fmt.Errorf("configure forwarder: %w: a negative time or number", ErrInvalid)
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Attempts == 0 {
		c.Attempts = 2
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 1024
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 4 << 20
	}
	if c.MaxTTL == 0 {
		c.MaxTTL = time.Hour
	}
	if c.MaxNegativeTTL == 0 {
		c.MaxNegativeTTL = 15 * time.Minute
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	return c, nil
}

// Forwarder asks other name servers and remembers what they said. It is safe for concurrent use, and starts nothing.
type Forwarder struct {
	cfg   ForwarderConfig
	cache cache

	mu      sync.Mutex
	flights map[question]*flight
	down    map[netip.AddrPort]time.Time // servers that did not answer, until when they are asked last
}

// flight is a question under way, for all who ask it at the same time.
type flight struct {
	done  chan struct{} // closed when the rest is there
	reply *reply
	err   error
}

// NewForwarder returns a forwarder.
func NewForwarder(cfg ForwarderConfig) (*Forwarder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Forwarder{cfg: cfg, cache: cache{max: cfg.CacheBytes}, flights: map[question]*flight{}, down: map[netip.AddrPort]time.Time{}}, nil
}

// cached returns what is remembered.
func (f *Forwarder) cached(q question) (*reply, bool) {
	if f.cfg.CacheBytes < 0 {
		return nil, false
	}
	return f.cache.get(q, time.Now())
}

// resolve asks the servers, or waits for the answer to an equal question that is under way.
func (f *Forwarder) resolve(ctx context.Context, q question) (*reply, error) {
	f.mu.Lock()
	fl := f.flights[q]
	if fl == nil {
		if len(f.flights) >= f.cfg.MaxInFlight {
			f.mu.Unlock()
			return nil, errBusy
		}
		fl = &flight{done: make(chan struct{})}
		f.flights[q] = fl
		f.mu.Unlock()
		fl.reply, fl.err = f.ask(ctx, q)
		f.mu.Lock()
		delete(f.flights, q)
		f.mu.Unlock()
		close(fl.done)
		return fl.reply, fl.err
	}
	f.mu.Unlock()
	select {
	case <-fl.done:
		return fl.reply, fl.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// failureTTL is how long a failure is remembered, at the least: RFC 9520, section 3.2.
const failureTTL = time.Second

// ask asks one server after the other until one has an answer.
func (f *Forwarder) ask(ctx context.Context, q question) (*reply, error) {
	servers := f.cfg.Servers()
	if len(servers) == 0 {
		return nil, errNoServer
	}
	var last *reply
	errs := []error{errNoAnswer}
	for range f.cfg.Attempts {
		for _, s := range f.order(servers, time.Now()) {
			r, err := f.askOne(ctx, s, q)
			f.note(s, err, time.Now())
			switch {
			case err != nil:
				errs = append(errs, err)
			case hopeless(r.rcode):
				last = r
			default:
				return f.keep(q, r), nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		if last != nil {
			break // they are there, and would say the same again
		}
	}
	if last == nil {
		last = &reply{rcode: wire.RcodeServerFailure}
	}
	last.answer, last.authority = nil, nil
	if f.cfg.CacheBytes >= 0 {
		f.cache.put(q, last, failureTTL, time.Now())
	}
	if last.rcode == wire.RcodeServerFailure {
		return nil, errors.Join(errs...)
	}
	return last, nil
}

// hopeless reports an answer that says more about the server than about the name.
func hopeless(rcode int) bool {
	return rcode != wire.RcodeSuccess && rcode != wire.RcodeNameError
}

// downTime is how long a server that did not answer comes after the others.
const downTime = 10 * time.Second

// order puts servers that are down last.
func (f *Forwarder) order(servers []netip.AddrPort, now time.Time) []netip.AddrPort {
	f.mu.Lock()
	defer f.mu.Unlock()
	var up, down []netip.AddrPort
	for _, s := range servers {
		if now.Before(f.down[s]) {
			down = append(down, s)
		} else {
			up = append(up, s)
		}
	}
	return append(up, down...)
}

// note remembers whether a server answered.
func (f *Forwarder) note(s netip.AddrPort, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for a, until := range f.down { // of servers that are not configured any more, too
		if !now.Before(until) {
			delete(f.down, a)
		}
	}
	if err == nil {
		delete(f.down, s)
	} else if !errors.Is(err, context.Canceled) {
		f.down[s] = now.Add(downTime)
	}
}

// keep bounds the TTLs of a reply and remembers it.
func (f *Forwarder) keep(q question, r *reply) *reply {
	ttl := f.bound(r)
	if f.cfg.CacheBytes >= 0 {
		f.cache.put(q, r, ttl, time.Now())
	}
	return r
}

// bound lowers the TTLs of a reply to what is allowed, and returns how long it may be kept. What is not there may be
// forgotten when the SOA record says so, and is not kept without one: RFC 2308, section 5.
func (f *Forwarder) bound(r *reply) time.Duration {
	most := f.cfg.MaxTTL
	negative := r.rcode == wire.RcodeNameError || !answers(r.answer)
	if negative {
		most = f.cfg.MaxNegativeTTL
	}
	least := uint32(most / time.Second)
	soa := false
	for _, section := range [][]wire.RR{r.answer, r.authority} {
		for _, rr := range section {
			h := rr.Header()
			h.Ttl = min(h.Ttl, uint32(most/time.Second))
			if s, ok := rr.(*wire.SOA); ok && negative {
				h.Ttl = min(h.Ttl, s.Minttl)
				soa = true
			}
			least = min(least, h.Ttl)
		}
	}
	if negative && !soa {
		return 0
	}
	return time.Duration(least) * time.Second
}

// answers reports whether an answer is more than a chain of CNAMEs that ends in nothing.
func answers(records []wire.RR) bool {
	for _, rr := range records {
		if rr.Header().Rrtype != wire.TypeCNAME {
			return true
		}
	}
	return false
}
