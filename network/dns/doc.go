// Package dns is the name server of a VPC: what Amazon calls the Route 53 Resolver, at 169.254.169.253 and at the base of
// the VPC's addresses plus two. Tasks ask it for names of each other, of private hosted zones and of service discovery,
// and it asks the host's name servers for all else.
//
//	forwarder, err := dns.NewForwarder(dns.ForwarderConfig{Servers: dns.HostServers("/etc/resolv.conf")})
//	resolver, err := dns.NewResolver(dns.Config{Domain: "eu-central-1.compute.internal", Forwarder: forwarder})
//	resolver.AddHost(dns.Host{Name: "ip-10-0-0-5.eu-central-1.compute.internal", Addrs: []netip.Addr{addr}})
//	err = resolver.SetZones([]dns.Zone{{Name: "shop.internal", Records: []dns.RecordSet{
//		{Name: "db.shop.internal", Type: "A", TTL: time.Minute, Values: []string{"10.0.0.5"}}}}})
//	err = resolver.Run(ctx, []net.PacketConn{udp}, []net.Listener{tcp}) // blocks
//
// [Fabric] does all of that for every VPC of a [network.Fabric] that is a [network.Listener].
//
// # What is answered
//
// A name is looked up where it is known best: the names of ENIs and their addresses in in-addr.arpa and ip6.arpa, then the
// zone with the longest name that contains it. A name in a zone of ours that does not exist there does not exist: it is
// never forwarded. Private hosted zones have simple, multivalue and weighted record sets, wildcards and CNAMEs, which are
// followed into other zones and to the outside. [Namespace] is what Cloud Map makes of tasks: a zone whose records follow
// their health.
//
// Queries of a class other than IN are refused. ANY gets what RFC 8482 allows. An answer that does not fit into what the
// client takes over UDP is truncated, and comes whole over TCP.
//
// # What it withstands
//
// Each source address may send 1024 packets a second, Amazon's limit for an ENI; what is beyond is dropped. Cache, queries
// that wait for the outside, those of one source, connections and their number per source are bounded. Queries are parsed
// by github.com/miekg/dns, whose types do not leave this package.
//
// Each question to the outside has a socket, a port and an ID of its own. Of an answer, records that are not about the question
// are left out, and the cache knows an answer by its question alone. VPCs share one cache of what the outside says, and nothing
// else: a task may learn from the time of an answer that somebody asked for a name lately, but no zone or host of another VPC.
//
// # What it does not do
//
//   - It validates no DNSSEC and signs nothing. The bits DO, CD and AD are passed on.
//   - There are no aliases, failover, latency or geolocation records, and no delegation inside a private zone.
//   - It lives in the host program: while that is down, nobody answers.
package dns
