package linux

import (
	"fmt"
	"slices"

	"github.com/fardel-io/fardel/network"
)

// publishes reports whether an ENI has a port of the host that others reach, for whose sake the host must forward.
func publishes(e network.ENI) bool {
	return slices.ContainsFunc(e.PublishedPorts, func(p network.PublishedPort) bool { return !p.HostAddress.IsLoopback() })
}

// conflicting reports whether two ENIs publish the same port.
func conflicting(a, b network.ENI) bool {
	return slices.ContainsFunc(a.PublishedPorts, func(p network.PublishedPort) bool { return slices.ContainsFunc(b.PublishedPorts, p.Conflicts) })
}

// cannotPublish is the error of ports of an ENI whose private address the host does not reach.
func cannotPublish(e network.ENI, vpc string, isolated bool) error {
	if isolated {
		return fmt.Errorf("publish %s of %s: %w", e.PublishedPorts[0], e.ID,
			&network.UnsupportedError{Feature: "a published port", Needs: "a fabric whose Config does not say Isolated"})
	}
	return fmt.Errorf("publish %s of %s: %w: the host does not reach the private addresses of %s", e.PublishedPorts[0], e.ID, network.ErrConflict, vpc)
}
