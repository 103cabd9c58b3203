package dns

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// askOne asks one server: over UDP, over TCP if the answer does not fit, and without EDNS if it does not know that.
func (f *Forwarder) askOne(ctx context.Context, s netip.AddrPort, q question) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	m, err := f.exchange(ctx, "udp", s, q.message(true))
	if err == nil && (m.Rcode == wire.RcodeFormatError || m.Rcode == wire.RcodeNotImplemented) {
		m, err = f.exchange(ctx, "udp", s, q.message(false))
	}
	if err == nil && m.Truncated {
		m, err = f.exchange(ctx, "tcp", s, q.message(true))
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", s, q.name, err)
	}
	answer, authority := q.asked(inClass(m.Answer), inClass(m.Ns))
	return &reply{rcode: m.Rcode, answer: answer, authority: authority, authenticated: m.AuthenticatedData}, nil
}

// inClass drops what is not of the Internet.
func inClass(records []wire.RR) []wire.RR {
	var kept []wire.RR
	for _, rr := range records {
		if rr.Header().Class == wire.ClassINET {
			kept = append(kept, rr)
		}
	}
	return kept
}

// message is the question as a message with an ID that cannot be guessed.
func (q question) message(edns bool) *wire.Msg {
	m := new(wire.Msg)
	m.SetQuestion(q.name, q.kind)
	m.CheckingDisabled = q.cd
	m.AuthenticatedData = true // asks for the bit in the answer
	if edns {
		m.SetEdns0(maxUDPSize, q.do)
	}
	return m
}

// exchange sends a message from a port of its own and waits for the answer to it.
func (f *Forwarder) exchange(ctx context.Context, network string, s netip.AddrPort, m *wire.Msg) (*wire.Msg, error) {
	raw, err := m.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := f.cfg.Dial(ctx, network, s.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		return exchangeTCP(conn, raw, m)
	}
	if _, err := conn.Write(raw); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		// What is no answer to this question may be forged, or late: the true one can still come.
		if got := new(wire.Msg); (got.Unpack(buf[:n]) == nil || got.Truncated) && isAnswer(got, m) {
			return got, nil
		}
	}
}

func exchangeTCP(conn net.Conn, raw []byte, m *wire.Msg) (*wire.Msg, error) {
	if _, err := conn.Write(framed(raw)); err != nil {
		return nil, err
	}
	answer, err := readFrame(conn)
	if err != nil {
		return nil, err
	}
	got := new(wire.Msg)
	if err := got.Unpack(answer); err != nil {
		return nil, err
	}
	if !isAnswer(got, m) {
		return nil, fmt.Errorf("%s answers another question", conn.RemoteAddr())
	}
	return got, nil
}

// isAnswer reports whether a message answers another one.
func isAnswer(got, m *wire.Msg) bool {
	if !got.Response || got.Id != m.Id || got.Opcode != wire.OpcodeQuery {
		return false
	}
	if len(got.Question) == 0 { // a server that could not read the question
		return got.Rcode == wire.RcodeFormatError || got.Rcode == wire.RcodeNotImplemented || got.Rcode == wire.RcodeServerFailure
	}
	a, b := got.Question[0], m.Question[0]
	return len(got.Question) == 1 && strings.EqualFold(a.Name, b.Name) && a.Qtype == b.Qtype && a.Qclass == b.Qclass
}

// framed puts the length before a message, as over TCP.
func framed(raw []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(raw)), uint16(len(raw))), raw...)
}

// readFrame reads a message with its length before it.
func readFrame(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, raw)
	return raw, err
}
