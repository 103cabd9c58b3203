package scheduler

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
)

func vpc(t *testing.T) network.State {
	t.Helper()
	s, err := network.DefaultVPC("test", netip.MustParsePrefix("10.9.0.0/24"), "us-east-1", []string{"us-east-1a", "us-east-1b"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLedgerReserves(t *testing.T) {
	s := vpc(t)
	l := newLedger(s, nil, task.Size{CPU: 1024, Memory: 2048})
	where := location{AWSVPCConfiguration: AWSVPCConfiguration{Subnets: defaultSubnets(s)}}
	small := task.Size{CPU: 512, Memory: 512}
	for _, id := range []string{"a", "b"} {
		if _, err := l.reserve(id, small, where); err != nil {
			t.Fatalf("reserve %s: %v", id, err)
		}
	}
	var full *PlacementError
	if _, err := l.reserve("c", small, where); !errors.As(err, &full) || full.Reason != "RESOURCE:CPU" {
		t.Errorf("third half of the CPU: %v, want RESOURCE:CPU", err)
	}
	l.release("a")
	l.release("a")
	if _, err := l.reserve("c", small, where); err != nil {
		t.Errorf("after a release: %v", err)
	}
	if l.reserved.CPU != 1024 {
		t.Errorf("reserved %d CPU units, want 1024: a second release must count for nothing", l.reserved.CPU)
	}
}

func TestLedgerRunsOutOfAddresses(t *testing.T) {
	s := vpc(t)
	l := newLedger(s, nil, task.Size{})
	where := location{AWSVPCConfiguration: AWSVPCConfiguration{Subnets: defaultSubnets(s)[:1]}} // a /28 has 11 addresses for tasks
	var err error
	n := 0
	for ; err == nil && n < 20; n++ {
		_, err = l.reserve(string(rune('a'+n)), task.Size{}, where)
	}
	var full *PlacementError
	if !errors.As(err, &full) || full.Reason != "RESOURCE:ENI" || n != 12 {
		t.Errorf("%d reservations ended with %v, want RESOURCE:ENI at the 12th", n, err)
	}
}

func TestLedgerGivesBackWhatItTookInVain(t *testing.T) {
	s := vpc(t)
	s.PublicIPv4Pools = []network.PublicIPv4Pool{{ID: network.NewID("ipv4pool-ec2", "a"), CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.1/32")}}}
	l := newLedger(s, nil, task.Size{})
	where := location{AWSVPCConfiguration: AWSVPCConfiguration{Subnets: defaultSubnets(s)[:1], AssignPublicIP: true}}
	if r, err := l.reserve("a", task.Size{CPU: 256}, where); err != nil || r.public.String() != "203.0.113.1" {
		t.Fatalf("the only public address: %+v, %v", r, err)
	}
	free := l.addresses.Free(where.Subnets[0])
	var full *PlacementError
	if _, err := l.reserve("b", task.Size{CPU: 256}, where); !errors.As(err, &full) || full.Reason != "RESOURCE:ENI" {
		t.Errorf("one more: %v, want RESOURCE:ENI", err)
	}
	if got := l.addresses.Free(where.Subnets[0]); got != free || l.reserved.CPU != 256 {
		t.Errorf("%d private addresses free and %d CPU units reserved after the refusal, want %d and 256", got, l.reserved.CPU, free)
	}
	l.release("a")
	if _, err := l.reserve("b", task.Size{CPU: 256}, where); err != nil {
		t.Errorf("after a release: %v", err)
	}
}

func TestResolveNetwork(t *testing.T) {
	s := vpc(t)
	sn, sg := s.Subnets[0].ID, s.SecurityGroups[0].ID
	got, err := resolveNetwork(s, task.NetworkModeAWSVPC, nil)
	if err != nil || len(got.Subnets) != 2 || len(got.SecurityGroups) != 1 || !got.AssignPublicIP {
		t.Errorf("no configuration: %+v, %v, want the default VPC's", got, err)
	}
	got, err = resolveNetwork(s, task.NetworkModeAWSVPC, &AWSVPCConfiguration{Subnets: []string{sn}})
	if err != nil || got.SecurityGroups[0] != sg || got.AssignPublicIP {
		t.Errorf("a subnet: %+v, %v, want the default group and no public address", got, err)
	}
	for name, n := range map[string]*AWSVPCConfiguration{
		"unknown subnet": {Subnets: []string{"subnet-0"}},
		"unknown group":  {Subnets: []string{sn}, SecurityGroups: []string{"sg-0"}},
	} {
		if _, err := resolveNetwork(s, task.NetworkModeAWSVPC, n); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := resolveNetwork(network.State{}, task.NetworkModeAWSVPC, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no VPC at all: %v, want ErrInvalid", err)
	}
}
