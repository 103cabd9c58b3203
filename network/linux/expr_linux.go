package linux

import (
	"net"
	"net/netip"

	"github.com/fardel-io/fardel/network"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers of the nftables machine: register 1 holds 16 bytes, and the next ones follow it in words of 4 bytes, counted
// from 8.
const (
	reg1     = 1
	reg2     = 2
	regWords = 8
)

// Where addresses are in the header of IPv4.
const (
	offsetSrc = 12
	offsetDst = 16
)

// offsets of fields in the header of a family, and the length of addresses.
type offsets struct{ src, dst, length uint32 }

func (f family) offsets() offsets {
	if f == ipv6 {
		return offsets{offsetSrc6, offsetDst6, 16}
	}
	return offsets{offsetSrc, offsetDst, 4}
}

// expressions translates a statement for the kernel.
func expressions(f family, s statement) []expr.Any {
	at := f.offsets()
	switch s := s.(type) {
	case iif:
		return []expr.Any{meta(expr.MetaKeyIIFNAME), equal(ifname(s.Name))}
	case iifIn:
		return []expr.Any{meta(expr.MetaKeyIIFNAME), inSet(s.Set)}
	case oif:
		return []expr.Any{meta(expr.MetaKeyOIFNAME), equal(ifname(s.Name))}
	case oifIn:
		return []expr.Any{meta(expr.MetaKeyOIFNAME), inSet(s.Set)}
	case notOIFIn:
		return []expr.Any{meta(expr.MetaKeyOIFNAME), &expr.Lookup{SourceRegister: reg1, SetName: s.Set, Invert: true}}
	case notIIFIn:
		return []expr.Any{meta(expr.MetaKeyIIFNAME), &expr.Lookup{SourceRegister: reg1, SetName: s.Set, Invert: true}}
	case source:
		return inPrefix(at.src, s.Prefix)
	case dest:
		return inPrefix(at.dst, s.Prefix)
	case sourceIn:
		return []expr.Any{header(at.src, at.length), inSet(s.Set)}
	case destIn:
		return []expr.Any{header(at.dst, at.length), inSet(s.Set)}
	case notDest:
		list := inPrefix(at.dst, s.Prefix)
		list[len(list)-1].(*expr.Cmp).Op = expr.CmpOpNeq
		return list
	case serviceIn:
		return append(serviceHeader(at.dst, at.length), inSet(s.Set))
	case sourceCheck, senderCheck:
		return senderMatch(f, s)
	case arpCheck:
		return []expr.Any{meta(expr.MetaKeyIIFNAME),
			&expr.Payload{DestRegister: regWords + 4, Base: expr.PayloadBaseNetworkHeader, Offset: 14, Len: 4},
			&expr.Payload{DestRegister: regWords + 5, Base: expr.PayloadBaseNetworkHeader, Offset: 8, Len: 6}, inSet(s.Set)}
	case protocol:
		return []expr.Any{meta(expr.MetaKeyL4PROTO), equal([]byte{s.Number})}
	case destPort:
		return portRange(s)
	case icmp:
		return icmpMatch(s)
	case verdict:
		return []expr.Any{verdictOf(s)}
	}
	if list := stateExpressions(s); list != nil {
		return list
	}
	if list := markExpressions(s); list != nil {
		return list
	}
	if list := chargeExpressions(s); list != nil {
		return list
	}
	return translating(f, s)
}

// chargeExpressions translates what bounds how much an interface does.
func chargeExpressions(s statement) []expr.Any {
	switch s := s.(type) {
	case iifHead:
		return []expr.Any{meta(expr.MetaKeyIIFNAME), equal([]byte(s.Head))}
	case oifHead:
		return []expr.Any{meta(expr.MetaKeyOIFNAME), equal([]byte(s.Head))}
	case confirmed:
		return connBits(expr.CtKeySTATUS, 1<<3) // IPS_CONFIRMED
	case counter:
		return []expr.Any{&expr.Counter{}}
	case icmpTypes:
		return []expr.Any{transport(0, 1), &expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: []byte{s.From}}, &expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: []byte{s.To}}}
	case fragment:
		if s.Family == ipv6 {
			return []expr.Any{&expr.Exthdr{DestRegister: reg1, Type: unix.IPPROTO_FRAGMENT, Len: 1, Flags: unix.NFT_EXTHDR_F_PRESENT, Op: expr.ExthdrOpIpv6}, equal([]byte{1})}
		}
		return []expr.Any{header(6, 2), // flags and offset
			&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 2, Mask: []byte{0x3f, 0xff}, Xor: []byte{0, 0}},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: []byte{0, 0}}}
	case rateOver:
		return charge(s.In, &expr.Dynset{SetName: s.Set, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: rateIdle,
			Exprs: []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(s.PerSecond), Unit: expr.LimitTimeSecond, Burst: uint32(s.Burst), Over: true}}})
	case shard:
		return []expr.Any{&expr.Hash{DestRegister: reg1, Modulus: uint32(s.Of), Type: expr.HashTypeSym},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1}}
	case countOver:
		return charge(s.In, &expr.Dynset{SetName: s.Set, Operation: unix.NFT_DYNSET_OP_ADD,
			Exprs: []expr.Any{&expr.Connlimit{Count: uint32(s.Open), Flags: expr.NFT_CONNLIMIT_F_INV}}},
			&expr.Meta{Key: expr.MetaKeyMARK, Register: regWords + 4})
	}
	return nil
}

