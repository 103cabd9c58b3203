package fake

import (
	"context"
	"fmt"

	"github.com/fardel-io/fardel/network"
)

// SetFaults implements [network.FaultInjector]: it notes them, and nothing else becomes of them.
func (f *Fabric) SetFaults(ctx context.Context, eniID string, faults network.Faults) error {
	if err := network.ValidateFaults(faults); err != nil {
		return fmt.Errorf("set faults of %s: %w", eniID, err)
	}
	if err := f.begin(ctx, SetFaults, eniID); err != nil {
		return fmt.Errorf("set faults of %s: %w", eniID, err)
	}
	defer f.host.mu.Unlock()
	a, ok := f.host.attached[eniID]
	if !ok {
		return fmt.Errorf("set faults of %s: %w: it is not attached", eniID, network.ErrNotFound)
	}
	a.faults = faults
	f.host.attached[eniID] = a
	return nil
}

// Faults returns what is wrong on purpose with the traffic of an ENI.
func (f *Fabric) Faults(eniID string) network.Faults {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	return f.host.attached[eniID].faults
}
