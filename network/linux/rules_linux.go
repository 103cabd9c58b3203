package linux

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/fardel-io/fardel/network"
	"github.com/google/nftables"
)

// applyRules applies a state that differs from the one before in the rules of security groups and network ACLs only, at a
// cost that does not depend on how many ENIs there are: the chains that differ are filled anew, those of a VPC in one
// transaction. done is false if the state differs in more, or if nothing differs: then whoever applies it may want to
// have repaired what others broke. The caller holds op for writing.
func (f *Fabric) applyRules(s network.State) (done bool, err error) {
	if !f.settled || !f.sameButRules(s) {
		return false, nil
	}
	next := newIndex(s)
	changed := map[*router][]ruleset{}
	for id, v := range next.views {
		r := f.router(id)
		if r == nil {
			return false, nil
		}
		for _, fam := range families() {
			was, is := routerFrame(f.byID.views[id], fam, r.uplinkEnds()), routerFrame(v, fam, r.uplinkEnds())
			if !reflect.DeepEqual(was.Sets, is.Sets) || len(was.Chains) != len(is.Chains) {
				return false, nil
			}
			part := ruleset{Family: fam, Table: routerTable}
			for i := range is.Chains {
				if was.Chains[i].Name != is.Chains[i].Name {
					return false, nil
				}
				if !reflect.DeepEqual(was.Chains[i], is.Chains[i]) {
					part.Chains = append(part.Chains, is.Chains[i])
				}
			}
			if len(part.Chains) > 0 {
				changed[r] = append(changed[r], part)
			}
		}
	}
	if len(changed) == 0 {
		return false, nil
	}
	f.settled = false // until all is done
	for r, parts := range changed {
		if err := r.tables.refill(parts); err != nil {
			return false, fmt.Errorf("change rules of %s: %w", r.vpc, err)
		}
		r.mu.Lock()
		r.view = next.views[r.vpc]
		r.mu.Unlock()
	}
	f.state, f.byID = s, next
	f.state.ENIs = nil
	f.settled = true
	return true, nil
}

// sameButRules reports whether a state differs from what is applied and attached in rules only.
func (f *Fabric) sameButRules(s network.State) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(s.ENIs) != len(f.attached) || len(f.removals) > 0 {
		return false
	}
	for _, e := range s.ENIs {
		if rec, ok := f.attached[e.ID]; !ok || !reflect.DeepEqual(rec.ENI, e) {
			return false
		}
	}
	return reflect.DeepEqual(withoutRules(f.state), withoutRules(s))
}

func withoutRules(s network.State) network.State {
	s.ENIs = nil
	s.SecurityGroups = slices.Clone(s.SecurityGroups)
	for i := range s.SecurityGroups {
		s.SecurityGroups[i].Ingress, s.SecurityGroups[i].Egress = nil, nil
	}
	s.NetworkACLs = slices.Clone(s.NetworkACLs)
	for i := range s.NetworkACLs {
		s.NetworkACLs[i].Entries = nil
	}
	return s
}

// refill replaces the rules of chains that are there.
func (t *tables) refill(parts []ruleset) error {
	return t.transaction(false, func(c *nftables.Conn) error {
		for _, part := range parts {
			table := tableOf(part.Family, part.Table)
			for _, ch := range part.Chains {
				c.FlushChain(&nftables.Chain{Table: table, Name: ch.Name})
				addRules(c, table, part.Family, ch)
			}
		}
		return nil
	})
}
