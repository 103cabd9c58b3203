package network

import (
	"slices"
	"strings"
)

// WithoutInterfaces returns the state as EC2 leaves it when network interfaces are deleted: those are not in it, elastic
// addresses are associated with none of them, and routes to them are blackholes. gone reports whether an interface, named
// by its ID, is deleted. changed reports whether an address or a route is another one now. s stays as it is.
func (s State) WithoutInterfaces(gone func(eni string) bool) (left State, changed bool) {
	isGone := func(e ENI) bool { return gone(e.ID) }
	if slices.ContainsFunc(s.ENIs, isGone) {
		s.ENIs = slices.DeleteFunc(slices.Clone(s.ENIs), isGone)
	}
	associated := func(a Address) bool { return a.ENI != "" && gone(a.ENI) }
	if slices.ContainsFunc(s.Addresses, associated) {
		changed = true
		s.Addresses = slices.Clone(s.Addresses)
		for i := range s.Addresses {
			if associated(s.Addresses[i]) {
				s.Addresses[i].ENI = ""
			}
		}
	}
	toGone := func(r Route) bool { return strings.HasPrefix(r.Target, "eni-") && gone(r.Target) }
	leads := func(t RouteTable) bool { return slices.ContainsFunc(t.Routes, toGone) }
	if slices.ContainsFunc(s.RouteTables, leads) {
		changed = true
		s.RouteTables = slices.Clone(s.RouteTables)
		for i := range s.RouteTables {
			s.RouteTables[i].Routes = blackholed(s.RouteTables[i].Routes, toGone)
		}
	}
	return s, changed
}

// blackholed returns routes with those chosen leading nowhere.
func blackholed(routes []Route, chosen func(Route) bool) []Route {
	out := slices.Clone(routes)
	for i := range out {
		if chosen(out[i]) {
			out[i].Target = TargetBlackhole
		}
	}
	return out
}
