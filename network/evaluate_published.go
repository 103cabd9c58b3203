package network

import "net/netip"

// published returns the ENI that the packet is for if its destination is a port of the machine that one publishes.
func (w *walk) published() (to ENI, port PublishedPort, ok bool) {
	if !w.flow.ToHost || w.flow.ENI != "" {
		return ENI{}, PublishedPort{}, false
	}
	at := netip.AddrPortFrom(w.dest, w.flow.DestinationPort)
	for _, e := range w.state.ENIs {
		for _, p := range e.PublishedPorts {
			if p.Takes(w.flow.Protocol, at) && (w.flow.FromHost || !w.dest.IsLoopback()) {
				return e, p, true
			}
		}
	}
	return ENI{}, PublishedPort{}, false
}

// publish puts the ENI's address and port in the place of the machine's. It reports whether the machine reaches them.
func (w *walk) publish(to ENI, p PublishedPort) bool {
	if e, ok := w.hosted(to.PrivateIPv4); !ok || e.ID != to.ID {
		return w.hop(CheckPublished, to.ID, -1, false, "%s is published by %s, whose private address the machine does not reach", p, to.ID)
	}
	w.hop(CheckPublished, to.ID, -1, true, "the machine puts the address of %s in the place of its own: %s", to.ID, p)
	w.dest, w.flow.DestinationPort, w.outer = to.PrivateIPv4, p.Port, true
	return true
}

// fromHostPublished takes the packet of a process of the machine to the ENI.
func (w *walk) fromHostPublished(to ENI, p PublishedPort) {
	if !w.publish(to, p) {
		return
	}
	w.hop(CheckRoute, to.ID, -1, true, "the host reaches every ENI")
	w.arrive(Arrival{ENI: to.ID})
	w.managed = true
}

// enterPublished takes a packet from elsewhere to the ENI.
func (w *walk) enterPublished(to ENI, p PublishedPort) {
	if !w.source.Is4() {
		w.hop(CheckDestination, "", -1, false, "%s is of another version of IP than the source", w.dest)
		return
	}
	if !w.publish(to, p) {
		return
	}
	n, _ := w.state.Subnet(to.Subnet)
	g, ok := find(w.state.InternetGateways, func(g InternetGateway) bool { return g.VPC == n.VPC })
	if !ok {
		w.hop(CheckGateway, "", -1, false, "%s has no internet gateway", n.VPC)
		return
	}
	w.hop(CheckGateway, g.ID, -1, true, "%s carries it in", g.ID)
	if w.answers(n, g.ID) {
		w.deliver(to, "")
	}
}
