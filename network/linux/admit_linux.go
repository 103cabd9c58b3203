package linux

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// admit tells the ruleset of an ENI, in one transaction: a few set elements, and chains if it is the first one with its
// set of groups. old is what the ruleset knows of the ENI so far.
func (r *router) admit(old *port, p port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var removed, added []setElement
	var chains []chain
	key := classKey(p.SecurityGroups)
	c, known := r.classes[key]
	if !known {
		c = class{ID: r.nextClass(), Groups: slices.Sorted(slices.Values(p.SecurityGroups))}
		chains = classChains(c)
		for _, f := range families() {
			added = append(added, classElements(c, f)...)
		}
	}
	fresh := bothElements(p, c)
	if old != nil {
		stale := bothElements(*old, r.classes[classKey(old.SecurityGroups)])
		removed = without(stale, fresh)
		fresh = without(fresh, stale)
	}
	if err := r.tables.edit(routerTable, removed, chains, append(added, fresh...)); err != nil {
		return fmt.Errorf("admit to %s: %w", r.vpc, err)
	}
	r.classes[key] = c
	return nil
}

// bothElements are those of an ENI in the tables of both versions of IP, and in that of ARP.
func bothElements(p port, c class) []setElement {
	return slices.Concat(portElements(p, c, ipv4), portElements(p, c, ipv6), portElements(p, c, arp))
}

// befriend keeps the addresses of an ENI of a peered VPC in the sets of its groups that rules here name.
func (r *router) befriend(old *port, p *port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	elements := func(p *port) []setElement {
		var list []setElement
		if p == nil {
			return nil
		}
		for _, f := range families() {
			for _, g := range p.SecurityGroups {
				if slices.Contains(r.view.Foreign, g) {
					list = append(list, memberElements(*p, []string{g}, f)...)
				}
			}
		}
		return list
	}
	stale, fresh := elements(old), elements(p)
	removed, added := without(stale, fresh), without(fresh, stale)
	if len(removed)+len(added) == 0 {
		return nil
	}
	if err := r.tables.edit(routerTable, removed, nil, added); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("change members of groups in %s: %w", r.vpc, err)
	}
	return nil
}

func (r *router) nextClass() uint32 {
	var last uint32
	for _, c := range r.classes {
		last = max(last, c.ID)
	}
	return last + 1
}

// refuse takes an ENI out of the ruleset. Elements that are missing, because somebody flushed the table, are no error.
func (r *router) refuse(p port) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	elements := bothElements(p, class{Groups: slices.Sorted(slices.Values(p.SecurityGroups))})
	err := r.tables.edit(routerTable, elements, nil, nil)
	if !errors.Is(err, unix.ENOENT) {
		return wrapRefuse(r.vpc, err)
	}
	for _, element := range elements {
		if err := r.tables.edit(routerTable, []setElement{element}, nil, nil); err != nil && !errors.Is(err, unix.ENOENT) {
			return wrapRefuse(r.vpc, err)
		}
	}
	return nil
}

func wrapRefuse(vpc string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("refuse in %s: %w", vpc, err)
}

// without returns the elements of list that are not in other.
func without(list, other []setElement) []setElement {
	return slices.DeleteFunc(slices.Clone(list), func(e setElement) bool { return slices.Contains(other, e) })
}
