package linux

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/fardel-io/fardel/network"
)

// Flows are counted in a table of their own in the router's namespace, which the ruleset knows nothing of and which goes
// with the router. Its chains see every packet that is forwarded: one before the ruleset's chain, one after it. So what
// was refused is the difference, and no packet waits for a program.
const (
	flowTable    = "fardel-flows"
	flowSetSize  = 1 << 16 // flows of each set; a packet of one more is not counted
	flowIdle     = 20 * time.Minute
	flowPriority = 150 // before and after the ruleset's chains, whose priority is 0
)

// flowSide is one of the two places where packets are counted.
type flowSide struct {
	name     string
	priority int32
}

func flowSides() [2]flowSide {
	return [2]flowSide{{"offered", -flowPriority}, {"passed", flowPriority}}
}

// flowFamily is how a version of IP looks: its keys are both addresses, protocol, ports and TCP flags, each in words of 4
// bytes.
type flowFamily struct {
	suffix        string
	number        byte
	addrLen       uint32
	sourceOffset  uint32
	protocolWords uint32
}

func flowFamilies() [2]flowFamily {
	return [2]flowFamily{{"4", unix.NFPROTO_IPV4, 4, 12, 2}, {"6", unix.NFPROTO_IPV6, 16, 8, 8}}
}

// tcpFlagsCounted are FIN, SYN, RST and ACK: with more, a connection would be more keys.
const tcpFlagsCounted = 0x17

// flowMeters are what was read last of each VPC's counters.
type flowMeters struct {
	mu   sync.Mutex
	last map[string]map[flowKey]flowPair // by VPC
}

// flowKey is an element of the sets of one version of IP.
type flowKey struct {
	family int
	key    string
}

// flowPair is what both sides have counted of a key.
type flowPair struct{ offered, passed expr.Counter }

// CountFlows implements [network.FlowCounter]. What passes while no program asks is counted for 20 minutes, but the
// program after it does not get it.
func (f *Fabric) CountFlows(ctx context.Context, vpcID string) (counts []network.FlowCount, lost bool, err error) {
	end, err := f.begin(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("count flows of %s: %w", vpcID, err)
	}
	defer end()
	r := f.router(vpcID)
	if r == nil {
		return nil, false, fmt.Errorf("count flows of %s: %w: the VPC is not applied", vpcID, network.ErrNotFound)
	}
	f.flows.mu.Lock()
	defer f.flows.mu.Unlock()
	now, lost, err := r.readFlows()
	if err != nil {
		return nil, false, fmt.Errorf("count flows of %s: %w", vpcID, err)
	}
	last, began := f.flows.last[vpcID]
	if f.flows.last == nil {
		f.flows.last = map[string]map[flowKey]flowPair{}
	}
	f.flows.last[vpcID] = now
	counts = flowDifference(last, now)
	if !began {
		return nil, false, nil
	}
	return counts, lost, nil
}

// readFlows reads all counters of a router, and makes the table if there is none.
func (r *router) readFlows() (all map[flowKey]flowPair, lost bool, err error) {
	all = map[flowKey]flowPair{}
	err = r.tables.transaction(true, func(c *nftables.Conn) error {
		table, err := flowTableOf(c)
		if err != nil {
			return err
		}
		for i, side := range flowSides() { // what is offered first: see flowDifference
			for j, family := range flowFamilies() {
				elements, err := c.GetSetElements(&nftables.Set{Table: table, Name: side.name + family.suffix})
				if err != nil {
					return err
				}
				lost = lost || len(elements) >= flowSetSize
				for _, e := range elements {
					if e.Counter == nil {
						continue
					}
					k := flowKey{j, string(e.Key)}
					pair := all[k]
					if i == 0 {
						pair.offered = *e.Counter
					} else {
						pair.passed = *e.Counter
					}
					all[k] = pair
				}
			}
		}
		return nil
	})
	return all, lost, err
}

// flowTableOf returns the table, which it makes as a whole if it is not there.
func flowTableOf(c *nftables.Conn) (*nftables.Table, error) {
	list, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.Name == flowTable {
			return t, nil
		}
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: flowTable})
	id := uint32(1)
	for _, side := range flowSides() {
		priority := nftables.ChainPriority(side.priority)
		chain := c.AddChain(&nftables.Chain{Table: table, Name: side.name, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: &priority})
		for _, family := range flowFamilies() {
			set := &nftables.Set{Table: table, ID: id, Name: side.name + family.suffix, Dynamic: true, HasTimeout: true, Timeout: flowIdle,
				Size: flowSetSize, KeyType: nftables.SetDatatype{Name: "flow", Bytes: 2*family.addrLen + 16}}
			id++
			if err := c.AddSet(set, nil); err != nil {
				return nil, err
			}
			for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, 0} {
				c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: family.rule(set, protocol)})
			}
		}
	}
	return table, c.Flush()
}

