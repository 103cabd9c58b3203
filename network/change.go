package network

import (
	"maps"
	"reflect"
	"slices"
)

// A Change is an action of EC2 that is part of the way from one State to another, on one of the resources that IAM asks
// about.
type Change struct {
	Action   string // as IAM knows it: "ec2:AuthorizeSecurityGroupIngress"
	Resource string // the last part of an ARN: "security-group/sg-…", or "security-group/*" for what the action makes
}

// Changes returns the actions of EC2 that lead from one state to another, each once: what is made, what is changed, what is
// deleted. It is total: neither state needs to be valid. It leaves out ENIs, which belong to tasks. What EC2 has no verb to
// change, such as the primary CIDR of a VPC, is deleted and made anew. Another order of VPCs, by which the machine reaches
// the first of those that overlap, and any difference that no action makes, is ec2:ModifyVpcAttribute of every VPC there is.
//
// Resources are those of "Actions, resources, and condition keys for Amazon EC2" in the Service Authorization Reference.
func Changes(before, after State) []Change {
	d := &difference{before: before, after: after, seen: map[Change]bool{}}
	d.vpcs()
	d.subnets()
	d.gateways()
	d.groups()
	d.prefixLists()
	d.acls()
	d.routeTables()
	d.addresses()
	d.leftover()
	return d.changes
}

// difference collects what leads from one state to another.
type difference struct {
	before, after State
	changes       []Change
	seen          map[Change]bool
}

// do adds an action on each of some resources.
func (d *difference) do(action string, resources ...string) {
	for _, r := range resources {
		if c := (Change{"ec2:" + action, r}); !d.seen[c] {
			d.seen[c] = true
			d.changes = append(d.changes, c)
		}
	}
}

// doIf is do if it is to be done.
func (d *difference) doIf(wanted bool, action string, resources ...string) {
	if wanted {
		d.do(action, resources...)
	}
}

// kind is how things of one kind are made, changed and deleted.
type kind[T any] struct {
	id     func(T) string
	fixed  func(T) any // what no action changes; comparable
	made   func(T)
	gone   func(T)
	change func(was, is T) // was is the zero value with the ID of what is new
	fresh  func(T) T       // what made leaves, for change to go on from
}

// diff does what leads from one list to another.
func diff[T any](before, after []T, k kind[T]) {
	had := map[string]T{}
	for _, x := range before {
		had[k.id(x)] = x
	}
	has := map[string]bool{}
	for _, x := range after {
		has[k.id(x)] = true
		was, ok := had[k.id(x)]
		if ok && k.fixed(was) != k.fixed(x) {
			k.gone(was)
			ok = false
		}
		if !ok {
			k.made(x)
			was = k.fresh(x)
		}
		k.change(was, x)
	}
	for _, x := range before {
		if !has[k.id(x)] {
			k.gone(x)
		}
	}
}

// tags does what leads from one set of tags to another.
func (d *difference) tags(resource string, was, is map[string]string) {
	d.doIf(!maps.Equal(was, is) && len(is) > 0, "CreateTags", resource)
	for key := range was {
		if _, stays := is[key]; !stays {
			d.do("DeleteTags", resource)
		}
	}
}

// missing reports whether a list lacks an element of another one.
func missing[T comparable](list, of []T) bool {
	return slices.ContainsFunc(of, func(x T) bool { return !slices.Contains(list, x) })
}

// reordered reports whether after is anything else than what before has of it, in that order, and behind it what is new.
func reordered[T comparable](before, after []T) bool {
	stays := slices.DeleteFunc(slices.Clone(before), func(x T) bool { return !slices.Contains(after, x) })
	return !slices.Equal(stays, after[:min(len(stays), len(after))])
}

// leftover sees to it that no difference goes by without an action.
func (d *difference) leftover() {
	d.before.ENIs, d.after.ENIs = nil, nil
	ids := func(s State) (list []string) {
		for _, v := range s.VPCs {
			list = append(list, v.ID)
		}
		return list
	}
	silent := len(d.changes) == 0 && !reflect.DeepEqual(d.before, d.after)
	if !silent && !reordered(ids(d.before), ids(d.after)) {
		return
	}
	if len(d.after.VPCs) == 0 {
		d.do("ModifyVpcAttribute", "vpc/*")
	}
	for _, v := range d.after.VPCs {
		d.do("ModifyVpcAttribute", "vpc/"+v.ID)
	}
}