// charge asks a set that the kernel fills about an interface and more of its key.
func charge(in bool, ask *expr.Dynset, more ...expr.Any) []expr.Any {
	key := expr.MetaKeyOIFNAME
	if in {
		key = expr.MetaKeyIIFNAME
	}
	ask.SrcRegKey = reg1
	return append(append([]expr.Any{meta(key)}, more...), ask)
}

// senderMatch compares what only the sender's link can have.
func senderMatch(f family, s statement) []expr.Any {
	at := f.offsets()
	list := []expr.Any{
		meta(expr.MetaKeyIIFTYPE), equal(binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)), // others have no such header
		meta(expr.MetaKeyIIFNAME),
	}
	word := uint32(regWords + 4) // after the 16 bytes of an interface's name
	name := ""
	switch s := s.(type) {
	case sourceCheck:
		name = s.Set
		list = append(list, &expr.Payload{DestRegister: word, Base: expr.PayloadBaseNetworkHeader, Offset: at.src, Len: at.length})
		word += at.length / 4
	case senderCheck:
		name = s.Set
	}
	return append(list, &expr.Payload{DestRegister: word, Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6}, inSet(name))
}

// serviceHeader loads an address, unless its length is 0, the protocol and what is the destination port of those that have
// ports.
func serviceHeader(offset, length uint32) []expr.Any {
	var list []expr.Any
	at := uint32(regWords)
	if length > 0 {
		list = append(list, &expr.Payload{DestRegister: at, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length})
		at += length / 4
	}
	return append(list, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: at},
		&expr.Payload{DestRegister: at + 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
}

// stateExpressions translates what asks connection tracking or routing.
func stateExpressions(s statement) []expr.Any {
	switch s.(type) {
	case tracked:
		return connBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	case untracked:
		return connBits(expr.CtKeySTATE, expr.CtStateBitINVALID)
	case translated:
		return connBits(expr.CtKeySTATUS, 1<<5) // IPS_DST_NAT
	case fromHere:
		return []expr.Any{&expr.Fib{Register: reg1, ResultADDRTYPE: true, FlagSADDR: true},
			equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL))}
	case toHere:
		return []expr.Any{&expr.Fib{Register: reg1, ResultADDRTYPE: true, FlagDADDR: true},
			equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL))}
	case known:
		return []expr.Any{&expr.Fib{Register: reg1, ResultOIF: true, FlagSADDR: true, FlagPRESENT: true}, equal([]byte{1})}
	}
	return nil
}

// markExpressions translates what has to do with marks, classes and groups of links.
func markExpressions(s statement) []expr.Any {
	mark := &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1}
	switch s := s.(type) {
	case markGroup:
		return []expr.Any{meta(expr.MetaKeyIIFGROUP), mark}
	case withinGroup:
		return []expr.Any{meta(expr.MetaKeyIIFGROUP), &expr.Meta{Key: expr.MetaKeyOIFGROUP, Register: regWords + 1}, inSet(s.Set)}
	case groupVerdict:
		key := expr.MetaKeyOIFGROUP
		if s.In {
			key = expr.MetaKeyIIFGROUP
		}
		return []expr.Any{meta(key), &expr.Lookup{SourceRegister: reg1, DestRegister: 0, IsDestRegSet: true, SetName: s.Map}}
	case classOf:
		key := expr.MetaKeyOIFNAME
		if s.Source {
			key = expr.MetaKeyIIFNAME
		}
		return []expr.Any{meta(key), &expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: classSet}, mark}
	case classVerdict:
		return []expr.Any{meta(expr.MetaKeyMARK), &expr.Lookup{SourceRegister: reg1, DestRegister: 0, IsDestRegSet: true, SetName: s.Map}}
	}
	return nil
}

