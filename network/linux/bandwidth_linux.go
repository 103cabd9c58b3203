package linux

import (
	"errors"

	"github.com/fardel-io/fardel/network"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// setLimit makes the table that limits an ENI whole.
func (r *router) setLimit(e network.ENI) error {
	name := limitTable(e)
	if name == "" {
		return nil
	}
	err := r.tables.transaction(true, func(c *nftables.Conn) error {
		table := &nftables.Table{Family: nftables.TableFamilyNetdev, Name: name}
		c.AddTable(table)
		c.DelTable(table)
		c.AddTable(table)
		// A task sends what comes in by the router's end of its link.
		addLimit(c, table, linkName(e.ID), "from-task", nftables.ChainHookIngress, e.Bandwidth.Egress)
		addLimit(c, table, linkName(e.ID), "to-task", nftables.ChainHookEgress, e.Bandwidth.Ingress)
		return nil
	})
	if errors.Is(err, network.ErrUnsupported) {
		return &network.UnsupportedError{Feature: "a limit of bandwidth", Err: err,
			Needs: "nftables in the kernel with its netdev family, from 5.16 on: modprobe nf_tables nft_limit"}
	}
	return err
}

func addLimit(c *nftables.Conn, table *nftables.Table, link, name string, hook *nftables.ChainHook, bitsPerSecond int64) {
	if bitsPerSecond == 0 {
		return
	}
	accept := nftables.ChainPolicyAccept
	ch := c.AddChain(&nftables.Chain{Table: table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook,
		Priority: nftables.ChainPriorityRef(0), Policy: &accept, Device: link})
	c.AddRule(&nftables.Rule{Table: table, Chain: ch, Exprs: []expr.Any{
		&expr.Limit{Type: expr.LimitTypePktBytes, Rate: uint64(bitsPerSecond) / 8, Unit: expr.LimitTimeSecond, Burst: limitBurst, Over: true},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
}

// dropLimit removes a table that may be gone.
func (r *router) dropLimit(name string) error {
	if name == "" {
		return nil
	}
	return r.tables.transaction(false, func(c *nftables.Conn) error {
		table := &nftables.Table{Family: nftables.TableFamilyNetdev, Name: name}
		c.AddTable(table)
		c.DelTable(table)
		return nil
	})
}

// limits lists the tables that limit ENIs. A kernel without the netdev family has none.
func (r *router) limits() (map[string]bool, error) {
	found := map[string]bool{}
	err := r.tables.transaction(false, func(c *nftables.Conn) error {
		list, err := c.ListTablesOfFamily(nftables.TableFamilyNetdev)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) {
			return nil
		}
		for _, t := range list {
			if isLimit(t.Name) {
				found[t.Name] = true
			}
		}
		return err
	})
	return found, err
}

// exchangeLimit puts one limit of an ENI in the place of another.
func (r *router) exchangeLimit(old, e network.ENI) error {
	if limitTable(old) == limitTable(e) {
		return nil
	}
	if err := r.setLimit(e); err != nil {
		return err
	}
	return r.dropLimit(limitTable(old))
}
