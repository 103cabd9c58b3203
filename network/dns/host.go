package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	wire "github.com/miekg/dns"
)

// A Host is a network interface that has a name.
type Host struct {
	Name  string // "ip-10-0-0-5.eu-central-1.compute.internal"
	Addrs []netip.Addr
}

// hostTTL is how long clients may remember the address of a host: 60 s, as EC2's names have.
const hostTTL = 60

// hosts are the names of interfaces and the way back. Queries take no lock, and a change costs the same however many
// there are.
type hosts struct {
	mu     sync.Mutex // of those who change
	names  sync.Map   // canonical name → []netip.Addr, sorted and not empty
	owners sync.Map   // netip.Addr → canonical name
}

// add takes a host in. An address that another host has changes hands.
func (h *hosts) add(host Host) error {
	name, err := canonical(host.Name)
	if err != nil {
		return fmt.Errorf("host %q: %w", host.Name, err)
	}
	for _, a := range host.Addrs {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			return fmt.Errorf("host %q: %w: %v is no address of it", host.Name, ErrInvalid, a)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range host.Addrs {
		if owner, ok := h.owners.Load(a); ok && owner != name {
			h.drop(a)
		}
		have := h.addrs(name)
		if i, found := slices.BinarySearchFunc(have, a, netip.Addr.Compare); !found {
			h.names.Store(name, slices.Insert(slices.Clone(have), i, a))
		}
		h.owners.Store(a, name)
	}
	return nil
}

// remove forgets an address, and its host's name with the last of them.
func (h *hosts) remove(a netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(a)
}

func (h *hosts) drop(a netip.Addr) {
	owner, ok := h.owners.LoadAndDelete(a)
	if !ok {
		return
	}
	left := slices.DeleteFunc(slices.Clone(h.addrs(owner.(string))), func(b netip.Addr) bool { return a == b })
	if len(left) == 0 {
		h.names.Delete(owner)
	} else {
		h.names.Store(owner, left)
	}
}

// addrs returns the addresses of a canonical name. They are not to be changed.
func (h *hosts) addrs(name string) []netip.Addr {
	list, ok := h.names.Load(name)
	if !ok {
		return nil
	}
	return list.([]netip.Addr)
}

func (h *hosts) owner(a netip.Addr) string {
	name, ok := h.owners.Load(a)
	if !ok {
		return ""
	}
	return name.(string)
}

// lookup answers for the name of a host.
func (h *hosts) lookup(addrs []netip.Addr, kind uint16, soa *wire.SOA) result {
	if kind == wire.TypeANY {
		return result{records: []wire.RR{minimalAny()}}
	}
	var records []wire.RR
	for _, a := range addrs {
		if rr := addressRecord(a, hostTTL); kind == rr.Header().Rrtype {
			records = append(records, rr)
		}
	}
	return result{records: records, soa: soa}
}

func addressRecord(a netip.Addr, ttl uint32) wire.RR {
	h := wire.RR_Header{Rrtype: wire.TypeA, Class: wire.ClassINET, Ttl: ttl}
	if a.Is4() {
		return &wire.A{Hdr: h, A: a.AsSlice()}
	}
	h.Rrtype = wire.TypeAAAA
	return &wire.AAAA{Hdr: h, AAAA: a.AsSlice()}
}

// reverse answers for the name of an address of the VPC in in-addr.arpa or ip6.arpa.
func (h *hosts) reverse(name string, a netip.Addr, kind uint16) result {
	soa := newSOA(reverseZone(name, a), hostTTL)
	owner := h.owner(a)
	switch {
	case owner == "":
		return result{rcode: wire.RcodeNameError, soa: soa}
	case kind == wire.TypeANY:
		return result{records: []wire.RR{minimalAny()}}
	case kind == wire.TypePTR:
		hdr := wire.RR_Header{Rrtype: wire.TypePTR, Class: wire.ClassINET, Ttl: hostTTL}
		return result{records: []wire.RR{&wire.PTR{Hdr: hdr, Ptr: owner}}}
	}
	return result{soa: soa}
}

// reverseZone is where the names of an address's neighbours end: those of its /24, or of its /64.
func reverseZone(name string, a netip.Addr) string {
	labels := 1
	if a.Is6() {
		labels = 16
	}
	for range labels {
		name = parent(name)
	}
	return name
}

// parseReverse returns the address that a canonical name in in-addr.arpa or ip6.arpa stands for.
func parseReverse(name string) (netip.Addr, bool) {
	if head, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		labels := strings.Split(head, ".")
		if len(labels) != 4 {
			return netip.Addr{}, false
		}
		slices.Reverse(labels)
		a, err := netip.ParseAddr(strings.Join(labels, "."))
		return a, err == nil && a.Is4()
	}
	head, ok := strings.CutSuffix(name, ".ip6.arpa.")
	if !ok || len(head) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		digit, err := strconv.ParseUint(head[62-2*i:63-2*i], 16, 4)
		if err != nil || i > 0 && head[63-2*i] != '.' {
			return netip.Addr{}, false
		}
		b[i/2] |= byte(digit) << (4 * (1 - i%2))
	}
	return netip.AddrFrom16(b), true
}
