package cni

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
)

const hostLocal = `{"cniVersion": "1.0.0", "name": "tasks", "plugins": [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.1.0.0/16"}}]}`

func TestRefusedByName(t *testing.T) {
	n, err := parseConfig([]byte(hostLocal))
	if err != nil {
		t.Fatal(err)
	}
	other, err := parseConfig([]byte(`{"cniVersion": "1.0.0", "name": "tasks", "plugins": [{"type": "bridge", "ipam": {"type": "dhcp"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	good := func() network.State {
		s := stateFor("x", netip.MustParsePrefix("10.1.0.0/20"), "eu-central-1")
		s.ENIs = []network.ENI{{ID: network.NewID("eni", "x"), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr("10.1.0.10"),
			MAC: network.NewMAC("x"), SecurityGroups: []string{s.SecurityGroups[0].ID}}}
		return s
	}
	if err := errors.Join(network.Validate(good()), n.supported(good())); err != nil {
		t.Fatalf("a state that can be: %v", err)
	}
	for _, c := range []struct {
		edit func(s *network.State)
		want string
	}{
		{func(s *network.State) { s.VPCs = append(s.VPCs, s.VPCs[0]) }, "vpcs: network: a second VPC"},
		{func(s *network.State) { s.VPCs[0].IPv6CIDRs = []netip.Prefix{{}} }, "vpcs[0].ipv6CidrBlocks: network: IPv6"},
		{func(s *network.State) { s.NetworkACLs = make([]network.NetworkACL, 1) }, "network ACL"},
		{func(s *network.State) { s.PrefixLists = make([]network.PrefixList, 1) }, "prefix list"},
		{func(s *network.State) { s.InternetGateways = make([]network.InternetGateway, 1) }, "internet gateway"},
		{func(s *network.State) { s.EgressOnlyInternetGateways = make([]network.EgressOnlyInternetGateway, 1) }, "egress-only"},
		{func(s *network.State) { s.NATGateways = make([]network.NATGateway, 1) }, "NAT gateway"},
		{func(s *network.State) { s.VPCPeeringConnections = make([]network.VPCPeeringConnection, 1) }, "peering"},
		{func(s *network.State) { s.PublicIPv4Pools = make([]network.PublicIPv4Pool, 1) }, "pool"},
		{func(s *network.State) { s.Addresses = make([]network.Address, 1) }, "elastic"},
		{func(s *network.State) { s.Subnets[0].CIDR = netip.MustParsePrefix("10.2.0.0/20") }, "subnets[0].cidrBlock: network: a subnet 10.2.0.0/20"},
		{func(s *network.State) { s.SecurityGroups[0].Ingress = nil }, "securityGroups[0]: network: a security group"},
		{func(s *network.State) { s.SecurityGroups[0].Egress = nil }, "securityGroups[0]"},
		{func(s *network.State) {
			s.SecurityGroups[0].Ingress = []network.Rule{{Protocol: network.TCP, ToPort: 65535, CIDRs: s.SecurityGroups[0].Ingress[0].CIDRs}}
		}, "securityGroups[0]"},
		{func(s *network.State) { s.RouteTables[0].Routes[0].Target = "igw-1" }, "routeTables[0].routes[0]: network: a route to igw-1"},
		{func(s *network.State) { s.ENIs[0].AssignPublicIP = true }, "networkInterfaces[0]: network: a public address"},
		{func(s *network.State) { s.ENIs[0].IPv6 = netip.IPv6Loopback() }, "networkInterfaces[0]: network: IPv6"},
		{func(s *network.State) { s.ENIs[0].Bandwidth.Ingress = 1e6 }, "networkInterfaces[0]: network: a limit of bandwidth"},
		{func(s *network.State) { s.ENIs[0].PublishedPorts = make([]network.PublishedPort, 1) }, "networkInterfaces[0]: network: a published port"},
	} {
		s := good()
		c.edit(&s)
		if err := n.supported(s); !errors.Is(err, network.ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error that matches %v and has %q", err, network.ErrUnsupported, c.want)
		}
	}
	if err := other.supported(good()); !errors.Is(err, network.ErrUnsupported) || !strings.Contains(err.Error(), "a private address that is chosen before") {
		t.Errorf("a network with addresses of its own choice: %v", err)
	}
}

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("net.d/20-b.conflist", strings.Replace(hostLocal, "tasks", "second", 1))
	write("net.d/10-a.conf", `{"cniVersion": "1.0.0", "name": "first", "type": "bridge", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]}}`)
	write("net.d/05-readme.txt", "no configuration")
	if err := os.Mkdir(filepath.Join(dir, "empty.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, name, cidr, fails string
	}{
		{path: filepath.Join(dir, "net.d"), name: "first", cidr: "10.9.0.0/24"},
		{path: filepath.Join(dir, "net.d/20-b.conflist"), name: "second", cidr: "10.1.0.0/16"},
		{path: filepath.Join(dir, "empty.d"), fails: "no *.conflist"},
		{path: filepath.Join(dir, "missing"), fails: "no such file"},
		{path: write("bad.conflist", "{"), fails: "bad.conflist"},
		{path: write("name.conflist", strings.Replace(hostLocal, "tasks", "../x", 1)), fails: `"../x"`},
	} {
		f, err := New(Config{Dir: dir, Owner: "o", Network: c.path})
		if err != nil {
			t.Fatal(err)
		}
		n, err := f.cfg.load()
		if c.fails != "" {
			if !errors.Is(err, network.ErrInvalid) || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: error %v, want one that matches %v and has %q", c.path, err, network.ErrInvalid, c.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		s, err := f.State("eu-central-1")
		if err != nil || n.list.Name != c.name || s.VPCs[0].CIDRs[0].String() != c.cidr {
			t.Errorf("%s: %s, %v, %v; want %s, %s", c.path, n.list.Name, s.VPCs, err, c.name, c.cidr)
		}
		if err := network.Validate(s); err != nil {
			t.Errorf("%s: State: %v", c.path, err)
		}
	}
	for _, cfg := range []Config{{}, {Dir: "x", Owner: "o", Network: "/x"}, {Dir: "/x", Owner: "O", Network: "/x"}, {Dir: "/x", Owner: "o", Network: "x"}} {
		if _, err := New(cfg); !errors.Is(err, network.ErrInvalid) {
			t.Errorf("New(%+v): %v, want %v", cfg, err, network.ErrInvalid)
		}
	}
}
