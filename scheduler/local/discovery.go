package local

import (
	"github.com/fardel-io/fardel/network/dns"
	"github.com/fardel-io/fardel/scheduler"
)

// serviceNames makes the instances of services known through the VPCs' name servers.
type serviceNames struct{ fabric *dns.Fabric }

// SetNamespace implements [scheduler.Names].
func (s serviceNames) SetNamespace(n scheduler.Namespace, instances map[string][]scheduler.ServiceInstance) error {
	out := dns.Namespace{Name: n.Name}
	for _, service := range n.Services {
		d := dns.Service{Name: service.Name}
		if service.Weighted {
			d.Routing = dns.Weighted
		}
		for _, r := range service.Records {
			d.Records = append(d.Records, dns.ServiceRecord{Type: r.Type, TTL: r.TTL})
		}
		for _, i := range instances[service.Name] {
			d.Instances = append(d.Instances, dns.Instance{ID: i.ID, IPv4: i.IPv4, IPv6: i.IPv6, Port: i.Port})
		}
		out.Services = append(out.Services, d)
	}
	return s.fabric.SetNamespace(n.VPC, out)
}
