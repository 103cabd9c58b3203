package network

// reply returns what happens to the answer to the packet of w, which has arrived; nil if there is none to judge: within
// a task, between the host and a task, from the VPC itself, from a task that forwards, to what needs no answer.
func (w *walk) reply() *Verdict {
	back := w.answer()
	if w.managed || w.arrival.VPC != "" || back == nil {
		return nil
	}
	if w.arrival.Outside {
		back.hop(CheckSource, "", -1, true, "the outside answers")
		back.enter()
	} else {
		back.start()
	}
	if back.arrival.Outside && w.flow.FromHost {
		back.arrival = Arrival{Host: true}
	}
	other := back.arrival.ENI
	if own := w.flow.Source; other != "" && other != w.flow.ENI && w.flow.ENI != "" && !back.managed && !own.IsValid() {
		back.hop(CheckRoute, other, -1, false, "the answer goes to %s, which has the same address in another VPC", other)
	}
	v := back.verdict()
	return &v
}

// answer returns a walk of the answer to the packet of w, from where that has arrived. nil if the packet is of a kind
// that is not answered.
func (w *walk) answer() *walk {
	f := Flow{ENI: w.arrival.ENI, Source: w.dest, Destination: w.source, Protocol: w.flow.Protocol,
		SourcePort: w.flow.DestinationPort, DestinationPort: w.flow.SourcePort, Established: true}
	if w.flow.Protocol.hasTypes() {
		answer, request := icmpAnswer(w.flow)
		if !request {
			return nil
		}
		f.ICMPType = answer
	}
	back := newWalk(w.state, f)
	back.pending = w.mapped
	back.lenient = w.lenient
	back.somewhere = back.dest.IsUnspecified()
	back.outer = w.outer
	return back
}

// undo takes an answer back through the gateways that translated its connection, in reverse order. It reports whether
// there is such a gateway at the packet's destination.
func (w *walk) undo() bool {
	last := len(w.pending) - 1
	if last < 0 || w.pending[last].to != w.dest {
		return false
	}
	m := w.pending[last]
	w.pending = w.pending[:last]
	w.dest = m.from
	w.hop(CheckGateway, m.gateway, -1, true, "%s puts %s back in its place", m.gateway, m.from)
	if g, ok := w.natAt(m.from, m.vpc); ok {
		w.undoNAT(g)
		return true
	}
	e, _ := w.holder(m.from, m.vpc)
	n, _ := w.state.Subnet(e.Subnet)
	if w.answers(n, m.gateway) { // else another ENI has sent for this one, which is not public itself
		w.deliver(e, "")
	}
	return true
}

// undoNAT takes an answer from a NAT gateway to the ENI that asked. Outside of the gateway it goes to the port that that
// has chosen.
func (w *walk) undoNAT(g NATGateway) {
	n, _ := w.state.Subnet(g.Subnet)
	last := len(w.pending) - 1
	if last < 0 || w.pending[last].gateway != g.ID {
		w.hop(CheckNAT, g.ID, -1, false, "%s carries nothing that does not answer", g.ID)
		return
	}
	m := w.pending[last]
	w.pending = w.pending[:last]
	port := w.flow.DestinationPort
	w.flow.DestinationPort = max(port, portFloor)
	if !w.acl(CheckACLIngress, n) {
		return
	}
	w.flow.DestinationPort = port
	w.dest = m.from
	w.hop(CheckNAT, g.ID, -1, true, "%s puts %s back in its place", g.ID, m.from)
	w.send(n)
}

// answerFromOutside follows an answer to the private address of the ENI that asked: back by the gateways that the
// question took.
func (w *walk) answerFromOutside() {
	e, _ := w.holder(w.dest, "")
	ask := newWalk(w.state, Flow{ENI: e.ID, Destination: w.source, Protocol: w.flow.Protocol, SourcePort: w.flow.DestinationPort,
		DestinationPort: w.flow.SourcePort, Established: true})
	if w.source.IsUnspecified() {
		ask.dest = w.source
	}
	w.hop(CheckSource, "", -1, true, "the outside sends")
	if n, ok := w.state.Subnet(e.Subnet); ok {
		ask.source = e.addr(w.source)
		ask.send(n)
	}
	if !ask.verdict().Allowed || !ask.arrival.Outside {
		w.path = append(w.path, Hop{CheckRoute, e.Subnet, -1, false, "what it answers cannot have reached the outside: " + ask.verdict().Decision().Reason})
		return
	}
	w.pending = ask.mapped
	w.dest = ask.source
	w.enter()
}
