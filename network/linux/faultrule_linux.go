package linux

import (
	"net/netip"

	"github.com/fardel-io/fardel/network"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Where addresses are in the header of IPv6.
const (
	offsetSrc6 = 8
	offsetDst6 = 24
)

// Words of the nftables machine that hold what a flow is known by, one after the other.
const (
	regFlow  = 8        // addresses: 8 or 32 bytes
	wordSize = 4        // bytes
	regHash  = reg1     // the machine's first 16 bytes are free once the hash is told
	percents = 100      // what shares are of
	ports    = wordSize // bytes of both ports
)

// addBlackholes adds the chains that drop by port.
func addBlackholes(c *nftables.Conn, table *nftables.Table, holes []network.Blackhole) {
	accept := nftables.ChainPolicyAccept
	for _, hook := range []struct {
		name     string
		point    *nftables.ChainHook
		outgoing bool
	}{{"in", nftables.ChainHookInput, false}, {"out", nftables.ChainHookOutput, true}} {
		ch := c.AddChain(&nftables.Chain{Table: table, Name: hook.name, Type: nftables.ChainTypeFilter, Hooknum: hook.point,
			Priority: nftables.ChainPriorityFilter, Policy: &accept})
		for i := range holes {
			if holes[i].Outgoing == hook.outgoing {
				addBlackhole(c, table, ch, &holes[i])
			}
		}
	}
}

// addBlackhole adds one. A packet that it spares may fall into the next one.
func addBlackhole(c *nftables.Conn, table *nftables.Table, ch *nftables.Chain, b *network.Blackhole) {
	number := byte(unix.IPPROTO_TCP)
	if b.Protocol == network.UDP {
		number = unix.IPPROTO_UDP
	}
	exprs := []expr.Any{
		meta(expr.MetaKeyL4PROTO), equal([]byte{number}),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		equal(binaryutil.BigEndian.PutUint16(b.Port)),
	}
	offset := uint32(offsetSrc) // who sends it, for what comes in
	if b.Outgoing {
		offset = offsetDst
	}
	for _, p := range b.Spared {
		if p.Addr().Is4() {
			exprs = append(exprs, prefixMatch(offset, p, expr.CmpOpNeq)...)
		}
	}
	exprs = append(exprs, &expr.Verdict{Kind: expr.VerdictDrop})
	c.AddRule(&nftables.Rule{Table: table, Chain: ch, Exprs: exprs})
}

// prefixMatch compares an address of a packet with a range.
func prefixMatch(offset uint32, p netip.Prefix, op expr.CmpOp) []expr.Any {
	size := p.Addr().BitLen() / 8
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(size)},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: uint32(size), Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: op, Register: reg1, Data: p.Masked().Addr().AsSlice()},
	}
}

// toward matches what goes to a range.
func toward(p netip.Prefix) []expr.Any {
	kind, offset := uint16(unix.ETH_P_IP), uint32(offsetDst)
	if p.Addr().Is6() {
		kind, offset = unix.ETH_P_IPV6, offsetDst6
	}
	exprs := []expr.Any{meta(expr.MetaKeyPROTOCOL), equal(binaryutil.BigEndian.PutUint16(kind))}
	return append(exprs, prefixMatch(offset, p, expr.CmpOpEq)...)
}

// addEgress adds a chain on the task's interface that does something to some of what leaves.
func addEgress(c *nftables.Conn, table *nftables.Table, name string, priority int, flows network.Flows, action []expr.Any) {
	accept := nftables.ChainPolicyAccept
	ch := c.AddChain(&nftables.Chain{Table: table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookEgress,
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(priority)), Policy: &accept, Device: eniName})
	rule := func(parts ...[]expr.Any) {
		var exprs []expr.Any
		for _, p := range parts {
			exprs = append(exprs, p...)
		}
		c.AddRule(&nftables.Rule{Table: table, Chain: ch, Exprs: exprs})
	}
	for _, p := range flows.Spared {
		rule(toward(p), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})
	}
	for _, p := range flows.To {
		if flows.Percent >= percents {
			rule(toward(p), action)
			continue
		}
		for _, number := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			rule(toward(p), []expr.Any{meta(expr.MetaKeyL4PROTO), equal([]byte{number})}, someFlows(p, true, flows.Percent), action)
		}
		// Of other protocols all between two addresses is one flow.
		rule(toward(p), []expr.Any{
			meta(expr.MetaKeyL4PROTO),
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: []byte{unix.IPPROTO_UDP}},
		}, someFlows(p, false, flows.Percent), action)
	}
}

// someFlows matches a share of the flows, always the same ones, by their addresses and ports.
func someFlows(p netip.Prefix, withPorts bool, percent int) []expr.Any {
	offset, size := uint32(offsetSrc), uint32(2*4)
	if p.Addr().Is6() {
		offset, size = offsetSrc6, 2*16
	}
	exprs := []expr.Any{&expr.Payload{DestRegister: regFlow, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}}
	if withPorts {
		exprs = append(exprs, &expr.Payload{DestRegister: regFlow + size/wordSize, Base: expr.PayloadBaseTransportHeader, Len: ports})
		size += ports
	}
	exprs = append(exprs, &expr.Hash{SourceRegister: regFlow, DestRegister: regHash, Length: size, Modulus: percents, Type: expr.HashTypeJenkins})
	return append(exprs, below(percent)...)
}

// below compares the number in the first register, which the kernel has in the machine's order.
func below(percent int) []expr.Any {
	return []expr.Any{
		&expr.Byteorder{SourceRegister: reg1, DestRegister: reg1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: reg1, Data: binaryutil.BigEndian.PutUint32(uint32(percent))},
	}
}

// lossAction drops a share of the packets.
func lossAction(percent int) []expr.Any {
	drop := &expr.Verdict{Kind: expr.VerdictDrop}
	if percent >= percents {
		return []expr.Any{drop}
	}
	exprs := []expr.Any{&expr.Numgen{Register: reg1, Modulus: percents, Type: unix.NFT_NG_RANDOM}}
	return append(append(exprs, below(percent)...), drop)
}

// delayAction sends a packet to the queue that holds it up.
func delayAction() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: reg1, Data: binaryutil.NativeEndian.PutUint32(delayClass)},
		&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: reg1, SourceRegister: true},
	}
}
