package network_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
)

func TestValidatePublishedPorts(t *testing.T) {
	all, lan, loopback := ip("0.0.0.0"), ip("192.0.2.10"), ip("127.0.0.1")
	port := func(at netip.Addr, port uint16, protocol network.Protocol) network.PublishedPort {
		return network.PublishedPort{HostAddress: at, HostPort: port, Protocol: protocol, Port: 80}
	}
	for _, tt := range []struct {
		name          string
		first, second []network.PublishedPort
		want          []string
	}{
		{"none", nil, nil, nil},
		{"other addresses", []network.PublishedPort{port(lan, 80, "tcp")}, []network.PublishedPort{port(loopback, 80, "tcp")}, nil},
		{"other ports and protocols", []network.PublishedPort{port(all, 80, "tcp"), port(all, 81, "tcp")}, []network.PublishedPort{port(all, 80, "udp")}, nil},
		{"the same", []network.PublishedPort{port(lan, 80, "tcp")}, []network.PublishedPort{port(lan, 80, "6")}, []string{"networkInterfaces[1].publishedPorts[0]"}},
		{"all addresses", []network.PublishedPort{port(loopback, 80, "tcp")}, []network.PublishedPort{port(all, 80, "tcp")}, []string{"networkInterfaces[1].publishedPorts[0]"}},
		{"twice in one", []network.PublishedPort{port(all, 80, "tcp"), port(lan, 80, "tcp")}, nil, []string{"networkInterfaces[0].publishedPorts[1]"}},
		{"no port", []network.PublishedPort{port(all, 0, "tcp")}, nil, []string{"networkInterfaces[0].publishedPorts[0]"}},
		{"no protocol with ports", []network.PublishedPort{port(all, 80, "icmp")}, nil, []string{"networkInterfaces[0].publishedPorts[0].protocol"}},
		{"no address", []network.PublishedPort{port(netip.Addr{}, 80, "tcp")}, nil, []string{"networkInterfaces[0].publishedPorts[0].hostAddress"}},
		{"IPv6", []network.PublishedPort{port(ip("::1"), 80, "tcp")}, nil, []string{"networkInterfaces[0].publishedPorts[0].hostAddress"}},
		{"a multicast address", []network.PublishedPort{port(ip("224.0.0.1"), 80, "tcp")}, nil, []string{"networkInterfaces[0].publishedPorts[0].hostAddress"}},
	} {
		s := withENI(t)
		e := s.ENIs[0]
		e.ID, e.PrivateIPv4, e.MAC = network.NewID("eni", "second"), e.PrivateIPv4.Next(), network.NewMAC("second")
		s.ENIs = append(s.ENIs, e)
		s.ENIs[0].PublishedPorts, s.ENIs[1].PublishedPorts = tt.first, tt.second
		err := network.Validate(s)
		got := problems(err)
		if len(got) != len(tt.want) || (err != nil) != errors.Is(err, network.ErrInvalid) {
			t.Errorf("%s: %v, want problems at %q", tt.name, err, tt.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], tt.want[i]) {
				t.Errorf("%s: %q, want it at %q", tt.name, got[i], tt.want[i])
			}
		}
	}
}

// TestEvaluatePublishedPorts publishes a port of a task in a public subnet and one of a task in a private subnet.
func TestEvaluatePublishedPorts(t *testing.T) {
	s := campus(t)
	web := network.Rule{Protocol: network.TCP, FromPort: 80, ToPort: 80, CIDRs: []netip.Prefix{pfx("192.0.2.0/24")}}
	var public, private string
	for i := range s.ENIs {
		n, _ := s.Subnet(s.ENIs[i].Subnet)
		v, open := s.SubnetRouteTable(n.ID)
		if n.VPC != "vpc-0000000a" || !open {
			continue
		}
		leads := false
		for _, r := range v.Routes {
			_, igw := s.InternetGateway(r.Target)
			leads = leads || igw && r.Destination == pfx("0.0.0.0/0")
		}
		host := uint16(8080)
		if leads && public == "" {
			public = s.ENIs[i].ID
		} else if !leads && private == "" {
			private, host = s.ENIs[i].ID, 8081
		} else {
			continue
		}
		s.ENIs[i].AssignPublicIP = false
		s.ENIs[i].PublishedPorts = []network.PublishedPort{{HostAddress: ip("0.0.0.0"), HostPort: host, Protocol: network.TCP, Port: 80},
			{HostAddress: ip("127.0.0.1"), HostPort: host + 10, Protocol: network.TCP, Port: 80}}
		g := network.SecurityGroup{ID: network.NewID("sg", s.ENIs[i].ID), VPC: n.VPC, Name: "published " + s.ENIs[i].ID, Description: "x", Ingress: []network.Rule{web}}
		s.SecurityGroups, s.ENIs[i].SecurityGroups = append(s.SecurityGroups, g), []string{g.ID}
	}
	if public == "" || private == "" {
		t.Fatal("the state has no public and private subnets")
	}
	flow := func(from string, to string, port uint16) network.Flow {
		f := network.Flow{ToHost: true, Destination: ip(to), Protocol: network.TCP, SourcePort: 40000, DestinationPort: port}
		switch from {
		case "host":
			f.FromHost = true
		default:
			f.Source = ip(from)
		}
		return f
	}
	for _, tt := range []struct {
		name string
		flow network.Flow
		to   string
		by   network.Check
	}{
		{"from the host", flow("host", "192.0.2.10", 8080), public, network.CheckRoute},
		{"from the host, by its loopback", flow("host", "127.0.0.1", 8090), public, network.CheckRoute},
		{"from the host to a private subnet", flow("host", "192.0.2.10", 8081), private, network.CheckRoute},
		{"from an address that the group allows", flow("192.0.2.77", "192.0.2.10", 8080), public, network.CheckIngress},
		{"from another one", flow("198.51.100.7", "192.0.2.10", 8080), "", network.CheckIngress},
		{"to a private subnet", flow("192.0.2.77", "192.0.2.10", 8081), "", network.CheckRoute},
		{"from an address of the VPC", flow("10.0.0.99", "192.0.2.10", 8080), "", network.CheckSource},
		{"from elsewhere to the loopback's port", flow("192.0.2.77", "192.0.2.10", 8090), "", network.CheckRoute},
	} {
		v := network.Evaluate(s, tt.flow)
		if v.Allowed != (tt.to != "") || v.Arrival.ENI != tt.to || v.Decision().Check != tt.by {
			t.Errorf("%s: %s, at %q, want it at %q by %s: %+v", tt.name, v, v.Arrival.ENI, tt.to, tt.by, v.Path)
		}
		if v.Allowed && !v.Connects() {
			t.Errorf("%s: the answer is %s", tt.name, v.Reply)
		}
	}
	task := network.Flow{ENI: private, ToHost: true, Destination: ip("192.0.2.10"), Protocol: network.TCP, DestinationPort: 8080}
	if v := network.Evaluate(s, task); v.Allowed {
		t.Errorf("a task reaches a port of the host: %s", v)
	}
}
