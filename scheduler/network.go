package scheduler

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
)

// Network returns the cluster's VPCs, subnets, security groups and routes, without ENIs. The state is the caller's own: to
// change the network, change it and hand it to [Cluster.SetNetwork].
func (c *Cluster) Network(ctx context.Context) (network.State, error) {
	if err := c.await(ctx); err != nil {
		return network.State{}, err
	}
	if err := c.authorize(ctx, "ec2:DescribeVpcs", "*", nil); err != nil {
		return network.State{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.net.Clone(), nil
}

// SetNetwork replaces the cluster's VPCs, subnets, security groups and routes. Changes take effect on running tasks
// before it returns. What running tasks use cannot be taken away: the error lists it and nothing is changed.
//
// A principal needs ec2:DescribeVpcs, and what EC2 asks for each part of the change, as [network.Changes] has it: to let
// somebody call a group takes ec2:AuthorizeSecurityGroupIngress on
// arn:aws:ec2:<region>:<account>:security-group/<id>. If any of it is denied nothing is changed.
func (c *Cluster) SetNetwork(ctx context.Context, s network.State) error {
	if err := c.await(ctx); err != nil {
		return err
	}
	if len(s.ENIs) > 0 {
		return fmt.Errorf("%w: the network must have no ENIs: tasks bring their own", ErrInvalid)
	}
	s = s.Clone()
	for {
		before, err := c.Network(ctx)
		if err != nil {
			return err
		}
		if err := c.authorizeChanges(ctx, network.Changes(before, s)); err != nil {
			return err
		}
		if err := c.setNetwork(ctx, before, s); !errors.Is(err, errChanged) {
			return err
		}
	}
}

// errChanged is the error of a change of something that another call has changed meanwhile.
var errChanged = errors.New("scheduler: the network has changed")

// authorizeChanges asks for each action that a change of the network is.
func (c *Cluster) authorizeChanges(ctx context.Context, changes []network.Change) error {
	for _, x := range changes {
		arn := fmt.Sprintf("arn:aws:ec2:%s:%s:%s", c.cfg.Region, c.cfg.Account, x.Resource)
		if err := c.authorize(ctx, x.Action, arn, nil); err != nil {
			return err
		}
	}
	return nil
}

// setNetwork keeps others from placing tasks throughout: none may go where the network is going away. It fails with
// errChanged if the network is not the one that is to be replaced.
func (c *core) setNetwork(ctx context.Context, before, s network.State) error {
	c.placing.Lock()
	defer c.placing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !reflect.DeepEqual(c.net, before) {
		return errChanged
	}
	recs, err := c.live(ctx)
	if err != nil {
		return err
	}
	whole := withInterfaces(s, recs)
	if err := network.Validate(whole); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.replaceNetwork(ctx, s); err != nil {
		return err
	}
	c.net = s
	c.ledger = newLedger(whole, recs, c.cfg.Capacity)
	if err := c.cfg.Fabric.Apply(ctx, whole); err != nil {
		return fmt.Errorf("scheduler: apply network: %w", err)
	}
	return nil
}

// withInterfaces returns the network with the interfaces of tasks.
func withInterfaces(s network.State, live []taskRecord) network.State {
	s.ENIs = nil
	for _, rec := range live {
		if rec.ENI.ID != "" {
			s.ENIs = append(s.ENIs, rec.ENI)
		}
	}
	return s
}

// releaseInterface takes an interface that is deleted from elastic addresses and routes that name it. The fabric has done
// with it before that: the address answers nobody, and the routes lead nowhere. What goes wrong is left to the next start,
// which does the same.
func (c *core) releaseInterface(ctx context.Context, eni string) {
	if eni == "" {
		return
	}
	is := func(id string) bool { return id == eni }
	c.mu.Lock()
	_, named := c.net.WithoutInterfaces(is)
	c.mu.Unlock()
	if !named {
		return
	}
	c.placing.Lock()
	defer c.placing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	left, _ := c.net.WithoutInterfaces(is)
	recs, err := c.live(ctx)
	if err == nil {
		err = c.replaceNetwork(ctx, left)
	}
	if err == nil {
		c.net = left
		err = c.cfg.Fabric.Apply(ctx, withInterfaces(left, recs))
	}
	if err != nil && ctx.Err() == nil {
		c.cfg.Logger.Error("elastic addresses or routes still name an interface that is gone", "networkInterfaceId", eni, "error", err)
	}
}

// disassociate does for the interfaces that tasks had which ended while no cluster ran. s has those of the others.
func (c *core) disassociate(ctx context.Context, s network.State) (network.State, error) {
	there := map[string]bool{}
	for _, e := range s.ENIs {
		there[e.ID] = true
	}
	left, changed := s.WithoutInterfaces(func(id string) bool { return !there[id] })
	if !changed {
		return s, nil
	}
	stored := left
	stored.ENIs = nil
	return left, c.replaceNetwork(ctx, stored)
}

// replaceNetwork stores the network in the place of the one that is stored.
func (c *core) replaceNetwork(ctx context.Context, s network.State) error {
	var stored network.State
	at, err := load(ctx, c.cfg.Store, keyNetwork, &stored)
	if err != nil {
		return err
	}
	return c.storeNetwork(ctx, s, at)
}

// NetworkInterface returns the task's network interface as EC2 describes it, with the public address that it has at the
// moment, which ECS's records of tasks lack: its own, or that of an elastic address. With AssignPublicIP and without a
// public address it shares one of the machine's. It fails with [ErrNotFound] for a task that has none, or is STOPPED: its
// interface is deleted.
func (r *Run) NetworkInterface(ctx context.Context) (network.ENI, error) {
	if err := r.c.authorize(ctx, "ec2:DescribeNetworkInterfaces", "*", nil); err != nil {
		return network.ENI{}, err
	}
	var rec taskRecord
	at, err := load(ctx, r.c.cfg.Store, prefixTasks+r.id, &rec)
	if err != nil {
		return network.ENI{}, err
	}
	if at == 0 || rec.Task.LastStatus >= task.Stopped || rec.ENI.ID == "" {
		return network.ENI{}, fmt.Errorf("%w: network interface of task %s", ErrNotFound, r.id)
	}
	eni := rec.ENI
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	eni.PublicIPv4, eni.AssignPublicIP = r.c.net.PublicIPv4(eni)
	return eni, nil
}

// NetworkInterfaces returns the network interfaces of tasks, as they were attached: first those that were deleted after a
// moment, as far as Config.Retention goes, then those that there are. The zero time leaves the former out.
func (c *Cluster) NetworkInterfaces(ctx context.Context, deletedSince time.Time) ([]network.ENI, error) {
	if err := c.authorize(ctx, "ec2:DescribeNetworkInterfaces", "*", nil); err != nil {
		return nil, err
	}
	recs, err := all[taskRecord](ctx, c.cfg.Store, prefixTasks)
	if err != nil {
		return nil, err
	}
	var gone, there []network.ENI
	for _, rec := range recs {
		switch {
		case rec.ENI.ID == "":
		case rec.Task.LastStatus < task.Stopped:
			there = append(there, rec.ENI)
		case !deletedSince.IsZero() && rec.Task.StoppedAt.After(deletedSince):
			gone = append(gone, rec.ENI)
		}
	}
	return append(gone, there...), nil
}
