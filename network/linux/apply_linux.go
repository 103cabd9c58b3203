package linux

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// Apply implements [network.Fabric].
func (f *Fabric) Apply(ctx context.Context, s network.State) error {
	if err := network.Validate(s); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	s = s.Clone()
	f.op.Lock()
	defer f.op.Unlock()
	if err := f.open(); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	if done, err := f.applyRules(s); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	} else if done {
		return nil
	}
	f.settled = false
	f.reaper.wait()
	if err := f.makeDirs(); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	o, err := f.observe()
	if err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	f.remember(o)
	f.keepPorts(s)
	f.state, f.byID = s, newIndex(s)
	f.state.ENIs = nil
	f.forwards = false
	steps, problems := plan(o, wanted{Owner: f.cfg.Owner, State: s, Isolated: f.cfg.Isolated, Routed: f.cfg.routed(), Link: f.cfg.PublicAddressLink,
		Connections: connectionTable(f.connectionLimits())})
	act := actor{Fabric: f, state: s}
	for _, st := range steps {
		if err := ctx.Err(); err != nil {
			problems = append(problems, err)
			break
		}
		if err := act.do(ctx, st); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", st, err))
		}
	}
	f.reaper.wait()
	if len(s.VPCs) == 0 && len(problems) == 0 {
		problems = append(problems, f.removeDirs())
	}
	err = errors.Join(problems...)
	f.settled = err == nil
	return err
}

