package flowlog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Config says how an aggregator works.
type Config struct {
	Interval time.Duration // how long flows are gathered; 0 is [LongInterval]

	// MaxFlows is how many flows of one interface are kept in an interval; 0 is 10000. The packets of others are left out,
	// and the interface gets a record that says so.
	MaxFlows int
}

// Observation is packets of one flow that somebody counted.
type Observation struct {
	Interface string // ID
	Flow
	TCPFlags uint8 // see [TCPFlags]
	Packets  uint64
	Bytes    uint64
	Start    time.Time // of the first
	End      time.Time // of the last
}

// Aggregator makes records of observations. It is not safe for concurrent use.
type Aggregator struct {
	cfg    Config
	meters map[string]*meter
}

// meter is what is gathered of one interface.
type meter struct {
	about   Interface
	since   time.Time // when its interval began
	flows   map[Flow]*Record
	skipped bool
	gone    bool // it gets its last records
}

// NewAggregator returns an aggregator that watches no interface.
func NewAggregator(cfg Config) *Aggregator {
	if cfg.Interval <= 0 {
		cfg.Interval = LongInterval
	}
	if cfg.MaxFlows <= 0 {
		cfg.MaxFlows = 10000
	}
	return &Aggregator{cfg: cfg, meters: map[string]*meter{}}
}

// Watch starts to gather of an interface, or changes what its records say of it.
func (a *Aggregator) Watch(i Interface, now time.Time) {
	m := a.meters[i.ID]
	if m == nil {
		m = &meter{since: now, flows: map[Flow]*Record{}}
		a.meters[i.ID] = m
	}
	m.about, m.gone = i, false
}

// Unwatch ends it. The next Flush has the last records, whatever is left of the interval.
func (a *Aggregator) Unwatch(id string) {
	if m := a.meters[id]; m != nil {
		m.gone = true
	}
}

// Add counts an observation. Those of interfaces that are not watched are left out.
func (a *Aggregator) Add(o Observation) {
	m := a.meters[o.Interface]
	if m == nil || o.Packets == 0 {
		return
	}
	r := m.flows[o.Flow]
	if r == nil {
		if len(m.flows) >= a.cfg.MaxFlows {
			m.skipped = true
			return
		}
		r = &Record{Flow: o.Flow, Start: o.Start, End: o.End, Status: OK}
		m.flows[o.Flow] = r
	}
	r.Packets += o.Packets
	r.Bytes += o.Bytes
	r.TCPFlags |= o.TCPFlags
	if o.Start.Before(r.Start) {
		r.Start = o.Start
	}
	if o.End.After(r.End) {
		r.End = o.End
	}
}

// Skip notes that observations of an interface were lost; "" is all interfaces.
func (a *Aggregator) Skip(id string) {
	a.skip(func(i Interface) bool { return id == "" || i.ID == id })
}

func (a *Aggregator) skip(which func(Interface) bool) {
	for _, m := range a.meters {
		m.skipped = m.skipped || which(m.about)
	}
}

// Next is when Flush has something to return; the zero time if nothing is watched.
func (a *Aggregator) Next() time.Time {
	var next time.Time
	for _, m := range a.meters {
		end := m.since.Add(a.cfg.Interval)
		if m.gone {
			end = m.since
		}
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return next
}

// Flush returns the records of all intervals that are over, in order of interfaces and flows, and begins the next ones. An
// interface without traffic has one record that says so, and one of which something was left out has one for that.
func (a *Aggregator) Flush(now time.Time) []Record {
	var records []Record
	for _, id := range slices.Sorted(maps.Keys(a.meters)) {
		m := a.meters[id]
		if !m.gone && now.Before(m.since.Add(a.cfg.Interval)) {
			continue
		}
		for _, r := range slices.SortedFunc(maps.Values(m.flows), compare) {
			r.Interface = m.about
			records = append(records, *r)
		}
		note := Record{Interface: m.about, Start: m.since, End: now}
		switch {
		case m.skipped:
			note.Status = SkipData
			records = append(records, note)
		case len(m.flows) == 0:
			note.Status = NoData
			records = append(records, note)
		}
		if m.gone {
			delete(a.meters, id)
			continue
		}
		m.since, m.flows, m.skipped = now, map[Flow]*Record{}, false
	}
	return records
}

// compare orders records by their flows.
func compare(a, b *Record) int {
	return cmp.Or(a.Start.Compare(b.Start), a.Source.Compare(b.Source), a.Dest.Compare(b.Dest), cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.SourcePort, b.SourcePort), cmp.Compare(a.DestPort, b.DestPort), cmp.Compare(fmt.Sprint(a.Flow), fmt.Sprint(b.Flow)))
}
