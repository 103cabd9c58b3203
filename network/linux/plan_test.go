package linux

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/google/go-cmp/cmp"
)

func planVPC(t testing.TB) network.State {
	t.Helper()
	s, err := network.DefaultVPC("plan", netip.MustParsePrefix("10.1.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func planENI(s network.State) network.ENI {
	return network.ENI{ID: network.NewID("eni", "plan"), Subnet: s.Subnets[0].ID, PrivateIPv4: netip.MustParseAddr("10.1.0.4"),
		MAC: network.NewMAC("plan"), SecurityGroups: []string{s.SecurityGroups[0].ID}}
}

// complete returns what there is when a state has been applied.
func complete(s network.State, owner string) observed {
	o := observed{Namespaces: map[string]bool{}, Records: map[string]record{}, Routers: map[string]observedRouter{},
		HostLinks: map[string]hostLink{}, HostTable: true}
	for _, v := range s.VPCs {
		o.Namespaces[v.ID] = true
		r := observedRouter{Links: map[string]uint32{}, Uplink: netip.MustParseAddr("169.254.1.1"), Addrs: map[netip.Addr]bool{},
			Routes: map[route]bool{}, Tables: map[tableRule]bool{}, Neighbors: map[neighbor]bool{}}
		view := newView(s, v.ID)
		for _, a := range view.addrs() {
			r.Addrs[a] = true
		}
		for _, f := range families() {
			for _, to := range view.mainRoutes(f, true) {
				r.Routes[to] = true
			}
			for _, n := range view.Subnets {
				if !hasTable(n, f) {
					continue
				}
				r.Tables[tableRule{f, view.Links[n.ID]}] = true
				for _, to := range view.tableRoutes(n, f, true) {
					r.Routes[to] = true
				}
			}
		}
		l := hostLink{VPC: v.ID, Addr: netip.MustParseAddr("169.254.1.0"), Routes: map[netip.Prefix]bool{netip.MustParsePrefix("169.254.1.2/32"): true}}
		for _, c := range v.CIDRs {
			l.Routes[c] = true
		}
		o.HostLinks[hostLinkName(owner, v.ID)] = l
		for _, e := range s.ENIs {
			n, _ := s.Subnet(e.Subnet)
			if n.VPC != v.ID {
				continue
			}
			o.Namespaces[e.ID] = true
			r.Links[linkName(e.ID)] = view.Links[n.ID]
			for _, to := range portRoutes(e) {
				r.Routes[to] = true
			}
			for _, at := range portNeighbors(e) {
				r.Neighbors[at] = true
			}
			o.Records[e.ID] = record{VPC: v.ID, ENI: e, Attachment: attachment(v, n, e, "", nil)}
		}
		o.Routers[v.ID] = r
	}
	return o
}

// actions renders a plan, one step a line, with IDs as short names.
func actions(steps []step, s network.State) string {
	var lines []string
	for _, st := range steps {
		lines = append(lines, st.String())
	}
	text := strings.Join(lines, "\n")
	text = strings.ReplaceAll(text, s.VPCs[0].ID, "VPC")
	text = strings.ReplaceAll(text, planENI(s).ID, "ENI")
	for _, group := range newView(s, s.VPCs[0].ID).Links {
		text = strings.ReplaceAll(text, strconv.Itoa(int(group)), "SUBNET")
	}
	text = strings.ReplaceAll(text, linkName(planENI(s).ID), "LINK")
	return strings.ReplaceAll(text, hostLinkName("me", s.VPCs[0].ID), "UPLINK")
}

func TestPlan(t *testing.T) {
	s := planVPC(t)
	with := planVPC(t)
	with.ENIs = []network.ENI{planENI(s)}
	public := planVPC(t)
	public.ENIs = []network.ENI{planENI(s)}
	public.ENIs[0].AssignPublicIP = true
	tests := []struct {
		name string
		have func() observed
		want network.State
		plan string
	}{
		{"nothing from nothing", func() observed { return observed{} }, network.State{}, ""},
		{"a VPC from nothing", func() observed { return observed{} }, s, `discard uplink in VPC
make router in VPC
set host table
make uplink in VPC
add host route 10.1.0.0/16 in VPC
add address 169.254.169.253 in VPC
add address 169.254.170.2 in VPC
add address 10.1.0.2 in VPC
add address 10.1.0.1 in VPC
add route uplink 169.254.0.0/16 in VPC
add route 10.1.0.0/16 in VPC
add route 0.0.0.0/0 in VPC
add route 169.254.0.0/16 in table SUBNET by the main table in VPC
add route 10.1.0.0/16 in table SUBNET by the main table in VPC
add route uplink 0.0.0.0/0 in table SUBNET in VPC
add route fdfa:7de1::/96 in VPC
add route ::/0 in VPC
add route table SUBNET in VPC
set ruleset in VPC`},
		{"what is there", func() observed { return complete(with, "me") }, with, "set host table\nset ruleset in VPC"},
		{"one more ENI", func() observed { return complete(s, "me") }, with, "set host table\nmake ENI ENI in VPC\nset ruleset in VPC"},
		{"one less", func() observed { return complete(with, "me") }, s, "set host table\nset ruleset in VPC\nremove ENI ENI in VPC"},
		{"a public ENI with an outside", func() observed { o := complete(with, "me"); o.Outside = true; return o }, public,
			"set host table\nstart forwarding\nwrite record ENI in VPC\nset ruleset in VPC"},
		{"a public ENI without", func() observed { return complete(with, "me") }, public,
			"set host table\nwrite record ENI in VPC\nset ruleset in VPC"},
		{"nothing from all", func() observed { return complete(with, "me") }, network.State{},
			"remove ENI ENI in VPC\nremove uplink UPLINK in VPC\nremove router in VPC\ndrop host table"},
		{"half an ENI: no record", func() observed { o := complete(with, "me"); delete(o.Records, planENI(s).ID); return o }, with,
			"discard ENI ENI\nset host table\nmake ENI ENI in VPC\nset ruleset in VPC"},
		{"half an ENI: going", func() observed {
			o := complete(with, "me")
			delete(o.Records, planENI(s).ID)
			o.Partial = map[string]bool{planENI(s).ID: true}
			return o
		}, s, "set host table\nset ruleset in VPC\nremove ENI ENI"},
		{"half an ENI: no link", func() observed {
			o := complete(with, "me")
			delete(o.Routers[s.VPCs[0].ID].Links, linkName(planENI(s).ID))
			return o
		}, with, "discard ENI ENI in VPC\nset host table\nmake ENI ENI in VPC\nset ruleset in VPC"},
		{"an ENI without route and neighbor", func() observed {
			o := complete(with, "me")
			delete(o.Routers[s.VPCs[0].ID].Routes, portRoutes(planENI(s))[0])
			clear(o.Routers[s.VPCs[0].ID].Neighbors)
			return o
		}, with, "set host table\nadd route LINK 10.1.0.4/32 in VPC\nadd neighbor LINK 10.1.0.4 in VPC\nset ruleset in VPC"},
		{"after a reboot", func() observed {
			o := complete(with, "me")
			for id := range o.Namespaces {
				o.Namespaces[id] = false
			}
			clear(o.Routers)
			clear(o.HostLinks)
			o.HostTable = false
			return o
		}, s, `discard uplink in VPC
make router in VPC
set host table
make uplink in VPC
add host route 10.1.0.0/16 in VPC
add address 169.254.169.253 in VPC
add address 169.254.170.2 in VPC
add address 10.1.0.2 in VPC
add address 10.1.0.1 in VPC
add route uplink 169.254.0.0/16 in VPC
add route 10.1.0.0/16 in VPC
add route 0.0.0.0/0 in VPC
add route 169.254.0.0/16 in table SUBNET by the main table in VPC
add route 10.1.0.0/16 in table SUBNET by the main table in VPC
add route uplink 0.0.0.0/0 in table SUBNET in VPC
add route fdfa:7de1::/96 in VPC
add route ::/0 in VPC
add route table SUBNET in VPC
set ruleset in VPC
remove ENI ENI in VPC`},
		{"a link that is nobody's", func() observed {
			o := complete(s, "me")
			o.Routers[s.VPCs[0].ID].Links["e0123"] = 7
			return o
		}, s, "set host table\nset ruleset in VPC\nremove link e0123 in VPC"},
		{"the host's end is missing", func() observed { o := complete(s, "me"); clear(o.HostLinks); return o }, s,
			"discard uplink in VPC\nset host table\nmake uplink in VPC\nadd host route 10.1.0.0/16 in VPC\n" +
				"add route uplink 169.254.0.0/16 in VPC\nadd route uplink 0.0.0.0/0 in table SUBNET in VPC\nset ruleset in VPC"},
		{"a route too many", func() observed {
			o := complete(s, "me")
			o.Routers[s.VPCs[0].ID].Routes[route{To: netip.MustParsePrefix("198.51.100.7/32"), Link: uplinkName}] = true
			return o
		}, s, "set host table\nset ruleset in VPC\ndrop route uplink 198.51.100.7/32 in VPC"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps, conflicts := plan(tt.have(), wanted{Owner: "me", State: tt.want})
			if len(conflicts) > 0 {
				t.Errorf("conflicts: %v", conflicts)
			}
			if diff := cmp.Diff(tt.plan, actions(steps, s)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanConflicts(t *testing.T) {
	s := planVPC(t)
	o := observed{HostRoutes: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}}
	steps, conflicts := plan(o, wanted{Owner: "me", State: s})
	if len(conflicts) != 1 || !errors.Is(conflicts[0], network.ErrConflict) || !strings.Contains(conflicts[0].Error(), "10.1.2.0/24") {
		t.Errorf("conflicts %v, want one that names the route", conflicts)
	}
	for _, st := range steps {
		if st.Do == addHostRoute {
			t.Errorf("step %s for a VPC that the host cannot reach", st)
		}
	}
	// One that was there first stays.
	o = complete(s, "me")
	o.HostRoutes = []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}
	if _, conflicts := plan(o, wanted{Owner: "me", State: s}); len(conflicts) > 0 {
		t.Errorf("conflicts of an uplink that stands: %v", conflicts)
	}
	// Two VPCs with the same addresses: the host reaches the first.
	other, err := network.DefaultVPC("other", netip.MustParsePrefix("10.1.0.0/16"), "eu-central-1", []string{"eu-central-1a"})
	if err != nil {
		t.Fatal(err)
	}
	s.VPCs = append(s.VPCs, other.VPCs...)
	if _, conflicts = plan(observed{}, wanted{Owner: "me", State: s}); len(conflicts) != 1 || !errors.Is(conflicts[0], network.ErrConflict) {
		t.Errorf("conflicts %v, want one", conflicts)
	}
}

// TestPlanProxies has the host answer for the public addresses that are in use, on the link that it is told.
func TestPlanProxies(t *testing.T) {
	s := planVPC(t)
	s.ENIs = []network.ENI{planENI(s)}
	own, other := netip.MustParseAddr("192.0.2.65"), netip.MustParseAddr("192.0.2.66")
	s.ENIs[0].AssignPublicIP, s.ENIs[0].PublicIPv4 = true, own
	with := func(routes []netip.Addr, proxies ...proxy) observed {
		o := complete(s, "me")
		for _, a := range routes {
			o.HostLinks[hostLinkName("me", s.VPCs[0].ID)].Routes[netip.PrefixFrom(a, 32)] = true
		}
		o.Proxies = map[proxy]bool{}
		for _, p := range proxies {
			o.Proxies[p] = true
		}
		return o
	}
	for _, tt := range []struct {
		name, link, plan string
		have             observed
	}{
		{"nothing to answer on", "", "", with([]netip.Addr{own})},
		{"an answer that is missing", "lan0", "start forwarding\nanswer lan0 for 192.0.2.65", with([]netip.Addr{own})},
		{"with its route", "lan0", "add host route 192.0.2.65/32 in VPC\nstart forwarding\nanswer lan0 for 192.0.2.65", with(nil)},
		{"what is there", "lan0", "start forwarding", with([]netip.Addr{own}, proxy{"lan0", own})},
		{"one too many", "lan0", "start forwarding\nstop answering lan0 for 192.0.2.66\ndrop host route 192.0.2.66/32 in VPC",
			with([]netip.Addr{own, other}, proxy{"lan0", own}, proxy{"lan0", other})},
		{"another link", "lan1", "start forwarding\nanswer lan1 for 192.0.2.65\nstop answering lan0 for 192.0.2.65", with([]netip.Addr{own}, proxy{"lan0", own})},
		{"no link any more", "", "stop answering lan0 for 192.0.2.65", with([]netip.Addr{own}, proxy{"lan0", own})},
	} {
		steps, _ := plan(tt.have, wanted{Owner: "me", State: s, Link: tt.link})
		var kept []step
		for _, st := range steps {
			if st.Do != setHostTable && st.Do != setRuleset {
				kept = append(kept, st)
			}
		}
		if diff := cmp.Diff(tt.plan, actions(kept, s)); diff != "" {
			t.Errorf("%s: plan (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestPlanIsolated(t *testing.T) {
	s := planVPC(t)
	steps, conflicts := plan(complete(s, "me"), wanted{Owner: "me", State: s, Isolated: true})
	want := `add route 169.254.0.0/16 in VPC
add route 0.0.0.0/0 in table SUBNET in VPC
set ruleset in VPC
remove uplink UPLINK in VPC
drop host table`
	if diff := cmp.Diff(want, actions(steps, s)); diff != "" || len(conflicts) > 0 {
		t.Errorf("plan (-want +got):\n%s\n%v", diff, conflicts)
	}
}
