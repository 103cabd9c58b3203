package network

import "net/netip"

// A PrefixList is a managed prefix list: CIDRs of one family with a name, which rules of security groups and routes of
// any VPC can use.
type PrefixList struct {
	ID            string            `json:"prefixListId"`   // "pl-" and 17 hexadecimal digits
	Name          string            `json:"prefixListName"` // 1 to 255 characters, not beginning with "com.amazonaws"
	AddressFamily AddressFamily     `json:"addressFamily"`
	MaxEntries    int               `json:"maxEntries"` // 1 to 1000, and not fewer than Entries: what it counts for as a rule or route
	Entries       []PrefixListEntry `json:"entries"`
	Tags          map[string]string `json:"tags,omitempty"`
}

// A PrefixListEntry is one CIDR of a prefix list.
type PrefixListEntry struct {
	CIDR        netip.Prefix `json:"cidr"` // masked; only once in a list
	Description string       `json:"description,omitempty"`
}

// AddressFamily is a version of IP as EC2 writes it.
type AddressFamily string

// The families.
const (
	IPv4 AddressFamily = "IPv4"
	IPv6 AddressFamily = "IPv6"
)

// PrefixList returns the prefix list with an ID.
func (s State) PrefixList(id string) (PrefixList, bool) {
	return find(s.PrefixLists, func(l PrefixList) bool { return l.ID == id })
}

// CIDRs returns the list's prefixes.
func (l PrefixList) CIDRs() []netip.Prefix {
	all := make([]netip.Prefix, len(l.Entries))
	for i, e := range l.Entries {
		all[i] = e.CIDR
	}
	return all
}
