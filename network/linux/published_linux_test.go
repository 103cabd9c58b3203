package linux

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
)

// TestPublished has conversations by ports of the host, from the host and from its network.
func TestPublished(t *testing.T) {
	m := newMachine(t, "published")
	f := m.Open(t).(*Fabric)
	s := testVPC(t, "published", "10.1.0.0/16")
	s.SecurityGroups[0].Ingress = append(s.SecurityGroups[0].Ingress, network.Rule{Protocol: network.TCP, FromPort: 7, ToPort: 7, CIDRs: prefixes("192.0.2.0/24")})
	e := testENI(s, 0)
	loopback, lan := netip.MustParseAddr("127.0.0.1"), m.HostAddr()
	e.PublishedPorts = []network.PublishedPort{
		{HostAddress: netip.IPv4Unspecified(), HostPort: 8080, Protocol: network.TCP, Port: 7},
		{HostAddress: loopback, HostPort: 8081, Protocol: network.TCP, Port: 7},
		{HostAddress: lan, HostPort: 8082, Protocol: network.TCP, Port: 8},
	}
	s.ENIs = []network.ENI{testENI(s, 1)}
	must(t, f.Apply(t.Context(), s))
	attach := func(e network.ENI) {
		t.Helper()
		if _, err := f.Attach(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		serve(t, f.cfg.namespacePath(e.ID), "0.0.0.0:7")
		serve(t, f.cfg.namespacePath(e.ID), "0.0.0.0:8")
	}
	attach(e)
	end := f.router(s.VPCs[0].ID).hostAddr.String()
	type question struct{ from, to, want string }
	check := func(when string, questions ...question) {
		t.Helper()
		for _, q := range questions {
			got, err := ask(t, q.from, q.to)
			if got != q.want || (err == nil) != (q.want != "") {
				t.Errorf("%s: %s asks %s: %q, %v, want %q", when, q.from, q.to, got, err, q.want)
			}
		}
	}
	published := []question{
		{m.host, "127.0.0.1:8080", end + " hello"},
		{m.host, "127.0.0.1:8081", end + " hello"},
		{m.host, lan.String() + ":8080", end + " hello"},
		{m.host, lan.String() + ":8082", end + " hello"},
		{m.outside, lan.String() + ":8080", "192.0.2.1 hello"}, // its own address, which the group allows
		{m.outside, lan.String() + ":8081", ""},                // for the host alone
		{m.outside, lan.String() + ":8082", ""},                // to a port that the group does not allow
		{f.cfg.namespacePath(s.ENIs[0].ID), lan.String() + ":8080", ""},
	}
	check("attached", published...)

	// The next program finds it, and a port that a process has is refused.
	must(t, f.Close())
	f = m.Open(t).(*Fabric)
	s.ENIs = append(s.ENIs, e)
	must(t, f.Apply(t.Context(), s))
	must(t, f.Apply(t.Context(), s))
	check("after a restart", published...)
	serve(t, m.host, "127.0.0.1:9000")
	other := testENI(s, 2)
	for _, at := range []netip.Addr{loopback, netip.IPv4Unspecified()} {
		other.PublishedPorts = []network.PublishedPort{{HostAddress: at, HostPort: 9000, Protocol: network.TCP, Port: 7}}
		if _, err := f.Attach(t.Context(), other); !errors.Is(err, network.ErrAddressInUse) {
			t.Errorf("a port that a process of the host has: %v", err)
		}
	}
	s.ENIs = append(s.ENIs, other)
	if err := f.Apply(t.Context(), s); !errors.Is(err, network.ErrAddressInUse) {
		t.Errorf("Apply with a port that a process of the host has: %v", err)
	}
	check("with another one refused", append(published, question{m.host, "127.0.0.1:9000", "127.0.0.1 hello"})...)
	s.ENIs = s.ENIs[:2]
	other.PublishedPorts = []network.PublishedPort{{HostAddress: netip.MustParseAddr("198.51.100.99"), HostPort: 9000, Protocol: network.TCP, Port: 7}}
	if _, err := f.Attach(t.Context(), other); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("an address that the host does not have: %v", err)
	}

	// Ports change while the task runs.
	e.PublishedPorts = e.PublishedPorts[1:]
	if _, err := f.Attach(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	check("with one port less", question{m.host, "127.0.0.1:8080", ""}, question{m.outside, lan.String() + ":8080", ""}, published[1], published[3])
	must(t, f.Detach(t.Context(), e.ID))
	check("detached", question{m.host, "127.0.0.1:8081", ""}, question{m.host, lan.String() + ":8082", ""})
	f.reaper.wait()
	if len(f.published) > 0 {
		t.Errorf("published ports that nobody has: %v", f.published)
	}
	must(t, f.Close())
}

// TestPublishedBesideDocker has a host with Docker's rules, on which nothing but a published port needs forwarding.
func TestPublishedBesideDocker(t *testing.T) {
	m := newMachine(t, "beside")
	f := m.Open(t).(*Fabric)
	m.onHost(t, "", "iptables-nft -P FORWARD DROP", "iptables-nft -N DOCKER-USER", "iptables-nft -A DOCKER-USER -j RETURN",
		"iptables-nft -A FORWARD -j DOCKER-USER")
	before := m.onHost(t, "", "iptables-nft -S")
	s := testVPC(t, "beside", "10.1.0.0/16")
	s.SecurityGroups[0].Ingress = append(s.SecurityGroups[0].Ingress, network.Rule{Protocol: network.TCP, FromPort: 7, ToPort: 7, CIDRs: prefixes("0.0.0.0/0")})
	s.ENIs = []network.ENI{testENI(s, 0)}
	s.ENIs[0].PublishedPorts = []network.PublishedPort{{HostAddress: m.HostAddr(), HostPort: 8080, Protocol: network.TCP, Port: 7}}
	must(t, f.Apply(t.Context(), s))
	serve(t, f.cfg.namespacePath(s.ENIs[0].ID), "0.0.0.0:7")
	if got, err := ask(t, m.outside, m.HostAddr().String()+":8080"); err != nil || got != "192.0.2.1 hello" {
		t.Errorf("the host's network asks: %q, %v", got, err)
	}
	must(t, f.Apply(t.Context(), network.State{}))
	if after := m.onHost(t, "", "iptables-nft -S"); after != before {
		t.Errorf("rules were\n%s\nand are\n%s", before, after)
	}
	must(t, f.Close())
}

// TestPublishedInVain publishes ports of ENIs that the host does not reach.
func TestPublishedInVain(t *testing.T) {
	ports := []network.PublishedPort{{HostAddress: netip.IPv4Unspecified(), HostPort: 8080, Protocol: network.TCP, Port: 7}}
	for _, tt := range []struct {
		isolated bool
		cidr     string
		want     error
	}{{true, "10.1.0.0/16", network.ErrUnsupported}, {false, "192.0.0.0/16", network.ErrConflict}} {
		m := newMachine(t, "vain")
		m.cfg.Isolated = tt.isolated
		f := m.Open(t).(*Fabric)
		s := testVPC(t, "vain", tt.cidr)
		_ = f.Apply(t.Context(), s)
		e := testENI(s, 0)
		e.PublishedPorts = ports
		if _, err := f.Attach(t.Context(), e); !errors.Is(err, tt.want) {
			t.Errorf("Attach in %s: %v, want %v", tt.cidr, err, tt.want)
		}
		if list, err := f.Attachments(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("attached are %v, %v", list, err)
		}
		s.ENIs = []network.ENI{e}
		if err := f.Apply(t.Context(), s); !errors.Is(err, tt.want) {
			t.Errorf("Apply in %s: %v, want %v", tt.cidr, err, tt.want)
		}
		must(t, f.Close())
	}
}

// TestPublishedHeir moves a port to another ENI while a conversation of UDP goes on by it.
func TestPublishedHeir(t *testing.T) {
	m := newMachine(t, "heirs")
	f := m.Open(t).(*Fabric)
	s := testVPC(t, "heirs", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	ports := []network.PublishedPort{{HostAddress: netip.IPv4Unspecified(), HostPort: 5300, Protocol: network.UDP, Port: 53}}
	s.ENIs[0].PublishedPorts = ports
	must(t, f.Apply(t.Context(), s))
	heard := make([]net.PacketConn, 2)
	for i, e := range s.ENIs {
		in(t, f.cfg.namespacePath(e.ID), func() (err error) { heard[i], err = net.ListenPacket("udp4", ":53"); return err })
		defer func() { _ = heard[i].Close() }()
	}
	var c net.Conn
	in(t, m.host, func() (err error) { c, err = net.Dial("udp4", "127.0.0.1:5300"); return err })
	defer func() { _ = c.Close() }()
	talk := func(i int) {
		t.Helper()
		buffer := make([]byte, 16)
		_, err := c.Write([]byte("x"))
		must(t, err)
		must(t, heard[i].SetReadDeadline(time.Now().Add(time.Minute)))
		_, from, err := heard[i].ReadFrom(buffer)
		must(t, err)
		_, err = heard[i].WriteTo(buffer[:1], from)
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = c.Read(buffer)
		must(t, err)
	}
	talk(0)
	s.ENIs[0].PublishedPorts, s.ENIs[1].PublishedPorts = nil, ports
	must(t, f.Apply(t.Context(), s))
	talk(1)
	s.ENIs[0].PublishedPorts, s.ENIs[1].PublishedPorts = ports, nil
	for _, e := range []network.ENI{s.ENIs[1], s.ENIs[0]} {
		if _, err := f.Attach(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	talk(0)
	must(t, f.Close())
}
