package scheduler

import (
	"context"
	"fmt"

	"github.com/fardel-io/fardel/network"
)

// Network returns the cluster's VPCs, subnets, security groups and routes, without ENIs.
func (c *Cluster) Network(ctx context.Context) (network.State, error) {
	if err := c.await(ctx); err != nil {
		return network.State{}, err
	}
	if err := c.authorize(ctx, "ec2:DescribeVpcs", "*", nil); err != nil {
		return network.State{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.net, nil
}

// SetNetwork replaces the cluster's VPCs, subnets, security groups and routes. Changes take effect on running tasks
// before it returns. What running tasks use cannot be taken away: the error lists it and nothing is changed.
func (c *Cluster) SetNetwork(ctx context.Context, s network.State) error {
	if err := c.await(ctx); err != nil {
		return err
	}
	if err := c.authorize(ctx, "ec2:ModifyVpcAttribute", "*", nil); err != nil {
		return err
	}
	if len(s.ENIs) > 0 {
		return fmt.Errorf("%w: the network must have no ENIs: tasks bring their own", ErrInvalid)
	}
	return c.setNetwork(ctx, s)
}

// setNetwork keeps others from placing tasks throughout: none may go where the network is going away.
func (c *core) setNetwork(ctx context.Context, s network.State) error {
	c.placing.Lock()
	defer c.placing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	recs, err := c.live(ctx)
	if err != nil {
		return err
	}
	whole := s
	whole.ENIs = nil
	for _, rec := range recs {
		whole.ENIs = append(whole.ENIs, rec.ENI)
	}
	if err := network.Validate(whole); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var stored network.State
	at, err := load(ctx, c.cfg.Store, keyNetwork, &stored)
	if err != nil {
		return err
	}
	if err := c.storeNetwork(ctx, s, at); err != nil {
		return err
	}
	c.net = s
	c.ledger = newLedger(whole, recs, c.cfg.Capacity)
	if err := c.cfg.Fabric.Apply(ctx, whole); err != nil {
		return fmt.Errorf("scheduler: apply network: %w", err)
	}
	return nil
}
