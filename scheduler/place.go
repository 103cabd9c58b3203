package scheduler

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
)

// ledger is what live tasks have reserved on this machine: sizes and addresses. It is plain data, rebuilt from the
// store at every start.
type ledger struct {
	capacity  task.Size // 0 is no limit
	reserved  task.Size
	net       network.State // whose subnets and pools addresses come from
	addresses *network.Allocator
	tasks     map[string]reservation
	publishes map[hostPort]map[string]bool // IDs of tasks, by what they publish
}

// hostPort is a port of the machine at all of its addresses.
type hostPort struct {
	protocol int
	port     uint16
}

func hostPortOf(p network.PublishedPort) hostPort {
	number, _ := p.Protocol.Number()
	return hostPort{number, p.HostPort}
}

// reservation is one task's part of a ledger.
type reservation struct {
	size     task.Size
	subnet   string
	addr     netip.Addr
	ipv6     netip.Addr // the zero value is none
	isPublic bool       // it has a public address: its own, or for the zero value of public one of the machine's
	public   netip.Addr
	ports    []network.PublishedPort
}

// reservationOf is what a live task has reserved.
func reservationOf(rec *taskRecord) reservation {
	e := rec.ENI
	return reservation{size: sizeOf(&rec.Task), subnet: e.Subnet, addr: e.PrivateIPv4, ipv6: e.IPv6, isPublic: e.AssignPublicIP, public: e.PublicIPv4,
		ports: e.PublishedPorts}
}

// newLedger returns the ledger of tasks that live already. s has their ENIs.
func newLedger(s network.State, live []taskRecord, capacity task.Size) *ledger {
	l := &ledger{capacity: capacity, net: s, addresses: network.NewAllocator(s), tasks: map[string]reservation{},
		publishes: map[hostPort]map[string]bool{}}
	for i := range live {
		l.add(live[i].Task.ID(), reservationOf(&live[i]))
	}
	return l
}