func (f *Fabric) makeDirs() error {
	err := errors.Join(os.MkdirAll(f.cfg.namespaceDir(), 0o755), os.MkdirAll(f.cfg.recordDir(), 0o700))
	if err != nil {
		return err
	}
	anchor, err := os.OpenFile(f.cfg.namespaceDir()+anchorSuffix, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	return anchor.Close()
}

// removeDirs removes the directories of a fabric that holds nothing. Dir itself is the caller's.
func (f *Fabric) removeDirs() error {
	return errors.Join(f.records.clear(), removeFile(f.cfg.namespaceDir()), removeFile(f.cfg.namespaceDir()+anchorSuffix),
		removeFile(f.cfg.recordDir()))
}

// actor does the steps of a plan for a state.
type actor struct {
	*Fabric
	state network.State
}

var errNoRouter = errors.New("the router is missing")

func (a actor) do(ctx context.Context, s step) error {
	switch s.Do {
	case makeRouter:
		return a.makeRouter(s.VPC)
	case discardENI, removeENI:
		return a.removeENI(s)
	case makeENI, writeRecord:
		return a.doENI(ctx, s)
	case setHostTable, publishPorts, trimHostTable:
		return a.setHostTables(s.Host)
	case dropHostTable:
		return errors.Join(a.host.closeFirewall(a.cfg.Owner), a.host.tables.remove(hostTable(a.cfg.Owner)))
	case addProxy:
		return a.host.addProxy(s.Proxy)
	case dropProxy:
		return a.host.dropProxy(s.Proxy)
	case startForward:
		return a.startForwarding(ctx)
	case discardUplink:
		return a.removeUplink(ctx, hostLinkName(a.cfg.Owner, s.VPC))
	case removeUplink:
		return a.removeUplink(ctx, s.Link)
	case removeRouter:
		return a.removeRouter(s.VPC)
	}
	r := a.router(s.VPC)
	if r == nil {
		return errNoRouter
	}
	return a.doRouter(ctx, r, s)
}

// doRouter does a step inside a router.
func (a actor) doRouter(ctx context.Context, r *router, s step) error {
	switch s.Do {
	case makeUplink:
		return r.makeUplink(ctx, a.host, a.cfg.Owner, len(a.byID.vpcs[s.VPC].IPv6CIDRs) > 0)
	case addHostRoute:
		return a.addHostRoute(r, s)
	case dropHostRoute:
		return a.host.dropRoute(hostLinkName(a.cfg.Owner, r.vpc), s.Prefix)
	case addAddr:
		return r.addAddr(s.Addr)
	case dropAddr:
		return r.dropAddr(s.Addr)
	case makeNAT:
		return a.makeNAT(r, s.ENI)
	case makePeering:
		return a.makePeering(r, s.ENI)
	case setLinkGroup:
		return r.setLinkGroup(s.Link, s.Group)
	case addTable:
		return r.addTable(s.Rule)
	case dropTable:
		return r.dropTable(s.Rule)
	case addRoute:
		return r.addRoute(s.Route)
	case dropRoute:
		return r.dropRoute(s.Route)
	case addNeighbor:
		return r.addNeighbor(s.Neighbor)
	case setLimit:
		e, _ := a.state.ENI(s.ENI)
		return r.setLimit(e)
	case dropLimit:
		return r.dropLimit(s.Limit)
	case removeLink:
		return r.dropLink(s.Link)
	case limitConns:
		return r.limitConnections(a.connectionLimits())
	case setRuleset:
		return a.setRuleset(r)
	}
	return fmt.Errorf("unknown step %q", s.Do)
}

func (a actor) makeRouter(vpc string) error {
	r, err := newRouter(a.cfg.namespacePath(vpc), vpc)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.routers[vpc]; old != nil {
		old.close()
	}
	a.routers[vpc] = r
	return nil
}

func (a actor) removeRouter(vpc string) error {
	a.reaper.wait() // it may be at work in the router
	if r := a.router(vpc); r != nil {
		r.close()
		a.mu.Lock()
		delete(a.routers, vpc)
		a.mu.Unlock()
	}
	return clearMountPoint(a.cfg.namespacePath(vpc))
}

func (a actor) makeNAT(r *router, id string) error {
	g, _ := a.state.NATGateway(id)
	n := a.byID.subnets[g.Subnet]
	return r.makeNAT(a.cfg.namespacePath(id), g, n, a.byID.views[r.vpc].Links[n.ID])
}

func (a actor) makePeering(r *router, id string) error {
	c, _ := a.state.VPCPeeringConnection(id)
	other := a.router(c.Accepter)
	if other == nil {
		return errNoRouter
	}
	return r.makePeering(other, id)
}

// setRuleset makes the ruleset of a router that of the state, for the ENIs that exist.
func (a actor) setRuleset(r *router) error {
	v := a.byID.views[r.vpc]
	var enis, others []network.ENI
	for _, e := range a.state.ENIs {
		if _, ok := a.get(e.ID); !ok {
			continue
		}
		if a.byID.subnets[e.Subnet].VPC == r.vpc {
			enis = append(enis, e)
		} else if slices.ContainsFunc(e.SecurityGroups, func(id string) bool { return slices.Contains(v.Foreign, id) }) {
			others = append(others, e)
		}
	}
	ports := v.ports(enis)
	foreign := make([]port, len(others))
	for i, e := range others {
		foreign[i] = port{ENI: e}
	}
	table := classTable(ports)
	if err := r.tables.replace(routerRulesets(v, ports, foreign, table, r.uplinkEnds())...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.classes, r.view = table, v
	return nil
}

// addHostRoute leads a prefix from the host into a router, with the host's end as source: that is how routers know what
// the host itself sends.
func (a actor) addHostRoute(r *router, s step) error {
	return a.host.addRoute(hostLinkName(a.cfg.Owner, r.vpc), s.Prefix, r.uplinkEnds())
}

func (a actor) removeUplink(ctx context.Context, name string) error {
	unlock, err := a.host.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.host.removeUplink(name); err != nil {
		return err
	}
	for _, r := range a.routers {
		if hostLinkName(a.cfg.Owner, r.vpc) == name {
			r.setUplink(0, netip.Addr{}, false)
			return r.dropLink(uplinkName)
		}
	}
	return nil
}

func (a actor) doENI(ctx context.Context, s step) error {
	e, _ := a.state.ENI(s.ENI)
	n := a.byID.subnets[e.Subnet]
	v := a.byID.vpcs[n.VPC]
	r := a.router(v.ID)
	if r == nil {
		return errNoRouter
	}
	rec := record{Version: recordVersion, VPC: v.ID, ENI: e, Attachment: attachment(v, n, e, a.cfg.namespacePath(e.ID), a.resolvers())}
	if have, ok := a.get(e.ID); ok {
		rec.Attachment.DNS, rec.FirstID = slices.Clone(have.Attachment.DNS), have.FirstID
	}
	if s.Do == makeENI {
		return a.makeENI(ctx, r, rec)
	}
	if err := a.claimPorts(ctx, e); err != nil {
		return err
	}
	if err := a.records.replace(rec); err != nil {
		return err
	}
	if have, ok := a.get(e.ID); ok {
		a.releasePorts(have.ENI, e.PublishedPorts)
	}
	a.setAttached(rec)
	return nil
}

// removeENI removes what there is of an ENI: one that was attached as Detach does, one that was half made or half gone
// piece by piece.
func (a actor) removeENI(s step) error {
	if rec, ok := a.get(s.ENI); ok {
		return a.expel(rec)
	}
	var errs []error
	for _, r := range a.routers {
		errs = append(errs, r.dropLink(linkName(s.ENI)))
	}
	errs = append(errs, clearMountPoint(a.cfg.namespacePath(s.ENI)))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return a.records.forget(s.ENI)
}
