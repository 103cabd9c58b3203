package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/linux"
)

// insideVar is set in the copy of the program that runs in namespaces of its own.
const insideVar = "FARDEL_BENCH_INSIDE"

func main() {
	log.SetFlags(0)
	var err error
	if os.Getenv(insideVar) == "" {
		err = again()
	} else {
		err = measure(context.Background())
	}
	if err != nil {
		log.Fatal("network: ", err)
	}
}

// again starts the program in a network and a mount namespace of its own, so that nothing of this machine changes.
func again() error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

func measure(ctx context.Context) (err error) {
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), ip("link", "set", "lo", "up")); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fardel-bench-network")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := linux.New(linux.Config{Dir: filepath.Join(dir, "fabric"), Owner: "bench", DNS: []netip.Addr{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Apply(ctx, network.State{}), f.Close()) }()
	b := &bench{ctx: ctx, fabric: f, dir: dir}
	defer func() {
		for _, path := range b.mounted {
			err = errors.Join(err, syscall.Unmount(path, syscall.MNT_DETACH))
		}
	}()
	for _, part := range []func() error{b.costs, b.speeds, b.cni} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

type bench struct {
	ctx     context.Context
	fabric  *linux.Fabric
	dir     string
	state   network.State
	mounted []string // paths of namespaces
}

// groups and rules of the state: 500 rules in 10 groups.
const (
	groups     = 10
	groupRules = 50
)

func newState() (network.State, error) {
	s, err := network.DefaultVPC("bench", netip.MustParsePrefix("172.31.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	for g := range groups {
		group := network.SecurityGroup{ID: network.NewID("sg", strconv.Itoa(g)), VPC: s.VPCs[0].ID, Name: strconv.Itoa(g), Description: "bench"}
		for r := range groupRules {
			group.Ingress = append(group.Ingress, network.Rule{Protocol: network.TCP, FromPort: 1000 + r, ToPort: 1000 + r,
				Groups: []string{s.SecurityGroups[0].ID}})
		}
		s.SecurityGroups = append(s.SecurityGroups, group)
	}
	return s, err
}

// eni returns the n-th ENI. It has the default group, and one of the others.
func eni(s network.State, n int) network.ENI {
	base := s.Subnets[0].CIDR.Addr().As4()
	base[2] += byte((n + 4) / 256)
	base[3] = byte((n + 4) % 256)
	seed := strconv.Itoa(n)
	return network.ENI{ID: network.NewID("eni", seed), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.AddrFrom4(base), MAC: network.NewMAC(seed),
		SecurityGroups: []string{s.SecurityGroups[0].ID, s.SecurityGroups[1+n%groups].ID}}
}

// rounds of each measurement.
const rounds = 50

func (b *bench) costs() error {
	var err error
	if b.state, err = newState(); err != nil {
		return err
	}
	if err := b.fabric.Apply(b.ctx, b.state); err != nil {
		return err
	}
	before := available()
	for _, others := range []int{10, 1000} {
		for n := len(b.state.ENIs); n < others; n++ {
			e := eni(b.state, n)
			if _, err := b.fabric.Attach(b.ctx, e); err != nil {
				return err
			}
			b.state.ENIs = append(b.state.ENIs, e)
		}
		attach, detach, err := b.attach(others)
		if err != nil {
			return err
		}
		fmt.Printf("beside %4d ENIs, %d rules: attach p50 %6.2f ms, p95 %6.2f ms; detach p50 %5.2f ms\n", others, groups*groupRules,
			at(attach, 50), at(attach, 95), at(detach, 50))
	}
	fmt.Printf("1000 ENIs: %.0f MB of the machine's memory\n", float64(before-available())/1024)
	if err := b.rules(); err != nil {
		return err
	}
	start := time.Now()
	err = b.fabric.Apply(b.ctx, network.State{})
	fmt.Printf("removal of 1000 ENIs, all: %v\n", time.Since(start).Round(time.Millisecond))
	return err
}

// attach measures one more ENI. Each round begins when the kernel has removed the one before.
func (b *bench) attach(n int) (attach, detach []time.Duration, err error) {
	for i := range rounds {
		e := eni(b.state, n+i)
		start := time.Now()
		if _, err := b.fabric.Attach(b.ctx, e); err != nil {
			return nil, nil, err
		}
		attach = append(attach, time.Since(start))
		start = time.Now()
		if err := b.fabric.Detach(b.ctx, e.ID); err != nil {
			return nil, nil, err
		}
		detach = append(detach, time.Since(start))
		// An ENI of the same ID waits for the end of the one before.
		if _, err := b.fabric.Attach(b.ctx, e); err != nil {
			return nil, nil, err
		}
		if err := b.fabric.Detach(b.ctx, e.ID); err != nil {
			return nil, nil, err
		}
		<-time.After(50 * time.Millisecond)
	}
	return attach, detach, nil
}

// rules measures changes of the group that all ENIs have.
func (b *bench) rules() error {
	var took []time.Duration
	if err := b.fabric.Apply(b.ctx, b.state); err != nil {
		return err
	}
	for n := range rounds {
		s := b.state
		s.SecurityGroups = slices.Clone(s.SecurityGroups)
		s.SecurityGroups[0].Ingress = []network.Rule{{Protocol: network.TCP, FromPort: n, ToPort: n, Groups: []string{s.SecurityGroups[0].ID}}}
		start := time.Now()
		if err := b.fabric.Apply(b.ctx, s); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
	fmt.Printf("change of a rule of a group with %d members: p50 %.2f ms, p95 %.2f ms\n", len(b.state.ENIs), at(took, 50), at(took, 95))
	return nil
}

// at returns a percentile in milliseconds.
func at(d []time.Duration, percent int) float64 {
	slices.Sort(d)
	return float64(d[min(len(d)*percent/100, len(d)-1)].Microseconds()) / 1000
}

// available returns the memory that the machine has left, in KiB.
func available() int {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemAvailable:" {
			n, _ := strconv.Atoi(fields[1])
			return n
		}
	}
	return 0
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
