package linux

import (
	"github.com/fardel-io/fardel/network"
)

// enforceable returns a [*network.UnsupportedError] if s has something that this fabric does not put into the kernel:
// rather no network than one that lets through what its owner has forbidden.
func enforceable(s network.State) error {
	lacks := func(feature string) error {
		return &network.UnsupportedError{Feature: feature, Needs: "a fabric that enforces them; leave them out of the state"}
	}
	for _, v := range s.VPCs {
		if len(v.IPv6CIDRs) > 0 {
			return lacks("IPv6 CIDRs")
		}
	}
	for _, e := range s.ENIs {
		if err := enforceableENI(e); err != nil {
			return err
		}
	}
	return nil
}

// enforceableENI is enforceable for one more ENI.
func enforceableENI(e network.ENI) error {
	if e.IPv6.IsValid() {
		return &network.UnsupportedError{Feature: "ENIs with IPv6",
			Needs: "a fabric that enforces them; leave it out"}
	}
	return nil
}
