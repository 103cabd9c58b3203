package linux

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/network"
)

// onHost runs commands in the namespace that is the host's.
func (m *machine) onHost(t *testing.T, stdin string, commands ...string) string {
	t.Helper()
	nsenter := lane.Command(t, "nsenter")
	var all strings.Builder
	for _, command := range commands {
		words := strings.Fields(command)
		lane.Command(t, words[0])
		cmd := exec.Command(nsenter, append([]string{"--net=" + m.host}, words...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		all.Write(out)
	}
	return all.String()
}

func (m *machine) converses(t *testing.T, s network.State) bool {
	t.Helper()
	_, err := ask(t, m.cfg.namespacePath(s.ENIs[0].ID), m.OutsideAddr().String()+":7")
	return err == nil
}

// TestDocker has a host with the rules that Docker makes: it drops what it does not know, and asks DOCKER-USER before.
func TestDocker(t *testing.T) {
	m := newMachine(t, "docker")
	f := m.Open(t).(*Fabric)
	s := publicState(t, "one", "10.1.0.0/16")
	serve(t, m.outside, m.OutsideAddr().String()+":7")
	m.onHost(t, "", "iptables-nft -P FORWARD DROP", "iptables-nft -N DOCKER-USER", "iptables-nft -A DOCKER-USER -j RETURN",
		"iptables-nft -A FORWARD -j DOCKER-USER", "iptables-nft -N DOCKER", "iptables-nft -A FORWARD -o docker0 -j DOCKER")
	before := m.onHost(t, "", "iptables-nft -S")
	for range 2 {
		must(t, f.Apply(t.Context(), s))
		if !m.converses(t, s) {
			t.Error("no conversation with the outside")
		}
	}
	with := m.onHost(t, "", "iptables-nft -S")
	for _, rule := range []string{`-A DOCKER-USER -i fardel-+ -m comment --comment "fardel owner=docker" -j ACCEPT`,
		`-A DOCKER-USER -o fardel-+ -m comment --comment "fardel owner=docker" -j ACCEPT`} {
		if strings.Count(with, rule) != 1 {
			t.Errorf("%q is not once in\n%s", rule, with)
		}
	}
	if list, err := f.Obstacles(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("Obstacles = %q, %v", list, err)
	}
	m.onHost(t, "", "iptables-nft -F DOCKER-USER")
	must(t, f.Apply(t.Context(), s)) // as after a restart of Docker
	if !m.converses(t, s) {
		t.Error("no conversation with the outside after a restart of Docker")
	}
	m.onHost(t, "", "iptables-nft -A DOCKER-USER -j RETURN")
	must(t, f.Apply(t.Context(), network.State{}))
	if after := m.onHost(t, "", "iptables-nft -S"); after != before {
		t.Errorf("rules were\n%s\nand are\n%s", before, after)
	}
	must(t, f.Close())
}

// TestObstacles has hosts whose firewalls drop what they forward.
func TestObstacles(t *testing.T) {
	tests := []struct {
		name, stdin string
		commands    []string
		want        string
		cure        []string
	}{
		{"ufw", "", []string{"iptables-nft -P FORWARD DROP", "iptables-nft -N ufw-before-forward", "iptables-nft -A FORWARD -j ufw-before-forward",
			"iptables-nft -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"}, "chain FORWARD of the nftables table ip filter",
			[]string{"iptables-nft -I FORWARD -i fardel-+ -j ACCEPT"}},
		{"firewalld", `table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		jump filter_FORWARD_POLICIES
		reject with icmpx admin-prohibited
	}
	chain filter_FORWARD_POLICIES {
		iifname "trusted0" accept
	}
}`, []string{"nft -f -"}, "chain filter_FORWARD of the nftables table inet firewalld",
			[]string{`nft insert rule inet firewalld filter_FORWARD_POLICIES iifname fardel-* accept`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, "obstacle")
			f := m.Open(t).(*Fabric)
			s := publicState(t, "one", "10.1.0.0/16")
			serve(t, m.outside, m.OutsideAddr().String()+":7")
			m.onHost(t, tt.stdin, tt.commands...)
			must(t, f.Apply(t.Context(), s))
			if m.converses(t, s) {
				t.Error("there is no obstacle")
			}
			if list, err := f.Obstacles(t.Context()); err != nil || len(list) != 1 || !strings.HasPrefix(list[0], tt.want) {
				t.Errorf("Obstacles = %q, %v, want %s", list, err, tt.want)
			}
			m.onHost(t, "", tt.cure...)
			if !m.converses(t, s) {
				t.Error("the cure does not help")
			}
			if list, err := f.Obstacles(t.Context()); err != nil || len(list) > 0 {
				t.Errorf("Obstacles = %q, %v after the cure", list, err)
			}
			must(t, f.Apply(t.Context(), network.State{}))
			must(t, f.Close())
		})
	}
}
