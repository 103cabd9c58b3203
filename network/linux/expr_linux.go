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
	reg1       = 1
	regWord4   = 8 + 4 // after the 16 bytes of an interface's name
	regWord5   = 8 + 5
	offsetSrc  = 12 // in the IPv4 header
	offsetDst  = 16
	offsetKind = 9
)

// expressions translates a statement for the kernel.
func expressions(s statement) []expr.Any {
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
	case source:
		return inPrefix(offsetSrc, s.Prefix)
	case dest:
		return inPrefix(offsetDst, s.Prefix)
	case sourceIn:
		return []expr.Any{header(offsetSrc, 4), inSet(s.Set)}
	case destIn:
		return []expr.Any{header(offsetDst, 4), inSet(s.Set)}
	case sourceCheck:
		return []expr.Any{
			meta(expr.MetaKeyIIFTYPE), equal(binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)), // others have no such header
			meta(expr.MetaKeyIIFNAME),
			&expr.Payload{DestRegister: regWord4, Base: expr.PayloadBaseNetworkHeader, Offset: offsetSrc, Len: 4},
			&expr.Payload{DestRegister: regWord5, Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6},
			inSet(s.Set),
		}
	case protocol:
		return []expr.Any{header(offsetKind, 1), equal([]byte{s.Number})}
	case destPort:
		return portRange(s)
	case icmp:
		return icmpMatch(s)
	case tracked:
		return connState(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	case untracked:
		return connState(expr.CtStateBitINVALID)
	case classOf:
		offset := uint32(offsetDst)
		if s.Source {
			offset = offsetSrc
		}
		return []expr.Any{
			header(offset, 4),
			&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: classSet},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1},
		}
	case classVerdict:
		return []expr.Any{
			meta(expr.MetaKeyMARK),
			&expr.Lookup{SourceRegister: reg1, DestRegister: 0, IsDestRegSet: true, SetName: s.Map},
		}
	case masquerade:
		return []expr.Any{&expr.Masq{}}
	case verdict:
		return []expr.Any{verdictOf(s)}
	}
	return nil
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

// connState matches any of some states of connection tracking.
func connState(bits uint32) []expr.Any {
	zero := make([]byte, 4)
	return []expr.Any{
		&expr.Ct{Register: reg1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: zero},
	}
}

func inPrefix(offset uint32, p netip.Prefix) []expr.Any {
	list := []expr.Any{header(offset, 4)}
	if !p.IsSingleIP() {
		list = append(list, &expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)})
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
	kinds := map[string]expr.VerdictKind{"accept": expr.VerdictAccept, "drop": expr.VerdictDrop, "jump": expr.VerdictJump, "goto": expr.VerdictGoto}
	return &expr.Verdict{Kind: kinds[v.Kind], Chain: v.Chain}
}
