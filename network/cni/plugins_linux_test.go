package cni

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
)

// TestChain has each plugin of a chain do its part, and undo it.
func TestChain(t *testing.T) {
	m := newMachine(t, chain)
	m.cfg.CapabilityArgs = func(e network.ENI) map[string]any {
		return map[string]any{
			"portMappings": []map[string]any{{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}},
			"bandwidth":    map[string]any{"ingressRate": 8_000_000, "ingressBurst": 8_000_000},
		}
	}
	f := m.open(t)
	defer f.Close()
	s, eni := m.state(t, f)
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	a, err := f.Attach(t.Context(), eni(0))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.MAC, eni(0).MAC; got != want {
		t.Errorf("the bridge plugin gave the MAC %s, want %s", got, want)
	}
	if !connects(t, "", a.NetNS, netip.MustParseAddrPort("10.1.0.10:80"), 10*time.Second) {
		t.Error("the machine does not reach the task")
	}
	if !connectsTo(t, a.NetNS, 80, netip.MustParseAddrPort("10.1.0.1:8080"), 10*time.Second) {
		t.Error("the published port does not lead to the task")
	}
	for what, args := range map[string]string{"qdisc tbf": "tc qdisc show", "-s 10.1.0.10/32": "iptables -S", "--dport 8080": "iptables -t nat -S"} {
		out, err := exec.Command(strings.Fields(args)[0], strings.Fields(args)[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), what) {
			t.Errorf("%s: %v, without %q: %s", args, err, what, out)
		}
	}
	if err := f.Detach(t.Context(), eni(0).ID); err != nil {
		t.Fatal(err)
	}
	if left := m.left(t); len(left) > 0 {
		t.Errorf("left after Detach: %q", left)
	}
}

