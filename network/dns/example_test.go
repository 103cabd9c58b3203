package dns_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/fardel-io/fardel/network/dns"
)

// A resolver on loopback sockets, asked by the standard library.
func Example() {
	web := dns.Namespace{Name: "shop.local", Services: []dns.Service{{
		Name:    "web",
		Records: []dns.ServiceRecord{{Type: "A", TTL: 10 * time.Second}},
		Instances: []dns.Instance{
			{ID: "task-1", IPv4: netip.MustParseAddr("10.0.0.5")},
			{ID: "task-2", IPv4: netip.MustParseAddr("10.0.0.6"), Unhealthy: true},
		},
	}}}
	zone, err := web.Zone()
	if err != nil {
		fmt.Println(err)
		return
	}
	resolver, err := dns.NewResolver(dns.Config{Domain: "eu-central-1.compute.internal"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := resolver.SetZone(zone); err != nil {
		fmt.Println(err)
		return
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- resolver.Run(ctx, []net.PacketConn{socket}, nil) }()

	client := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
	fmt.Println(client.LookupHost(ctx, "web.shop.local."))
	cancel()
	fmt.Println(<-done)
	// Output:
	// [10.0.0.5] <nil>
	// <nil>
}
