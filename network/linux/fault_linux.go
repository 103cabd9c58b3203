package linux

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var _ network.FaultInjector = (*Fabric)(nil)

// faultTable is the name of the tables that hold the faults, in the namespace of the task: they end with it. There is one
// of the family ip for what is dropped by port, and one of the family netdev for what is hit on its way out, where nobody
// tells the sender: a packet that is dropped earlier is an error of send(2).
const faultTable = "fardel-faults"

// SetFaults implements [network.FaultInjector].
func (f *Fabric) SetFaults(ctx context.Context, eniID string, faults network.Faults) error {
	if err := network.ValidateFaults(faults); err != nil {
		return fmt.Errorf("set faults of %s: %w", eniID, err)
	}
	end, err := f.begin(ctx)
	if err != nil {
		return fmt.Errorf("set faults of %s: %w", eniID, err)
	}
	defer end()
	defer f.keys.Lock(eniID)()
	rec, ok := f.get(eniID)
	if !ok {
		return fmt.Errorf("set faults of %s: %w: it is not attached", eniID, network.ErrNotFound)
	}
	ns, err := openNamespace(rec.Attachment.NetNS)
	if err != nil {
		return fmt.Errorf("set faults of %s: %w", eniID, err)
	}
	defer ns.close()
	if err := setFaults(ns, faults); err != nil {
		return fmt.Errorf("set faults of %s: %w", eniID, err)
	}
	return nil
}

// setFaults makes the queue before the rules that send packets to it, and removes it after them.
func setFaults(ns *namespace, faults network.Faults) error {
	if faults.Delay != nil {
		if err := setDelay(ns.handle, *faults.Delay); err != nil {
			return err
		}
	}
	if err := setFaultRules(ns.file, faults); err != nil {
		return err
	}
	if faults.Delay == nil {
		return endDelay(ns.handle)
	}
	return nil
}

// setFaultRules replaces the rules of both tables in one transaction.
func setFaultRules(ns *os.File, faults network.Faults) error {
	t := newTables(ns)
	defer t.close()
	err := t.transaction(!faults.None(), func(c *nftables.Conn) error {
		for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyNetdev} {
			table := &nftables.Table{Family: family, Name: faultTable}
			c.AddTable(table) // removing a missing table is an error, adding one that is there is not
			c.DelTable(table)
		}
		if len(faults.Blackholes) > 0 {
			addBlackholes(c, c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: faultTable}), faults.Blackholes)
		}
		if faults.Delay == nil && faults.Loss == nil {
			return nil
		}
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: faultTable})
		// Loss comes first: what is lost is not delayed.
		if l := faults.Loss; l != nil {
			addEgress(c, table, "loss", -1, l.Flows, lossAction(l.Percent))
		}
		if d := faults.Delay; d != nil {
			addEgress(c, table, "delay", 0, d.Flows, delayAction())
		}
		return nil
	})
	if errors.Is(err, network.ErrUnsupported) || errors.Is(err, unix.ENOENT) && !faults.None() {
		return &network.UnsupportedError{Feature: "faults in the network", Err: err,
			Needs: "nftables in the kernel with its netdev family, from 5.16 on: modprobe nf_tables nft_numgen nft_hash"}
	}
	return err
}

// The queues of a delay: what goes out passes three bands of a prio qdisc as if there were none, and what the rules choose
// the fourth, which has the netem qdisc that holds it up.
const (
	delayBands  = 4
	rootHandle  = 1 << 16                 // 1:
	delayClass  = rootHandle | delayBands // 1:4
	netemHandle = 10 << 16                // 10:
)

// setDelay makes or changes the queues.
func setDelay(h *netlink.Handle, d network.Delay) error {
	link, err := h.LinkByName(eniName)
	if err != nil {
		return err
	}
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: rootHandle, Parent: netlink.HANDLE_ROOT}
	prio := netlink.NewPrio(attrs)
	prio.Bands = delayBands
	if err := h.QdiscReplace(prio); err != nil {
		return unsupportedQdisc("sch_prio", err)
	}
	attrs.Handle, attrs.Parent = netemHandle, delayClass
	netem := netlink.NewNetem(attrs, netlink.NetemQdiscAttrs{
		Latency: microseconds(d.Milliseconds), Jitter: microseconds(d.Jitter), Limit: delayLimit,
	})
	if err := h.QdiscReplace(netem); err != nil {
		return errors.Join(unsupportedQdisc("sch_netem", err), endDelay(h))
	}
	return nil
}

// delayLimit is how many packets can be held up: a second of 1 Gbit/s. netem's default of 1000 would lose packets, too.
const delayLimit = 83_000

// microseconds is a time of at most ten minutes, which fits.
func microseconds(ms int) uint32 {
	return uint32(min(time.Duration(ms)*time.Millisecond/time.Microsecond, math.MaxUint32))
}

// endDelay removes the queues. A link of a task has none of its own.
func endDelay(h *netlink.Handle) error {
	link, err := h.LinkByName(eniName)
	if err != nil {
		return err
	}
	qdiscs, err := h.QdiscList(link)
	if err != nil {
		return err
	}
	for _, q := range qdiscs {
		if a := q.Attrs(); a.Parent == netlink.HANDLE_ROOT && a.Handle == rootHandle {
			return h.QdiscDel(q)
		}
	}
	return nil
}

// unsupportedQdisc names the module that the kernel lacks.
func unsupportedQdisc(module string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return &network.UnsupportedError{Feature: "latency", Err: err,
			Needs: module + " in the kernel: modprobe " + module + " (Debian's and Ubuntu's kernels for clouds lack it)"}
	}
	return unsupported(err)
}
