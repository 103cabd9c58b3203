package dns

import (
	"encoding/binary"

	wire "github.com/miekg/dns"
)

const (
	minUDPSize = 512   // what every client takes: RFC 1035
	maxUDPSize = 1232  // what passes without fragments on nearly every path: DNS flag day 2020
	maxTCPSize = 65535 // what the length before a message can say
	headerSize = 12
)

// query is a question that is worth an answer.
type query struct {
	msg  *wire.Msg
	name string // canonical name of the question
	kind uint16
	size int  // the longest answer that the client takes
	opt  bool // the client speaks EDNS
	do   bool // and wants to see DNSSEC records
}

// parse reads a message. It returns either a query, or a reply to what is none, or neither: then silence is the answer.
func parse(raw []byte, udp bool) (q *query, reply []byte) {
	if len(raw) < headerSize || raw[2]&0x80 != 0 { // too short to have an ID, or an answer: to answer that could go on forever
		return nil, nil
	}
	m := new(wire.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, bareReply(raw, wire.RcodeFormatError)
	}
	q = &query{msg: m, size: maxTCPSize}
	if udp {
		q.size = minUDPSize
	}
	options := 0
	for _, rr := range m.Extra {
		if opt, ok := rr.(*wire.OPT); ok {
			options++
			q.opt, q.do = true, opt.Do()
			if udp {
				q.size = min(max(int(opt.UDPSize()), minUDPSize), maxUDPSize)
			}
		}
	}
	if rcode := q.check(options); rcode != wire.RcodeSuccess {
		return nil, q.fail(rcode)
	}
	q.name, q.kind = wire.CanonicalName(m.Question[0].Name), m.Question[0].Qtype
	return q, nil
}

// check returns why a message is not to be answered as a query.
func (q *query) check(options int) int {
	m := q.msg
	switch {
	case m.Opcode != wire.OpcodeQuery:
		return wire.RcodeNotImplemented
	case len(m.Question) != 1, len(m.Answer) > 0, len(m.Ns) > 0, options > 1:
		return wire.RcodeFormatError
	case options == 1 && m.IsEdns0().Version() != 0:
		return wire.RcodeBadVers
	case m.Question[0].Qclass != wire.ClassINET:
		return wire.RcodeRefused
	}
	switch kind := m.Question[0].Qtype; {
	case kind == wire.TypeOPT, kind == wire.TypeNone:
		return wire.RcodeFormatError
	case kind == wire.TypeAXFR, kind == wire.TypeIXFR:
		return wire.RcodeRefused
	case kind >= 128 && kind < wire.TypeANY: // types of questions only, RFC 6895: none of them is ours
		return wire.RcodeNotImplemented
	}
	return wire.RcodeSuccess
}

// bareReply answers a message of which only the header can be read.
func bareReply(raw []byte, rcode int) []byte {
	h := make([]byte, headerSize)
	copy(h, raw[:4])
	bits := binary.BigEndian.Uint16(h[2:])
	bits = bits&0x7900 | 0x8080 | uint16(rcode) // opcode and RD are the client's; QR and RA are set
	binary.BigEndian.PutUint16(h[2:], bits)
	return h
}

// fail returns a reply without records.
func (q *query) fail(rcode int) []byte { return q.reply(reply{rcode: rcode}) }

// reply is what a query is answered with.
type reply struct {
	rcode         int
	answer        []wire.RR
	authority     []wire.RR
	extra         []wire.RR
	authenticated bool
}

// reply packs a reply so that the client takes it. Records are copied before they are changed.
func (q *query) reply(r reply) []byte {
	m := new(wire.Msg)
	m.SetReply(q.msg)
	m.Rcode, m.RecursionAvailable, m.CheckingDisabled = r.rcode, true, q.msg.CheckingDisabled
	m.AuthenticatedData = r.authenticated && (q.do || q.msg.AuthenticatedData) // RFC 6840, section 5.8
	m.Answer, m.Ns, m.Extra = r.answer, r.authority, r.extra
	m.Compress = true
	if q.opt {
		m.SetEdns0(maxUDPSize, q.do)
	}
	m.Truncate(q.size)
	raw, err := m.Pack()
	if err != nil || len(raw) > q.size {
		return bareReply(rawHeader(q.msg), wire.RcodeServerFailure)
	}
	return raw
}

// rawHeader returns the start of a message that was parsed.
func rawHeader(m *wire.Msg) []byte {
	h := binary.BigEndian.AppendUint16(nil, m.Id)
	bits := uint16(m.Opcode) << 11
	if m.RecursionDesired {
		bits |= 0x0100
	}
	return binary.BigEndian.AppendUint16(h, bits)
}

// named returns a copy of a record with another owner's name.
func named(rr wire.RR, name string) wire.RR {
	c := wire.Copy(rr)
	c.Header().Name = name
	return c
}
