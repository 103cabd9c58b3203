//go:build !linux

package linux

import (
	"context"
	"fmt"
	goruntime "runtime"

	"net/netip"

	"github.com/fardel-io/fardel/network"
)

// Fabric needs Linux. Elsewhere it can be configured, and every method returns a [*network.UnsupportedError].
type Fabric struct{}

var _ network.Fabric = (*Fabric)(nil)

// New returns a fabric. The error matches [network.ErrInvalid].
func New(cfg Config) (*Fabric, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configure linux fabric: %w", err)
	}
	return &Fabric{}, nil
}

func notHere() error {
	return &network.UnsupportedError{Feature: "a Linux fabric on " + goruntime.GOOS, Needs: "Linux, or network/fake for tests"}
}

// Apply implements [network.Fabric].
func (f *Fabric) Apply(context.Context, network.State) error { return notHere() }

// Attach implements [network.Fabric].
func (f *Fabric) Attach(context.Context, network.ENI) (network.Attachment, error) {
	return network.Attachment{}, notHere()
}

// Detach implements [network.Fabric].
func (f *Fabric) Detach(context.Context, string) error { return notHere() }

// Attachments implements [network.Fabric].
func (f *Fabric) Attachments(context.Context) ([]network.Attachment, error) { return nil, notHere() }

// HostRoutes returns where the routes of the host lead.
func (f *Fabric) HostRoutes() ([]netip.Prefix, error) { return nil, notHere() }

// Obstacles says which chains of the host's firewall drop what tasks send outside.
func (f *Fabric) Obstacles(context.Context) ([]string, error) { return nil, notHere() }

// Close implements [network.Fabric].
func (f *Fabric) Close() error { return nil }
