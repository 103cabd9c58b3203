package linux

import (
	"context"
	"fmt"

	"github.com/fardel-io/fardel/network"
)

// claim takes an ENI's address and MAC, once nothing is left of who had them before, or of the ENI itself.
func (f *Fabric) claim(ctx context.Context, rec record) error {
	for {
		f.mu.Lock()
		var busy chan struct{}
		for _, h := range holdings(rec.VPC, rec.ENI) {
			other, held := f.holders[h]
			if !held {
				continue
			}
			if busy = f.removals[other]; busy == nil {
				f.mu.Unlock()
				return inUse(h, other)
			}
		}
		if own := f.removals[rec.ENI.ID]; own != nil {
			busy = own
		}
		if busy == nil {
			for _, h := range holdings(rec.VPC, rec.ENI) {
				f.holders[h] = rec.ENI.ID
			}
			f.mu.Unlock()
			return nil
		}
		f.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func inUse(h holding, other string) error {
	if h.mac.IsZero() {
		return fmt.Errorf("%w: %s is that of %s", network.ErrAddressInUse, h.addr, other)
	}
	return fmt.Errorf("%w: MAC address %s is that of %s", network.ErrInvalid, h.mac, other)
}

// release gives address and MAC back.
func (f *Fabric) release(rec record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releaseLocked(rec)
}

func (f *Fabric) releaseLocked(rec record) {
	for _, h := range holdings(rec.VPC, rec.ENI) {
		if f.holders[h] == rec.ENI.ID {
			delete(f.holders, h)
		}
	}
	if f.ids[rec.FirstID] == rec.ENI.ID {
		delete(f.ids, rec.FirstID)
	}
	f.releasePortsLocked(rec.ENI, nil)
}