// translating translates what changes addresses.
func translating(f family, s statement) []expr.Any {
	at := f.offsets()
	mapped := func(offset uint32, name string, kind expr.NATType) []expr.Any {
		return []expr.Any{
			header(offset, at.length),
			&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: name},
			&expr.NAT{Type: kind, Family: f.number(), RegAddrMin: reg1},
		}
	}
	switch s := s.(type) {
	case masquerade:
		return []expr.Any{&expr.Masq{}}
	case masqPorts:
		return []expr.Any{
			&expr.Immediate{Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.From)},
			&expr.Immediate{Register: reg2, Data: binaryutil.BigEndian.PutUint16(s.To)},
			&expr.Masq{ToPorts: true, RegProtoMin: reg1, RegProtoMax: reg2},
		}
	case snatMap:
		return mapped(at.src, s.Map, expr.NATTypeSourceNAT)
	case dnatMap:
		return mapped(at.dst, s.Map, expr.NATTypeDestNAT)
	case dnatService:
		list := serviceHeader(at.dst, at.length)
		if s.Port {
			list = serviceHeader(0, 0)
		}
		return append(list, &expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: s.Map},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: f.number(), RegAddrMin: reg1, RegProtoMin: regWords + at.length/4, Specified: true})
	case snat:
		return []expr.Any{&expr.Immediate{Register: reg1, Data: s.To.AsSlice()},
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: f.number(), RegAddrMin: reg1}}
	}
	return nil
}

// number returns the family as the kernel counts them.
func (f family) number() uint32 {
	switch f {
	case ipv6:
		return unix.NFPROTO_IPV6
	case arp:
		return unix.NFPROTO_ARP
	}
	return unix.NFPROTO_IPV4
}

func meta(key expr.MetaKey) *expr.Meta { return &expr.Meta{Key: key, Register: reg1} }

func equal(data []byte) *expr.Cmp {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: data}
}

func inSet(name string) *expr.Lookup { return &expr.Lookup{SourceRegister: reg1, SetName: name} }

func header(offset, length uint32) *expr.Payload {
	return &expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}
}

func transport(offset, length uint32) *expr.Payload {
	return &expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}
}

// connBits matches any of some bits of what connection tracking knows.
func connBits(key expr.CtKey, bits uint32) []expr.Any {
	zero := make([]byte, 4)
	return []expr.Any{
		&expr.Ct{Register: reg1, Key: key},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: zero},
	}
}

func inPrefix(offset uint32, p netip.Prefix) []expr.Any {
	bits := p.Addr().BitLen()
	length := uint32(bits / 8)
	list := []expr.Any{header(offset, length)}
	if !p.IsSingleIP() {
		list = append(list, &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: length, Mask: net.CIDRMask(p.Bits(), bits), Xor: make([]byte, length)})
	}
	return append(list, equal(p.Addr().AsSlice()))
}

func portRange(s destPort) []expr.Any {
	from, to := binaryutil.BigEndian.PutUint16(s.From), binaryutil.BigEndian.PutUint16(s.To)
	if s.From == s.To {
		return []expr.Any{transport(2, 2), equal(from)}
	}
	return []expr.Any{
		transport(2, 2),
		&expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: from},
		&expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: to},
	}
}

func icmpMatch(s icmp) []expr.Any {
	list := []expr.Any{transport(0, 1), equal([]byte{byte(s.Type)})}
	if s.Code != network.AnyICMP {
		list = append(list, transport(1, 1), equal([]byte{byte(s.Code)}))
	}
	return list
}

func verdictOf(v verdict) *expr.Verdict {
	kinds := map[string]expr.VerdictKind{"accept": expr.VerdictAccept, "drop": expr.VerdictDrop, "jump": expr.VerdictJump, "goto": expr.VerdictGoto, "return": expr.VerdictReturn}
	return &expr.Verdict{Kind: kinds[v.Kind], Chain: v.Chain}
}
