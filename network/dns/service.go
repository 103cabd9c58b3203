package dns

import (
	"fmt"
	"net/netip"
	"time"
)

// A Namespace is a private DNS namespace of Cloud Map: a zone made of services and their instances.
type Namespace struct {
	Name     string // "shop.local"
	Services []Service

	// NegativeTTL is as in [Zone]; 0 is 15 s, so that a first instance is soon found.
	NegativeTTL time.Duration
}

// A Service is a name in a namespace that stands for its instances.
type Service struct {
	Name      string // "web", "_http._tcp"; its DNS name is "web.shop.local"
	Records   []ServiceRecord
	Routing   Routing // Multivalue, which Cloud Map has by default and Simple stands for here; or Weighted
	Instances []Instance
}

// ServiceRecord is a kind of record that each instance of a service has.
type ServiceRecord struct {
	Type string        // "A", "AAAA" or "SRV"
	TTL  time.Duration // as in [RecordSet]
}

// An Instance is one task of a service.
type Instance struct {
	ID        string     // one label; SRV records lead to <ID>.<service>.<namespace>
	IPv4      netip.Addr // the attribute AWS_INSTANCE_IPV4
	IPv6      netip.Addr // AWS_INSTANCE_IPV6
	Port      uint16     // AWS_INSTANCE_PORT, of SRV records
	Unhealthy bool       // its health check fails, or its containers are not HEALTHY
}

const defaultNamespaceNegativeTTL = 15 * time.Second

// Zone returns the zone that stands for the namespace, for [Resolver.SetZones] and the like. As Cloud Map does, it returns
// up to eight healthy instances at random, or one if the routing is weighted, and if no instance is healthy it chooses among
// all: Route 53 takes all records for healthy then. The error matches [ErrInvalid].
func (n Namespace) Zone() (Zone, error) {
	z := Zone{Name: n.Name, NegativeTTL: n.NegativeTTL}
	if z.NegativeTTL == 0 {
		z.NegativeTTL = defaultNamespaceNegativeTTL
	}
	for _, s := range n.Services {
		records, err := s.records(n.Name)
		if err != nil {
			return Zone{}, fmt.Errorf("namespace %q: service %q: %w", n.Name, s.Name, err)
		}
		z.Records = append(z.Records, records...)
	}
	if _, err := compile(z); err != nil {
		return Zone{}, fmt.Errorf("namespace %q: %w", n.Name, err)
	}
	return z, nil
}

func (s Service) records(namespace string) ([]RecordSet, error) {
	name := s.Name + "." + namespace
	routing := s.Routing
	if routing == Simple {
		routing = Multivalue
	}
	if len(s.Records) == 0 {
		return nil, fmt.Errorf("%w: it has no records: name A, AAAA or SRV", ErrInvalid)
	}
	var sets []RecordSet
	for _, i := range s.Instances {
		if i.ID == "" {
			return nil, fmt.Errorf("%w: an instance has no ID", ErrInvalid)
		}
		host := i.ID + "." + name
		for _, r := range s.Records {
			value, err := i.value(r.Type, host)
			if err != nil {
				return nil, fmt.Errorf("instance %q: %w", i.ID, err)
			}
			sets = append(sets, RecordSet{Name: name, Type: r.Type, TTL: r.TTL, Values: []string{value},
				Routing: routing, SetID: i.ID, Weight: 1, Unhealthy: i.Unhealthy})
			if r.Type == "SRV" {
				sets = append(sets, i.hostRecords(host, r.TTL)...)
			}
		}
	}
	return sets, nil
}

// value is the instance in a record of a type. Priority and weight of SRV records are 1 in Cloud Map.
func (i Instance) value(kind, host string) (string, error) {
	switch {
	case kind == "A" && i.IPv4.Is4():
		return i.IPv4.String(), nil
	case kind == "AAAA" && i.IPv6.Is6() && i.IPv6.Zone() == "":
		return i.IPv6.String(), nil
	case kind == "SRV" && i.Port > 0 && (i.IPv4.Is4() || i.IPv6.Is6()):
		return fmt.Sprintf("1 1 %d %s.", i.Port, host), nil
	}
	return "", fmt.Errorf("%w: it has not what a record of type %q takes", ErrInvalid, kind)
}

// hostRecords are those of the name that an SRV record leads to.
func (i Instance) hostRecords(host string, ttl time.Duration) []RecordSet {
	var sets []RecordSet
	if i.IPv4.Is4() {
		sets = append(sets, RecordSet{Name: host, Type: "A", TTL: ttl, Values: []string{i.IPv4.String()}})
	}
	if i.IPv6.Is6() {
		sets = append(sets, RecordSet{Name: host, Type: "AAAA", TTL: ttl, Values: []string{i.IPv6.String()}})
	}
	return sets
}
