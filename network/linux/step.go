package linux

import (
	"net/netip"
	"strings"
)

// action is what a step does.
type action string

// The actions, in the order in which a plan has them.
const (
	discardENI    action = "discard ENI"    // remove what stands in the way of making it
	discardUplink action = "discard uplink" // remove what stands in the way of making it
	makeRouter    action = "make router"
	setHostTable  action = "set host table"
	makeUplink    action = "make uplink"
	addHostRoute  action = "add host route"
	addAddr       action = "add address"
	addRoute      action = "add route"
	makeENI       action = "make ENI"
	addNeighbor   action = "add neighbor"
	startForward  action = "start forwarding"
	writeRecord   action = "write record"
	setRuleset    action = "set ruleset"
	dropHostRoute action = "drop host route"
	dropRoute     action = "drop route"
	dropAddr      action = "drop address"
	removeENI     action = "remove ENI"
	removeLink    action = "remove link"
	removeUplink  action = "remove uplink"
	removeRouter  action = "remove router"
	trimHostTable action = "trim host table" // take removed uplinks out of it
	dropHostTable action = "drop host table"
)

func order() []action {
	return []action{discardENI, discardUplink, makeRouter, setHostTable, makeUplink, addHostRoute, addAddr, addRoute, makeENI,
		addNeighbor, startForward, writeRecord, setRuleset, dropHostRoute, dropRoute, dropAddr, removeENI, removeLink, removeUplink, removeRouter,
		trimHostTable, dropHostTable}
}

// step is one thing to do. Which fields count depends on the action.
type step struct {
	Do       action
	VPC      string
	ENI      string // ID
	Link     string
	Addr     netip.Addr
	Prefix   netip.Prefix
	Route    route
	Neighbor neighbor
	Uplinks  []string       // names of links, for the host's table
	Blocks   []netip.Prefix // what is behind them
}

// String describes the step for logs and errors.
func (s step) String() string {
	words := []string{string(s.Do)}
	for _, w := range []string{s.ENI, s.Link, s.Route.Link, s.Neighbor.Link} {
		if w != "" {
			words = append(words, w)
		}
	}
	switch {
	case s.Addr.IsValid():
		words = append(words, s.Addr.String())
	case s.Prefix.IsValid():
		words = append(words, s.Prefix.String())
	case s.Route.To.IsValid():
		words = append(words, s.Route.To.String())
	case s.Neighbor.Addr.IsValid():
		words = append(words, s.Neighbor.Addr.String())
	}
	if s.VPC != "" {
		words = append(words, "in "+s.VPC)
	}
	return strings.Join(words, " ")
}
