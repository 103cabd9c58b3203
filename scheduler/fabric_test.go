package scheduler_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/fardel-io/fardel/network"
)

// testFabric counts interfaces.
type testFabric struct {
	fail func(method string) error

	mu   sync.Mutex
	enis map[string]network.ENI
}

func newTestFabric() *testFabric { return &testFabric{enis: map[string]network.ENI{}} }

func (f *testFabric) do(method string, act func()) error {
	if f.fail != nil {
		if err := f.fail(method); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	act()
	return nil
}

func (f *testFabric) Apply(_ context.Context, s network.State) error {
	return f.do("Apply", func() {
		clear(f.enis)
		for _, e := range s.ENIs {
			f.enis[e.ID] = e
		}
	})
}

func (f *testFabric) Attach(_ context.Context, e network.ENI) (network.Attachment, error) {
	err := f.do("Attach", func() { f.enis[e.ID] = e })
	return network.Attachment{ENI: e.ID, NetNS: "/netns/" + e.ID, Address: netip.PrefixFrom(e.PrivateIPv4, 20)}, err
}

func (f *testFabric) Detach(_ context.Context, id string) error {
	return f.do("Detach", func() { delete(f.enis, id) })
}

func (f *testFabric) Attachments(context.Context) ([]network.Attachment, error) { return nil, nil }
func (f *testFabric) Close() error                                              { return nil }

func (f *testFabric) attached() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.enis))
}
