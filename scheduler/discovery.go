package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/task"
)

// Namespace is a private DNS namespace of Cloud Map. [RunOptions.ServiceRegistries] makes tasks instances of its services.
type Namespace struct {
	Name     string // "shop.local"
	VPC      string // ID of the VPC in which its names are known; "" is every one
	Services []DiscoveryService
}

// DiscoveryService is a service of Cloud Map: a name that stands for those of its tasks that are RUNNING and not UNHEALTHY.
type DiscoveryService struct {
	Name     string      // "web"; its DNS name is "web.shop.local"
	Records  []DNSRecord // at least one, of each type at most one
	Weighted bool        // an answer has one instance at random, else up to eight
}

// DNSRecord is a kind of record that each instance of a service has.
type DNSRecord struct {
	Type string        // "A", "AAAA" or "SRV"
	TTL  time.Duration // for how long clients may believe it; whole seconds
}

// ServiceInstance is a task as instance of a service.
type ServiceInstance struct {
	ID   string // of the task
	IPv4 netip.Addr
	IPv6 netip.Addr // the zero value is none
	Port uint16     // of SRV records; 0 is none
}

// Names makes instances of services known, such as name servers of a VPC.
type Names interface {
	// SetNamespace replaces what is known of a namespace: the instances of each of its services, by name. It takes effect
	// before it returns, and does not block for long. It does not keep instances.
	SetNamespace(n Namespace, instances map[string][]ServiceInstance) error
}

// ServiceRegistry names a service of Cloud Map for a task, as serviceRegistries of CreateService does.
type ServiceRegistry struct {
	RegistryARN string // see [Cluster.RegistryARN]

	// SRV records need a port: Port, or the ContainerPort of a port mapping of the container ContainerName, and not both.
	Port          uint16
	ContainerName string
	ContainerPort uint16
}

// maxServiceRegistries is how many a service of ECS can have.
const maxServiceRegistries = 1

// registration is a task's place in a service.
type registration struct {
	RegistryARN string `json:"registryArn"`
	Port        uint16 `json:"port,omitempty"`
}

// RegistryARN returns the ARN of a service of Cloud Map, by the names of its namespace and its own. The same names have the
// same ARN, whether there is such a service or not.
func (c *Cluster) RegistryARN(namespace, service string) string {
	return c.cfg.registryARN(namespace, service)
}

func (c Config) registryARN(namespace, service string) string {
	id := sum([]byte(c.clusterARN() + "/" + namespace + "/" + service))[:16]
	return "arn:aws:servicediscovery:" + c.Region + ":" + c.Account + ":service/srv-" + id
}

// checkNamespaces refuses what cannot be named. DNS's own rules are for Names to say.
func (c Config) checkNamespaces() error {
	if len(c.Namespaces) > 0 && c.Names == nil {
		return errors.New("scheduler: Config.Namespaces need Config.Names, to make them known")
	}
	seen := map[string]bool{}
	for _, n := range c.Namespaces {
		if seen[n.VPC+"/"+n.Name] {
			return fmt.Errorf("scheduler: Config.Namespaces: there are two of the name %q", n.Name)
		}
		seen[n.VPC+"/"+n.Name] = true
		for _, s := range n.Services {
			arn := c.registryARN(n.Name, s.Name)
			if s.Name == "" || seen[arn] {
				return fmt.Errorf("scheduler: Config.Namespaces: %s: the name %q of a service must be there, and once", n.Name, s.Name)
			}
			seen[arn] = true
			if err := s.checkRecords(); err != nil {
				return fmt.Errorf("scheduler: Config.Namespaces: %s.%s: %w", s.Name, n.Name, err)
			}
		}
	}
	return nil
}

func (s DiscoveryService) checkRecords() error {
	types := map[string]bool{}
	for _, r := range s.Records {
		if !slices.Contains([]string{"A", "AAAA", "SRV"}, r.Type) || types[r.Type] {
			return fmt.Errorf("a record of type %q must be one of A, AAAA and SRV, and the only one of its type", r.Type)
		}
		types[r.Type] = true
	}
	if len(types) == 0 {
		return errors.New("it has no records: name A, AAAA or SRV")
	}
	return nil
}

func (s DiscoveryService) has(kind string) bool {
	return slices.ContainsFunc(s.Records, func(r DNSRecord) bool { return r.Type == kind })
}

// discovery is the instances that are known. Nothing of it is stored: records of tasks say what it was.
type discovery struct {
	cfg Config

	mu        sync.Mutex // guards instances, and orders what Names is told
	instances map[string]map[string]ServiceInstance
}

// find returns the service of an ARN.
func (d *discovery) find(arn string) (n Namespace, s DiscoveryService, ok bool) {
	for _, n := range d.cfg.Namespaces {
		for _, s := range n.Services {
			if d.cfg.registryARN(n.Name, s.Name) == arn {
				return n, s, true
			}
		}
	}
	return n, s, false
}

