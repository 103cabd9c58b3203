package flowlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fardel-io/fardel/network"
)

// CollectorConfig says what a collector reads and where it writes.
type CollectorConfig struct {
	Counter network.FlowCounter                              // required; such as network/linux's fabric
	State   func(ctx context.Context) (network.State, error) // what is applied, with ENIs; required
	Logs    []Log                                            // at least one
	Sink    Sink                                             // takes the records of all logs; required

	AccountID string        // in records
	Poll      time.Duration // how often packets are counted; 0 is 10 s. No time in a record is more exact

	Logger *slog.Logger // nil discards
}

// Collector writes flow logs of what a fabric counts.
type Collector struct {
	cfg  CollectorConfig
	logs []*logging
	last time.Time
	enis []network.ENI // at the last poll
}

// logging is one log under way.
type logging struct {
	Log
	agg     *Aggregator
	watched map[string]bool
}

// NewCollector returns a collector. The error matches [ErrInvalid].
func NewCollector(cfg CollectorConfig) (*Collector, error) {
	if cfg.Counter == nil || cfg.State == nil || cfg.Sink == nil || len(cfg.Logs) == 0 || cfg.Poll < 0 {
		return nil, fmt.Errorf("configure flow logs: %w: Counter, State, Sink and at least one log are required, and Poll is not negative", ErrInvalid)
	}
	if cfg.Poll == 0 {
		cfg.Poll = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Collector{cfg: cfg}
	for _, l := range cfg.Logs {
		l, err := l.WithDefaults()
		if err != nil {
			return nil, fmt.Errorf("configure flow logs: %w", err)
		}
		c.logs = append(c.logs, &logging{Log: l, agg: NewAggregator(Config{Interval: l.Interval}), watched: map[string]bool{}})
	}
	return c, nil
}

// Run counts and writes until ctx ends, then writes what it has, and returns nil. What goes wrong meanwhile is logged, and
// the records that lack something for it say so.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Poll)
	defer tick.Stop()
	c.last = time.Now()
	for {
		if err := c.poll(ctx, time.Now()); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Error("flow logs lack packets", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c.end(context.WithoutCancel(ctx))
		}
	}
}

// end writes the last records.
func (c *Collector) end(ctx context.Context) error {
	err := c.poll(ctx, time.Now())
	for _, l := range c.logs {
		for id := range l.watched {
			l.agg.Unwatch(id)
		}
		err = errors.Join(err, c.write(l, time.Now()))
	}
	return err
}

// poll counts once and writes what is due.
func (c *Collector) poll(ctx context.Context, now time.Time) error {
	s, err := c.cfg.State(ctx)
	if err != nil {
		c.skip("")
		return fmt.Errorf("read network state: %w", err)
	}
	var errs []error
	interfaces := c.watch(s, now)
	for _, e := range c.enis {
		if i := c.about(s, e); c.covered(i) {
			interfaces[i.VPCID] = true
		}
	}
	before := s.ENIs
	s.ENIs = withGone(s.ENIs, c.enis)
	c.enis = before
	for _, v := range s.VPCs {
		if !interfaces[v.ID] && !c.awaits(s, v) {
			continue
		}
		counts, lost, err := c.cfg.Counter.CountFlows(ctx, v.ID)
		if lost || err != nil {
			c.skip(v.ID)
		}
		if err != nil {
			errs = append(errs, err)
		}
		for _, o := range Observe(s, v.ID, counts, c.last, now) {
			for _, l := range c.logs {
				l.agg.Add(o)
			}
		}
	}
	c.last = now
	for _, l := range c.logs {
		errs = append(errs, c.write(l, now))
	}
	return errors.Join(errs...)
}

// withGone returns ENIs and those that were there at the last poll: what they sent since is theirs, unless another one has
// the address by now.
func withGone(enis, last []network.ENI) []network.ENI {
	all := slices.Clone(enis)
	for _, e := range last {
		if !slices.ContainsFunc(enis, func(n network.ENI) bool {
			return n.ID == e.ID || n.Subnet == e.Subnet && n.PrivateIPv4 == e.PrivateIPv4
		}) {
			all = append(all, e)
		}
	}
	return all
}

// skip notes that packets of a VPC, or of all, were not counted.
func (c *Collector) skip(vpcID string) {
	for _, l := range c.logs {
		l.agg.skip(func(i Interface) bool { return vpcID == "" || i.VPCID == vpcID })
	}
}

// watch has the logs cover the ENIs that there are, and returns the VPCs that have any of them.
func (c *Collector) watch(s network.State, now time.Time) (vpcs map[string]bool) {
	vpcs = map[string]bool{}
	there := map[string]bool{}
	for _, e := range s.ENIs {
		i := c.about(s, e)
		there[e.ID] = true
		for _, l := range c.logs {
			if l.Covers(i) {
				l.agg.Watch(i, now)
				l.watched[e.ID], vpcs[i.VPCID] = true, true
			}
		}
	}
	for _, l := range c.logs {
		for id := range l.watched {
			if !there[id] {
				l.agg.Unwatch(id)
				delete(l.watched, id)
			}
		}
	}
	return vpcs
}

// about is what records say of an ENI.
func (c *Collector) about(s network.State, e network.ENI) Interface {
	n, _ := s.Subnet(e.Subnet)
	v, _ := s.VPC(n.VPC)
	return Interface{ID: e.ID, AccountID: c.cfg.AccountID, VPCID: n.VPC, SubnetID: n.ID, Region: v.Region, AZID: n.AvailabilityZone}
}

func (c *Collector) covered(i Interface) bool {
	return slices.ContainsFunc(c.logs, func(l *logging) bool { return l.Covers(i) })
}

// awaits reports whether a log is about interfaces that a VPC may get. They are counted from their first packet on then.
func (c *Collector) awaits(s network.State, v network.VPC) bool {
	return slices.ContainsFunc(c.logs, func(l *logging) bool {
		n, _ := s.Subnet(l.ResourceID)
		return l.Covers(Interface{VPCID: v.ID}) || n.VPC == v.ID
	})
}

// write hands the records that are due to the sink.
func (c *Collector) write(l *logging, now time.Time) error {
	var records []Record
	for _, r := range l.agg.Flush(now) {
		if l.Wants(r) {
			records = append(records, r)
		}
	}
	if len(records) == 0 {
		return nil
	}
	if err := c.cfg.Sink.Write(l.Log, records); err != nil {
		return fmt.Errorf("write flow log %s: %w", l.ID, err)
	}
	return nil
}
