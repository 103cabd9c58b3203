package dns

import (
	"context"
	"errors"

	wire "github.com/miekg/dns"
)

// maxChain is how many CNAMEs are followed from zone to zone.
const maxChain = 8

// found is an answer as far as the resolver's own zones have it.
type found struct {
	reply
	next string // where the chain of CNAMEs leaves them, canonical; "" if it does not
}

// resolve collects what the resolver's own zones say. The question's name is used as the client wrote it, so that a
// client that mixes upper and lower case to tell forged answers finds its own.
func (r *Resolver) resolve(q *query) found {
	var f found
	name, as := q.name, q.msg.Question[0].Name
	for range maxChain {
		res, ok := r.local(name, q.kind)
		if !ok {
			f.next = name
			return f
		}
		for _, rr := range res.records {
			f.answer = append(f.answer, named(rr, as))
		}
		if res.target == "" {
			f.rcode = res.rcode
			if len(res.records) == 0 && res.soa != nil {
				f.authority = []wire.RR{res.soa}
			}
			f.extra = r.glue(res.records)
			return f
		}
		name, as = res.target, res.target
	}
	f.reply = reply{rcode: wire.RcodeServerFailure} // the chain is too long, or a circle
	return f
}

// glue returns the addresses that records lead to, as far as they are known here.
func (r *Resolver) glue(records []wire.RR) []wire.RR {
	var extra []wire.RR
	for _, rr := range records {
		srv, ok := rr.(*wire.SRV)
		if !ok {
			continue
		}
		for _, kind := range []uint16{wire.TypeA, wire.TypeAAAA} {
			res, _ := r.local(wire.CanonicalName(srv.Target), kind)
			for _, a := range res.records {
				if a.Header().Rrtype == kind {
					extra = append(extra, named(a, srv.Target))
				}
			}
		}
	}
	return extra
}

// answer answers a message. If that may take a while, it returns a func that does it instead, which the caller runs
// elsewhere. With neither there is nothing to say.
func (r *Resolver) answer(raw []byte, udp bool) (reply []byte, later func(context.Context) []byte) {
	q, reply := parse(raw, udp)
	if q == nil {
		return reply, nil
	}
	f := r.resolve(q)
	switch fw := r.cfg.Forwarder; {
	case f.next == "":
		return q.reply(f.reply), nil
	case q.kind == wire.TypeANY:
		f.answer = append(f.answer, named(minimalAny(), f.next))
		if f.next == q.name {
			f.answer[0].Header().Name = q.msg.Question[0].Name
		}
		return q.reply(f.reply), nil
	case fw == nil || !q.msg.RecursionDesired:
		if len(f.answer) == 0 {
			f.rcode = wire.RcodeRefused
		}
		return q.reply(f.reply), nil
	default:
		out := q.outside(f.next)
		if got, ok := fw.cached(out); ok {
			return q.join(f, got), nil
		}
		return nil, func(ctx context.Context) []byte {
			got, err := fw.resolve(ctx, out)
			if err != nil {
				return q.fail(rcodeOf(err))
			}
			return q.join(f, got)
		}
	}
}

func rcodeOf(err error) int {
	if errors.Is(err, errNoServer) {
		return wire.RcodeRefused
	}
	return wire.RcodeServerFailure
}

// outside is the question to ask others.
func (q *query) outside(name string) question {
	return question{name: name, kind: q.kind, do: q.do, cd: q.msg.CheckingDisabled}
}

// join adds what others answered to what was found here.
func (q *query) join(f found, got *reply) []byte {
	r := *got
	r.answer = f.answer[:len(f.answer):len(f.answer)]
	asked := q.msg.Question[0].Name
	for _, rr := range got.answer {
		if f.next == q.name && wire.CanonicalName(rr.Header().Name) == q.name {
			rr = named(rr, asked)
		}
		r.answer = append(r.answer, rr)
	}
	return q.reply(r)
}
