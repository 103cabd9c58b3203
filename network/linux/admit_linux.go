package linux

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fardel-io/fardel/network"
	"golang.org/x/sys/unix"
)

// admit tells the ruleset of an ENI, in one transaction: a few set elements, and chains if it is the first one with its
// set of groups. old is what the ruleset knows of the ENI so far.
func (r *router) admit(old *network.ENI, e network.ENI) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var removed, added []setElement
	var chains []chain
	key := classKey(e.SecurityGroups)
	c, known := r.classes[key]
	if !known {
		c = class{ID: r.nextClass(), Groups: slices.Sorted(slices.Values(e.SecurityGroups))}
		chains = classChains(c)
		added = classElements(c)
	}
	fresh := eniElements(e, c)
	if old != nil {
		stale := eniElements(*old, r.classes[classKey(old.SecurityGroups)])
		removed = without(stale, fresh)
		fresh = without(fresh, stale)
	}
	if err := r.tables.edit(routerTable, removed, chains, append(added, fresh...)); err != nil {
		return fmt.Errorf("admit to %s: %w", r.vpc, err)
	}
	r.classes[key] = c
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
func (r *router) refuse(e network.ENI) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	elements := eniElements(e, class{Groups: slices.Sorted(slices.Values(e.SecurityGroups))})
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