func TestPointToPoint(t *testing.T) {
	m := newMachine(t, pointToPoint)
	f := m.open(t)
	defer f.Close()
	s, eni := m.state(t, f)
	s.ENIs = []network.ENI{eni(0), eni(1)}
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	list, err := f.Attachments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if diff := cmp.Diff([]string{"192.0.2.53", "eu-central-1.compute.internal ptp.internal", "10.2.0.1"},
			[]string{a.DNS[0].String(), strings.Join(a.Search, " "), a.Gateway.String()}); diff != "" {
			t.Errorf("what plugins say of names: -want +got\n%s", diff)
		}
	}
	from, to := f.attached[eni(0).ID].Attachment, f.attached[eni(1).ID].Attachment
	if !connects(t, from.NetNS, to.NetNS, netip.AddrPortFrom(to.Address.Addr(), 80), 10*time.Second) {
		t.Error("one task does not reach the other")
	}
	s.ENIs = nil
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if left := m.left(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestRepair makes an interface again that somebody took away, in the namespace that the task runs in.
func TestRepair(t *testing.T) {
	m := newMachine(t, chain)
	f := m.open(t)
	defer f.Close()
	s, eni := m.state(t, f)
	s.ENIs = []network.ENI{eni(0)}
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	a := f.attached[eni(0).ID].Attachment
	if err := inNamespace(a.NetNS, func() error { return exec.Command("ip", "link", "del", "eth0").Run() }); err != nil {
		t.Fatal(err)
	}
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if !connects(t, "", a.NetNS, netip.MustParseAddrPort("10.1.0.10:80"), 10*time.Second) {
		t.Error("the machine does not reach the task after the repair")
	}
	if err := f.Apply(t.Context(), network.State{}); err != nil {
		t.Fatal(err)
	}
	if left := m.left(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestOtherAddress refuses a network that does not give the address it is asked for.
func TestOtherAddress(t *testing.T) {
	m := newMachine(t, `{"cniVersion": "1.0.0", "name": "tasks", "plugins": [{"type": "other", "capabilities": {"ips": true}}]}`)
	script(t, m, "other", `case $CNI_COMMAND in
ADD) echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.99/20", "gateway": "10.1.0.1"}]}' ;;
DEL) echo "$CNI_CONTAINERID" >>$DIR/undone ;;
esac`)
	f := m.open(t)
	defer f.Close()
	s := stateFor("other", netip.MustParsePrefix("10.1.0.0/20"), "eu-central-1")
	if err := f.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	e := network.ENI{ID: network.NewID("eni", "x"), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr("10.1.0.10"),
		MAC: network.NewMAC("x"), SecurityGroups: []string{s.SecurityGroups[0].ID}}
	_, err := f.Attach(t.Context(), e)
	if !errors.Is(err, network.ErrUnsupported) || !strings.Contains(err.Error(), "10.1.0.99/20") {
		t.Errorf("Attach: %v, want one that matches %v and names the address", err, network.ErrUnsupported)
	}
	undone, err := os.ReadFile(filepath.Join(m.dir, "undone"))
	if err != nil || strings.TrimSpace(string(undone)) != "fardel-test-"+e.ID {
		t.Errorf("undone: %q, %v", undone, err)
	}
	if left := m.left(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// script makes a plugin of a shell script; $DIR in it is the machine's directory.
func script(t *testing.T, m *machine, name, text string) {
	t.Helper()
	dir := filepath.Join(m.dir, "plugins")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nDIR="+m.dir+"\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.cfg.PluginDirs = []string{dir, "/usr/lib/cni"}
}

// hostProgram attaches an ENI in the network of a machine at dir, and is killed meanwhile.
func hostProgram(ctx context.Context, dir string) error {
	m := &machine{dir: dir, cfg: Config{Dir: filepath.Join(dir, "fabric"), Owner: "test", Network: filepath.Join(dir, "net.conflist"),
		PluginDirs: []string{filepath.Join(dir, "plugins"), "/usr/lib/cni"}}}
	f, err := New(m.cfg)
	if err != nil {
		return err
	}
	s, err := f.State("eu-central-1")
	if err != nil {
		return err
	}
	if err := f.Apply(ctx, s); err != nil {
		return err
	}
	_, err = f.Attach(ctx, network.ENI{ID: network.NewID("eni", "killed"), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr("10.1.0.10"),
		MAC: network.NewMAC("killed"), SecurityGroups: []string{s.SecurityGroups[0].ID}})
	return err
}

// TestKill kills the host program while a plugin is at work, which goes on: the next fabric waits for it, and removes what
// all of them made.
func TestKill(t *testing.T) {
	for _, plugin := range []string{"bridge", "firewall"} {
		t.Run(plugin, func(t *testing.T) {
			m := newMachine(t, chain)
			// The plugin does its work and then does not end before the test lets it.
			script(t, m, plugin, `out=$(/usr/lib/cni/`+plugin+`); code=$?
if [ "$CNI_COMMAND" = ADD ]; then
	echo $$ >$DIR/pid.new; mv $DIR/pid.new $DIR/held
	read wait <$DIR/go
fi
echo "$out"; exit $code`)
			if out, err := exec.Command("mkfifo", filepath.Join(m.dir, "go")).CombinedOutput(); err != nil {
				t.Fatalf("mkfifo: %v: %s", err, out)
			}
			t.Cleanup(func() { // a test that failed must not leave the plugin waiting
				if fifo, err := os.OpenFile(filepath.Join(m.dir, "go"), os.O_RDWR, 0); err == nil {
					_, _ = fifo.WriteString("on\n")
					_ = fifo.Close()
				}
			})
			host := exec.Command("/proc/self/exe")
			host.Env = append(os.Environ(), hostVar+"="+m.dir)
			host.Stderr = os.Stderr
			if err := host.Start(); err != nil {
				t.Fatal(err)
			}
			awaitFile(t, filepath.Join(m.dir, "held"))
			if err := host.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = host.Wait()
			if len(m.left(t)) == 0 {
				t.Error("nothing was made before the kill")
			}

			f := m.open(t)
			defer f.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := f.Attachments(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "plugins that are at work") {
				t.Errorf("while a plugin is at work: %v", err)
			}
			if err := os.WriteFile(filepath.Join(m.dir, "go"), []byte("on\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := f.Attachments(t.Context())
			if err != nil || len(list) > 0 {
				t.Errorf("attachments after the kill: %v, %v", list, err)
			}
			if left := m.left(t); len(left) > 0 {
				t.Errorf("left after the kill: %q", left)
			}
		})
	}
}

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s did not come", path)
}