// begin makes the namespaces known with the instances that tasks of the last run are. A service that is not configured any
// more has none.
func (d *discovery) begin(live []taskRecord) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instances = map[string]map[string]ServiceInstance{}
	for i := range live {
		for _, r := range live[i].Registrations {
			if serves(&live[i].Task) {
				d.add(&live[i], r)
			}
		}
	}
	for _, n := range d.cfg.Namespaces {
		if err := d.tell(n); err != nil {
			return err
		}
	}
	return nil
}

// serves reports whether a task is one that others should find.
func serves(t *task.Task) bool {
	return t.LastStatus == task.Running && t.HealthStatus != task.HealthUnhealthy
}

// observe makes known what has become of a task. It is called with every record that the engine writes, after that and
// before the engine does anything else: what is DEACTIVATING is not found any more before it is asked to stop.
func (d *discovery) observe(rec *taskRecord) error {
	if len(rec.Registrations) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, r := range rec.Registrations {
		n, _, ok := d.find(r.RegistryARN)
		_, known := d.instances[r.RegistryARN][rec.Task.ID()]
		if !ok || known == serves(&rec.Task) {
			continue
		}
		if known {
			delete(d.instances[r.RegistryARN], rec.Task.ID())
		} else {
			d.add(rec, r)
		}
		errs = append(errs, d.tell(n))
	}
	return errors.Join(errs...)
}

// add takes a task in, in one of its services. The caller holds mu.
func (d *discovery) add(rec *taskRecord, r registration) {
	if d.instances[r.RegistryARN] == nil {
		d.instances[r.RegistryARN] = map[string]ServiceInstance{}
	}
	d.instances[r.RegistryARN][rec.Task.ID()] = ServiceInstance{
		ID: rec.Task.ID(), IPv4: rec.ENI.PrivateIPv4, IPv6: rec.ENI.IPv6, Port: r.Port}
}

// tell tells Names of a namespace. The caller holds mu.
func (d *discovery) tell(n Namespace) error {
	instances := map[string][]ServiceInstance{}
	for _, s := range n.Services {
		for _, i := range d.instances[d.cfg.registryARN(n.Name, s.Name)] {
			instances[s.Name] = append(instances[s.Name], i)
		}
		slices.SortFunc(instances[s.Name], func(a, b ServiceInstance) int { return cmp.Compare(a.ID, b.ID) })
	}
	if err := d.cfg.Names.SetNamespace(n, instances); err != nil {
		return fmt.Errorf("scheduler: namespace %s: %w", n.Name, err)
	}
	return nil
}

// register resolves what a call says of registries.
func (d *discovery) register(def *task.TaskDefinition, registries []ServiceRegistry) ([]registration, error) {
	if len(registries) > maxServiceRegistries {
		return nil, fmt.Errorf("%w: serviceRegistries has %d elements, and ECS allows %d", ErrInvalid, len(registries), maxServiceRegistries)
	}
	var list []registration
	for _, r := range registries {
		_, s, ok := d.find(r.RegistryARN)
		if !ok {
			return nil, fmt.Errorf("%w: the service registry '%s' does not exist", ErrInvalid, r.RegistryARN)
		}
		byContainer := r.ContainerName != "" || r.ContainerPort != 0
		switch {
		case s.has("SRV") && byContainer == (r.Port != 0):
			return nil, fmt.Errorf("%w: service registry %s has SRV records: it needs a port, or a containerName and containerPort, and not both",
				ErrInvalid, r.RegistryARN)
		case byContainer && !mapsPort(def, r.ContainerName, r.ContainerPort):
			return nil, fmt.Errorf("%w: the container %s did not have a container port %d defined", ErrInvalid, r.ContainerName, r.ContainerPort)
		}
		list = append(list, registration{r.RegistryARN, cmp.Or(r.Port, r.ContainerPort)})
	}
	return list, nil
}

func mapsPort(def *task.TaskDefinition, container string, port uint16) bool {
	c := def.Container(container)
	return c != nil && slices.ContainsFunc(c.PortMappings, func(m task.PortMapping) bool { return int(m.ContainerPort) == int(port) })
}

// fits checks that a task has what the records of its services take.
func (d *discovery) fits(rec *taskRecord, vpc string) error {
	for _, r := range rec.Registrations {
		n, s, _ := d.find(r.RegistryARN)
		if !rec.ENI.PrivateIPv4.IsValid() {
			return fmt.Errorf("%w: a task without a network interface cannot be an instance of service %s.%s", ErrInvalid, s.Name, n.Name)
		}
		if s.has("AAAA") && !rec.ENI.IPv6.IsValid() {
			return fmt.Errorf("%w: service %s.%s has AAAA records, and subnet %s assigns no IPv6 addresses", ErrInvalid, s.Name, n.Name, rec.ENI.Subnet)
		}
		if n.VPC != "" && n.VPC != vpc {
			return fmt.Errorf("%w: the names of %s are known in %s, and subnet %s is in %s", ErrInvalid, strings.TrimSuffix(n.Name, "."), n.VPC, rec.ENI.Subnet, vpc)
		}
	}
	return nil
}