// rule counts the packets of a protocol, or of all that have no ports, and leaves the chain.
func (f flowFamily) rule(set *nftables.Set, protocol byte) []expr.Any {
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{f.number}},
	}
	word := func(n uint32) uint32 { return unix.NFT_REG32_00 + n }
	p := f.protocolWords
	if protocol != 0 {
		exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{protocol}})
	}
	exprs = append(exprs,
		&expr.Payload{DestRegister: word(0), Base: expr.PayloadBaseNetworkHeader, Offset: f.sourceOffset, Len: f.addrLen},
		&expr.Payload{DestRegister: word(f.addrLen / 4), Base: expr.PayloadBaseNetworkHeader, Offset: f.sourceOffset + f.addrLen, Len: f.addrLen},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: word(p)})
	none := &expr.Immediate{Data: make([]byte, 4)}
	for i := range uint32(2) {
		if protocol == 0 {
			exprs = append(exprs, &expr.Immediate{Register: word(p + 1 + i), Data: none.Data})
		} else {
			exprs = append(exprs, &expr.Payload{DestRegister: word(p + 1 + i), Base: expr.PayloadBaseTransportHeader, Offset: 2 * i, Len: 2})
		}
	}
	if protocol == unix.IPPROTO_TCP {
		exprs = append(exprs,
			&expr.Payload{DestRegister: word(p + 3), Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
			&expr.Bitwise{SourceRegister: word(p + 3), DestRegister: word(p + 3), Len: 4, Mask: []byte{tcpFlagsCounted, 0, 0, 0}, Xor: make([]byte, 4)})
	} else {
		exprs = append(exprs, &expr.Immediate{Register: word(p + 3), Data: none.Data})
	}
	return append(exprs,
		&expr.Dynset{SrcRegKey: word(0), SetID: set.ID, SetName: set.Name, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: flowIdle,
			Exprs: []expr.Any{&expr.Counter{}}},
		&expr.Verdict{Kind: expr.VerdictReturn})
}

// flowDifference returns what was counted between two readings. A packet that passes while they are read is seen to pass
// before it is seen to come: now is changed so that the next reading has it whole.
func flowDifference(last, now map[flowKey]flowPair) []network.FlowCount {
	flows := map[network.FlowCount]*network.FlowCount{}
	for key, pair := range now {
		offered, passed := countSince(last[key].offered, pair.offered), countSince(last[key].passed, pair.passed)
		if early := passed.Packets - min(passed.Packets, offered.Packets); early > 0 {
			bytes := passed.Bytes - min(passed.Bytes, offered.Bytes)
			pair.passed.Packets, pair.passed.Bytes = pair.passed.Packets-early, pair.passed.Bytes-bytes
			now[key] = pair
			passed.Packets, passed.Bytes = passed.Packets-early, passed.Bytes-bytes
		}
		flow, ok := key.flow()
		if offered.Packets == 0 || !ok {
			continue
		}
		id := flow
		id.TCPFlags = 0
		sum := flows[id]
		if sum == nil {
			sum = &network.FlowCount{}
			*sum = id
			flows[id] = sum
		}
		sum.TCPFlags |= flow.TCPFlags
		sum.OfferedPackets += offered.Packets
		sum.OfferedBytes += offered.Bytes
		sum.PassedPackets += passed.Packets
		sum.PassedBytes += passed.Bytes
	}
	list := make([]network.FlowCount, 0, len(flows))
	for _, f := range slices.SortedFunc(maps.Values(flows), compareFlows) {
		list = append(list, *f)
	}
	return list
}

// countSince returns what was added to a counter. One that is lower than before is a new one: the flow was idle, and
// forgotten.
func countSince(was, is expr.Counter) expr.Counter {
	if was.Packets > is.Packets || was.Bytes > is.Bytes {
		return is
	}
	return expr.Counter{Packets: is.Packets - was.Packets, Bytes: is.Bytes - was.Bytes}
}

func compareFlows(a, b *network.FlowCount) int {
	if c := a.Source.Compare(b.Source); c != 0 {
		return c
	}
	if c := a.Destination.Compare(b.Destination); c != 0 {
		return c
	}
	key := func(f *network.FlowCount) int {
		return int(f.Protocol)<<32 | int(f.SourcePort)<<16 | int(f.DestinationPort)
	}
	return key(a) - key(b)
}

// flow reads the key of an element.
func (k flowKey) flow() (f network.FlowCount, ok bool) {
	b := []byte(k.key)
	n := int(flowFamilies()[k.family].addrLen)
	if len(b) != 2*n+16 {
		return f, false
	}
	f.Source, _ = netip.AddrFromSlice(b[:n])
	f.Destination, _ = netip.AddrFromSlice(b[n : 2*n])
	b = b[2*n:]
	f.Protocol, f.TCPFlags = b[0], b[12]
	f.SourcePort, f.DestinationPort = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[8:])
	return f, true
}