// reserve takes a size and addresses in one of the subnets for a task, or nothing. Without subnets it takes no
// address.
func (l *ledger) reserve(id string, size task.Size, where location) (reservation, error) {
	if err := fits("all tasks together", task.Size{CPU: l.reserved.CPU + size.CPU, Memory: l.reserved.Memory + size.Memory}, l.capacity); err != nil {
		return reservation{}, err
	}
	if err := l.portsFree(where.ports); err != nil {
		return reservation{}, err
	}
	r := reservation{size: size, ports: where.ports}
	if len(where.Subnets) == 0 {
		l.add(id, r)
		return r, nil
	}
	if err := l.address(&r, where); err != nil {
		l.addresses.Release(r.subnet, r.addr)
		l.addresses.ReleaseIPv6(r.subnet, r.ipv6)
		if errors.Is(err, network.ErrNoAddress) {
			return reservation{}, &PlacementError{"RESOURCE:ENI", err.Error()}
		}
		return reservation{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	l.add(id, r)
	return r, nil
}

// portsFree reports the first of some ports of the machine that a task has.
func (l *ledger) portsFree(ports []network.PublishedPort) error {
	for _, p := range ports {
		for id := range l.publishes[hostPortOf(p)] {
			if slices.ContainsFunc(l.tasks[id].ports, p.Conflicts) {
				reason := "RESOURCE:PORTS:TCP" // ECS has it for the ports of an instance
				if p.Protocol.Is(network.UDP) {
					reason = "RESOURCE:PORTS:UDP"
				}
				return &PlacementError{reason, fmt.Sprintf("%s is published by task %s", p, id)}
			}
		}
	}
	return nil
}

// address takes the addresses of an ENI: a private one, one of IPv6 if the subnet says so, and a public one. A cluster
// without a pool has its tasks share an address of the machine's, by which they reach the outside and are not reached.
func (l *ledger) address(r *reservation, where location) (err error) {
	if r.subnet, r.addr, err = l.addresses.Allocate(where.Subnets); err != nil {
		return err
	}
	subnet, _ := l.net.Subnet(r.subnet)
	if subnet.AssignIPv6AddressOnCreation {
		if r.ipv6, err = l.addresses.AllocateIPv6(r.subnet); err != nil {
			return err
		}
	}
	r.isPublic = where.AssignPublicIP
	if where.asSubnet {
		r.isPublic = subnet.MapPublicIPOnLaunch
	}
	if r.isPublic && len(l.net.PublicIPv4Pools) > 0 {
		r.public, err = l.addresses.AllocatePublic("")
	}
	return err
}

func (l *ledger) add(id string, r reservation) {
	l.tasks[id] = r
	l.reserved.CPU += r.size.CPU
	l.reserved.Memory += r.size.Memory
	for _, p := range r.ports {
		key := hostPortOf(p)
		if l.publishes[key] == nil {
			l.publishes[key] = map[string]bool{}
		}
		l.publishes[key][id] = true
	}
}

// release gives back what a task has reserved. Nothing happens the second time.
func (l *ledger) release(id string) {
	r, ok := l.tasks[id]
	if !ok {
		return
	}
	delete(l.tasks, id)
	l.reserved.CPU -= r.size.CPU
	l.reserved.Memory -= r.size.Memory
	l.addresses.Release(r.subnet, r.addr)
	l.addresses.ReleaseIPv6(r.subnet, r.ipv6)
	l.addresses.ReleasePublic(r.public)
	for _, p := range r.ports {
		key := hostPortOf(p)
		if delete(l.publishes[key], id); len(l.publishes[key]) == 0 {
			delete(l.publishes, key)
		}
	}
}

// fits checks a size against a limit of which 0 is none.
func fits(what string, want, limit task.Size) error {
	if limit.CPU > 0 && want.CPU > limit.CPU {
		return &PlacementError{"RESOURCE:CPU",
			fmt.Sprintf("%s would need %d CPU units (%g vCPU) and there are %d", what, want.CPU, want.CPU.VCPU(), limit.CPU)}
	}
	if limit.Memory > 0 && want.Memory > limit.Memory {
		return &PlacementError{"RESOURCE:MEMORY",
			fmt.Sprintf("%s would need %d MiB of memory and there are %d", what, want.Memory, limit.Memory)}
	}
	return nil
}

// reservationFor is what a task reserves: its size, else the sum of its containers' cpu and of their memoryReservation
// or memory (ECS on EC2).
func reservationFor(def *task.TaskDefinition) (task.Size, error) {
	size, err := def.Size()
	if err != nil {
		return task.Size{}, err
	}
	var sum task.Size
	for i := range def.ContainerDefinitions {
		c := &def.ContainerDefinitions[i]
		sum.CPU += c.CPU
		if c.MemoryReservation > 0 {
			sum.Memory += c.MemoryReservation
		} else {
			sum.Memory += c.Memory
		}
	}
	if size.CPU == 0 {
		size.CPU = sum.CPU
	}
	if size.Memory == 0 {
		size.Memory = sum.Memory
	}
	return size, nil
}

// sizeOf reads what a task has reserved from its record.
func sizeOf(t *task.Task) task.Size {
	cpu, _ := strconv.ParseInt(t.CPU, 10, 64)
	memory, _ := strconv.ParseInt(t.Memory, 10, 64)
	return task.Size{CPU: task.CPUUnits(cpu), Memory: task.MiB(memory)}
}

// location is a network configuration with nothing left out.
type location struct {
	AWSVPCConfiguration
	asSubnet bool // AssignPublicIP is as the subnet's MapPublicIPOnLaunch says, for the caller said nothing
	ports    []network.PublishedPort
}

// resolveNetwork fills in what a network configuration leaves out, and checks that what it names exists, in one VPC.
// A subnet's MapPublicIPOnLaunch counts where the caller leaves all of it out: assignPublicIp is DISABLED otherwise,
// whatever the subnet says (ECS). A task without network has none.
func resolveNetwork(s network.State, mode task.NetworkMode, n *AWSVPCConfiguration) (location, error) {
	switch {
	case mode != task.NetworkModeAWSVPC && n != nil:
		return location{}, fmt.Errorf("%w: Network Configuration is not valid for the given networkMode of this task definition.", ErrInvalid)
	case mode != task.NetworkModeAWSVPC:
		return location{}, nil
	}
	asSubnet := n == nil
	if n == nil {
		subnets := defaultSubnets(s)
		if len(subnets) == 0 {
			return location{}, fmt.Errorf("%w: Network Configuration must be provided when networkMode 'awsvpc' is specified. "+
				"(The cluster has no default VPC.)", ErrInvalid)
		}
		n = &AWSVPCConfiguration{Subnets: subnets, AssignPublicIP: slices.ContainsFunc(s.Subnets, func(sn network.Subnet) bool {
			return sn.MapPublicIPOnLaunch && slices.Contains(subnets, sn.ID)
		})}
	}
	vpc := ""
	for _, id := range n.Subnets {
		i := slices.IndexFunc(s.Subnets, func(sn network.Subnet) bool { return sn.ID == id })
		switch {
		case i < 0:
			return location{}, fmt.Errorf("%w: the subnet ID '%s' does not exist", ErrInvalid, id)
		case vpc != "" && s.Subnets[i].VPC != vpc:
			return location{}, fmt.Errorf("%w: subnets must be in the same VPC: %s is in %s and not in %s", ErrInvalid, id, s.Subnets[i].VPC, vpc)
		}
		vpc = s.Subnets[i].VPC
	}
	out := location{AWSVPCConfiguration: *n, asSubnet: asSubnet}
	if len(out.SecurityGroups) == 0 {
		i := slices.IndexFunc(s.SecurityGroups, func(g network.SecurityGroup) bool {
			return g.VPC == vpc && g.Name == network.DefaultGroupName
		})
		if i < 0 {
			return location{}, fmt.Errorf("%w: VPC %s has no default security group: name one", ErrInvalid, vpc)
		}
		out.SecurityGroups = []string{s.SecurityGroups[i].ID}
	}
	for _, id := range out.SecurityGroups {
		if !slices.ContainsFunc(s.SecurityGroups, func(g network.SecurityGroup) bool { return g.ID == id && g.VPC == vpc }) {
			return location{}, fmt.Errorf("%w: the security group '%s' does not exist in VPC %s", ErrInvalid, id, vpc)
		}
	}
	return out, nil
}

// defaultSubnets are the default VPC's subnets.
func defaultSubnets(s network.State) []string {
	var ids []string
	for _, v := range s.VPCs {
		if !v.IsDefault {
			continue
		}
		for _, sn := range s.Subnets {
			if sn.VPC == v.ID && sn.DefaultForAZ {
				ids = append(ids, sn.ID)
			}
		}
	}
	return ids
}
