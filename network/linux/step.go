package linux

import (
	"net/netip"
	"strconv"
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
	makePeering   action = "make peering connection"
	makeNAT       action = "make NAT gateway"
	makeENI       action = "make ENI"
	setLinkGroup  action = "set group of link"
	addTable      action = "add route table"
	addNeighbor   action = "add neighbor"
	setLimit      action = "limit bandwidth"
	startForward  action = "start forwarding"
	writeRecord   action = "write record"
	addProxy      action = "answer"
	limitConns    action = "limit connections"
	setRuleset    action = "set ruleset"
	publishPorts  action = "publish ports"
	dropProxy     action = "stop answering"
	dropHostRoute action = "drop host route"
	dropTable     action = "drop route table"
	dropRoute     action = "drop route"
	dropAddr      action = "drop address"
	dropLimit     action = "drop limit"
	removeENI     action = "remove ENI"
	removeLink    action = "remove link"
	removeUplink  action = "remove uplink"
	removeRouter  action = "remove router"
	trimHostTable action = "trim host table" // take removed uplinks out of it
	dropHostTable action = "drop host table"
)

func order() []action {
	return []action{discardENI, discardUplink, makeRouter, limitConns, setHostTable, makeUplink, addHostRoute, addAddr, makePeering, makeNAT, makeENI,
		setLinkGroup, addRoute, addTable, addNeighbor, setLimit, startForward, writeRecord, setRuleset, publishPorts, addProxy, dropProxy, dropHostRoute, dropTable, dropRoute, dropAddr, dropLimit, removeENI, removeLink, removeUplink, removeRouter,
		trimHostTable, dropHostTable}
}

// step is one thing to do. Which fields count depends on the action.
type step struct {
	Do       action
	VPC      string
	ENI      string // ID, of a NAT gateway or peering connection too
	Link     string
	Limit    string // name of a table
	Addr     netip.Addr
	Prefix   netip.Prefix
	Proxy    proxy
	Route    route
	Neighbor neighbor
	Rule     tableRule
	Group    uint32 // of a link
	Host     hostWants
}

// String describes the step for logs and errors.
func (s step) String() string {
	words := []string{string(s.Do)}
	for _, w := range []string{s.ENI, s.Link, s.Limit, s.Proxy.Link, s.Route.Link, s.Neighbor.Link} {
		if w != "" {
			words = append(words, w)
		}
	}
	switch {
	case s.Addr.IsValid():
		words = append(words, s.Addr.String())
	case s.Proxy.Addr.IsValid():
		words = append(words, "for", s.Proxy.Addr.String())
	case s.Prefix.IsValid():
		words = append(words, s.Prefix.String())
	case s.Route.To.IsValid():
		words = append(words, s.Route.To.String())
	case s.Neighbor.Addr.IsValid():
		words = append(words, s.Neighbor.Addr.String())
	}
	if s.Route.Table != 0 {
		words = append(words, "in table")
	}
	if table := max(s.Route.Table, s.Rule.Table, s.Group); table != 0 {
		words = append(words, strconv.Itoa(int(table)))
	}
	switch {
	case s.Route.Main:
		words = append(words, "by the main table")
	case s.Route.Fallback:
		words = append(words, "at last")
	}
	if s.VPC != "" {
		words = append(words, "in "+s.VPC)
	}
	return strings.Join(words, " ")
}
