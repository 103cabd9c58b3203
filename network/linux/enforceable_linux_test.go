package linux

import (
	"errors"
	"testing"

	"github.com/fardel-io/fardel/network"
)

func TestEnforceable(t *testing.T) {
	plain := testVPC(t, "plain", "10.1.0.0/16")
	plain.ENIs = []network.ENI{testENI(plain, 0)}
	if err := enforceable(plain); err != nil {
		t.Errorf("default VPC: %v", err)
	}
	tests := map[string]func(*network.State){
		"network ACL":    func(s *network.State) { s.NetworkACLs = []network.NetworkACL{{VPC: s.VPCs[0].ID}} },
		"subnet table":   func(s *network.State) { s.RouteTables[0].Subnets = []string{s.Subnets[0].ID} },
		"blackhole":      func(s *network.State) { s.RouteTables[0].Routes[1].Target = network.TargetBlackhole },
		"IPv6":           func(s *network.State) { s.VPCs[0].IPv6CIDRs = append(s.VPCs[0].IPv6CIDRs, prefix("fd00::/56")) },
		"router":         func(s *network.State) { s.ENIs[0].NoSourceDestCheck = true },
		"public address": func(s *network.State) { s.ENIs[0].PublicIPv4 = prefix("203.0.113.1/32").Addr() },
	}
	for name, edit := range tests {
		s := testVPC(t, "plain", "10.1.0.0/16")
		s.ENIs = []network.ENI{testENI(s, 0)}
		edit(&s)
		if err := enforceable(s); !errors.Is(err, network.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
