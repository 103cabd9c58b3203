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
	addresses *network.Allocator
	tasks     map[string]reservation
}

// reservation is one task's part of a ledger.
type reservation struct {
	size   task.Size
	subnet string
	addr   netip.Addr
}

// newLedger returns the ledger of tasks that live already. s has their ENIs.
func newLedger(s network.State, live []taskRecord, capacity task.Size) *ledger {
	l := &ledger{capacity: capacity, addresses: network.NewAllocator(s), tasks: map[string]reservation{}}
	for _, rec := range live {
		l.add(rec.Task.ID(), reservation{sizeOf(&rec.Task), rec.ENI.Subnet, rec.ENI.PrivateIPv4})
	}
	return l
}

// reserve takes a size and an address in one of the subnets for a task, or nothing.
func (l *ledger) reserve(id string, size task.Size, subnets []string) (subnet string, addr netip.Addr, err error) {
	if err := fits("all tasks together", task.Size{CPU: l.reserved.CPU + size.CPU, Memory: l.reserved.Memory + size.Memory}, l.capacity); err != nil {
		return "", netip.Addr{}, err
	}
	subnet, addr, err = l.addresses.Allocate(subnets)
	if errors.Is(err, network.ErrNoAddress) {
		return "", netip.Addr{}, &PlacementError{"RESOURCE:ENI", err.Error()}
	}
	if err != nil {
		return "", netip.Addr{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	l.add(id, reservation{size, subnet, addr})
	return subnet, addr, nil
}

func (l *ledger) add(id string, r reservation) {
	l.tasks[id] = r
	l.reserved.CPU += r.size.CPU
	l.reserved.Memory += r.size.Memory
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

// resolveNetwork fills in what a network configuration leaves out, and checks that what it names exists, in one VPC.
func resolveNetwork(s network.State, n *AWSVPCConfiguration) (AWSVPCConfiguration, error) {
	if n == nil {
		subnets := defaultSubnets(s)
		if len(subnets) == 0 {
			return AWSVPCConfiguration{}, fmt.Errorf("%w: Network Configuration must be provided when networkMode 'awsvpc' is specified. "+
				"(The cluster has no default VPC.)", ErrInvalid)
		}
		n = &AWSVPCConfiguration{Subnets: subnets, AssignPublicIP: true}
	}
	vpc := ""
	for _, id := range n.Subnets {
		i := slices.IndexFunc(s.Subnets, func(sn network.Subnet) bool { return sn.ID == id })
		switch {
		case i < 0:
			return AWSVPCConfiguration{}, fmt.Errorf("%w: the subnet ID '%s' does not exist", ErrInvalid, id)
		case vpc != "" && s.Subnets[i].VPC != vpc:
			return AWSVPCConfiguration{}, fmt.Errorf("%w: subnets must be in the same VPC: %s is in %s and not in %s", ErrInvalid, id, s.Subnets[i].VPC, vpc)
		}
		vpc = s.Subnets[i].VPC
	}
	out := *n
	if len(out.SecurityGroups) == 0 {
		i := slices.IndexFunc(s.SecurityGroups, func(g network.SecurityGroup) bool {
			return g.VPC == vpc && g.Name == network.DefaultGroupName
		})
		if i < 0 {
			return AWSVPCConfiguration{}, fmt.Errorf("%w: VPC %s has no default security group: name one", ErrInvalid, vpc)
		}
		out.SecurityGroups = []string{s.SecurityGroups[i].ID}
	}
	for _, id := range out.SecurityGroups {
		if !slices.ContainsFunc(s.SecurityGroups, func(g network.SecurityGroup) bool { return g.ID == id && g.VPC == vpc }) {
			return AWSVPCConfiguration{}, fmt.Errorf("%w: the security group '%s' does not exist in VPC %s", ErrInvalid, id, vpc)
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
