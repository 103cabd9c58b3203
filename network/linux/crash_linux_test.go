package linux

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
)

// crashVar holds the configuration of the fabric that a child works with until it is killed.
const crashVar = "FARDEL_TEST_CRASH"

// crashState returns what the child and its killer work with.
func crashState() network.State {
	var all network.State
	for i, cidr := range []string{"10.1.0.0/16", "10.2.0.0/16"} {
		s, err := network.DefaultVPC(fmt.Sprint("crash ", i), prefix(cidr), "eu-central-1", []string{"eu-central-1a"})
		if err != nil {
			panic(err)
		}
		all.VPCs = append(all.VPCs, s.VPCs...)
		all.Subnets = append(all.Subnets, s.Subnets...)
		all.SecurityGroups = append(all.SecurityGroups, s.SecurityGroups...)
		all.InternetGateways = append(all.InternetGateways, s.InternetGateways...)
		all.RouteTables = append(all.RouteTables, s.RouteTables...)
		for n := range 3 {
			e := testENI(s, n)
			e.AssignPublicIP = n > 0
			all.ENIs = append(all.ENIs, e)
		}
	}
	all.VPCs[1].IsDefault = false
	return all
}

// crashMain changes the network as fast as it can. It says so when it begins and does not end by itself.
func crashMain() {
	var cfg Config
	if err := json.Unmarshal([]byte(os.Getenv(crashVar)), &cfg); err != nil {
		fmt.Println(err)
		return
	}
	f, err := New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	whole := crashState()
	bare := whole
	bare.ENIs = nil
	fmt.Println("ready")
	for {
		steps := []func() error{
			func() error { return f.Apply(ctx, network.State{}) },
			func() error { return f.Apply(ctx, bare) },
			func() error { _, err := f.Attach(ctx, whole.ENIs[0]); return err },
			func() error { _, err := f.Attach(ctx, whole.ENIs[4]); return err },
			func() error { return f.Detach(ctx, whole.ENIs[0].ID) },
			func() error { return f.Apply(ctx, whole) },
			func() error { return f.Detach(ctx, whole.ENIs[1].ID) },
			func() error { _, err := f.Attach(ctx, whole.ENIs[1]); return err },
		}
		for _, step := range steps {
			if err := step(); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
}

// crash runs the child for a while and kills it.
func crash(t *testing.T, m *machine, after time.Duration) {
	t.Helper()
	cfg, err := json.Marshal(m.cfg)
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), crashVar+"="+string(cfg))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Errorf("the child says %q", lines.Text())
	}
	<-time.After(after)
	must(t, cmd.Process.Kill())
	if lines.Scan() {
		t.Errorf("the child ended by itself: %s", lines.Text())
	}
	_ = cmd.Wait() // it was killed
}

// TestCrash kills a process at any moment and lets the next one make of it what it wants: everything, or nothing.
func TestCrash(t *testing.T) {
	m := newMachine(t, "crash")
	whole := crashState()
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		after := time.Duration(rand.Int64N(int64(250 * time.Millisecond)))
		crash(t, m, after)
		f := m.Open(t)
		want := network.State{}
		if round%2 == 0 {
			want = whole
		}
		must(t, f.Apply(t.Context(), want))
		list, err := f.Attachments(t.Context())
		must(t, err)
		if len(list) != len(want.ENIs) {
			t.Errorf("killed after %v: %d attachments, want %d", after, len(list), len(want.ENIs))
		}
		checkTraffic(t, m, want)
		if round%2 == 1 {
			if left := m.Leftovers(t); len(left) > 0 {
				t.Errorf("killed after %v: left %q", after, left)
			}
		}
		must(t, f.Close())
		if t.Failed() {
			return
		}
	}
}

// checkTraffic compares a packet between any two ENIs with what Evaluate says.
func checkTraffic(t *testing.T, m *machine, s network.State) {
	t.Helper()
	var flows []network.Flow
	for _, a := range s.ENIs {
		for _, b := range s.ENIs {
			flows = append(flows, network.Flow{ENI: a.ID, Destination: b.PrivateIPv4, Protocol: network.UDP, SourcePort: 9, DestinationPort: 9})
		}
		flows = append(flows, network.Flow{ENI: a.ID, Destination: m.OutsideAddr(), Protocol: network.UDP, SourcePort: 9, DestinationPort: 9})
	}
	for i, arrived := range m.Send(t, flows, 100*time.Millisecond) {
		if want := network.Evaluate(s, flows[i]); arrived != want.Allowed {
			t.Errorf("packet %+v: arrived = %t, but it is %s", flows[i], arrived, want)
		}
	}
}
