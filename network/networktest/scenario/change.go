package scenario

import (
	"slices"

	"github.com/fardel-io/fardel/network"
)

// Change returns a valid state that differs from s in one or a few places: what an operator changes while tasks run, and
// ENIs that come and go. s stays as it is.
func (g *Generator) Change(s network.State) network.State {
	for {
		b := &builder{Generator: g, s: s.Clone(), alloc: network.NewAllocator(s), publicNext: 100 + g.IntN(100)}
		g.made++
		for range 1 + g.IntN(3) {
			b.change()
		}
		if network.Validate(b.s) == nil {
			return b.s
		}
	}
}

func (b *builder) change() {
	s := &b.s
	switch b.IntN(9) {
	case 0:
		i := b.IntN(len(s.SecurityGroups))
		s.SecurityGroups[i].Ingress = b.rules(s.SecurityGroups[i])
	case 1:
		i := b.IntN(len(s.SecurityGroups))
		s.SecurityGroups[i].Egress = b.rules(s.SecurityGroups[i])
	case 2:
		if len(s.NetworkACLs) > 0 {
			a := &s.NetworkACLs[b.IntN(len(s.NetworkACLs))]
			a.Entries = b.entries(a.VPC)
		}
	case 3:
		if len(s.RouteTables) > 0 {
			t := &s.RouteTables[b.IntN(len(s.RouteTables))]
			if i := b.IntN(len(t.Routes) + 1); i < len(t.Routes) {
				t.Routes = slices.Delete(t.Routes, i, i+1)
			}
		}
	case 4:
		e := &s.ENIs[b.IntN(len(s.ENIs))]
		n, _ := s.Subnet(e.Subnet)
		e.SecurityGroups = some(b.Generator, b.groupsOf(n.VPC), 5)
	case 5:
		if len(s.ENIs) > 1 {
			i := b.IntN(len(s.ENIs))
			s.ENIs = slices.Delete(s.ENIs, i, i+1)
		}
	case 6:
		b.another()
	case 7:
		if b.has(PublishedPorts) {
			e := &s.ENIs[b.IntN(len(s.ENIs))]
			e.PublishedPorts = nil
			e.PublishedPorts = b.hostPorts()
		}
	default:
		if len(s.NetworkACLs) > 0 {
			a := &s.NetworkACLs[b.IntN(len(s.NetworkACLs))]
			a.Subnets = nil
		}
	}
}

// another adds an ENI without a public address of its own.
func (b *builder) another() {
	n := pick(b.Generator, b.s.Subnets...)
	_, private, err := b.alloc.Allocate([]string{n.ID})
	if err != nil {
		return
	}
	e := network.ENI{ID: b.id("eni"), Subnet: n.ID, PrivateIPv4: private, SecurityGroups: some(b.Generator, b.groupsOf(n.VPC), 5), AssignPublicIP: b.chance(2)}
	e.MAC = network.NewMAC(e.ID)
	b.s.ENIs = append(b.s.ENIs, e)
}
