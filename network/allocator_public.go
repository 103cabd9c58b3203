package network

import (
	"fmt"
	"net/netip"
)

// publicPool is the addresses of one CIDR of a pool.
type publicPool struct {
	id   string
	cidr netip.Prefix
	used bitmap
	next int
	free int
}

func (a *Allocator) addPool(p PublicIPv4Pool) {
	for _, c := range p.CIDRs {
		if c.IsValid() && c.Addr().Is4() && c.Bits() >= minPrefix {
			size := 1 << (32 - c.Bits())
			a.public = append(a.public, &publicPool{id: p.ID, cidr: c.Masked(), used: newBitmap(size), free: size})
		}
	}
}

// AllocatePublic takes a public address of a pool, "" for any pool, in their order. One that was released is given again
// last. [ErrNoAddress] if there is none, be it that there is no pool.
func (a *Allocator) AllocatePublic(pool string) (netip.Addr, error) {
	for _, p := range a.public {
		if p.free == 0 || pool != "" && p.id != pool {
			continue
		}
		n := p.used.firstClear(p.next)
		if n == p.used.size {
			n = p.used.firstClear(0)
		}
		p.take(n)
		return offset(p.cidr.Addr(), n), nil
	}
	return netip.Addr{}, fmt.Errorf("allocate a public address: %w: the pool has none left", ErrNoAddress)
}

// ReservePublic takes a given public address. [ErrNotFound] if it is in no pool, [ErrAddressInUse] if it is taken.
func (a *Allocator) ReservePublic(addr netip.Addr) error {
	p, ok := a.poolOf(addr)
	if !ok {
		return fmt.Errorf("reserve %s: %w: no pool has it", addr, ErrNotFound)
	}
	n := distance(p.cidr.Addr(), addr)
	if p.used.has(n) {
		return fmt.Errorf("reserve %s: %w", addr, ErrAddressInUse)
	}
	p.take(n)
	return nil
}

// ReleasePublic gives a public address back. It does nothing if the address is not taken.
func (a *Allocator) ReleasePublic(addr netip.Addr) {
	p, ok := a.poolOf(addr)
	if !ok {
		return
	}
	if n := distance(p.cidr.Addr(), addr); p.used.has(n) {
		p.used.clear(n)
		p.free++
	}
}

func (a *Allocator) poolOf(addr netip.Addr) (*publicPool, bool) {
	return find(a.public, func(p *publicPool) bool { return p.cidr.Contains(addr) })
}

func (p *publicPool) take(n int) {
	p.used.set(n)
	p.free--
	p.next = n + 1
}
