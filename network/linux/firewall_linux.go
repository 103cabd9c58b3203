package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/network"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Other tables of the host decide about what it forwards, too, and one that drops is enough. Docker drops what it does not
// know and leaves a chain, DOCKER-USER, for those whom it does: rules of ours go there, with the owner as comment. What
// ufw, firewalld and administrators drop is theirs to change; it is said which chain that is.
const (
	dockerTable = "filter"
	dockerChain = "DOCKER-USER"
)

// firewallMark is the comment of our rules in chains of others.
func firewallMark(owner string) []byte {
	return userdata.AppendString(nil, userdata.TypeComment, markHead+owner)
}

// openFirewall lets what passes uplinks pass Docker's rules, if there are any. What may pass uplinks is for our own table to
// say. Rules are written as iptables-nft writes `-i fardel-+ -j ACCEPT`, so that it can still list them.
func (h *host) openFirewall(owner string) error {
	chain, ours, err := h.dockerRules(owner)
	if err != nil || chain == nil || len(ours) > 0 {
		return err
	}
	return h.tables.transaction(false, func(c *nftables.Conn) error {
		for _, key := range []expr.MetaKey{expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME} {
			c.InsertRule(&nftables.Rule{Table: chain.Table, Chain: chain, UserData: firewallMark(owner), Exprs: []expr.Any{
				meta(key), equal([]byte(hostLinkHead)), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept},
			}})
		}
		return nil
	})
}

// closeFirewall removes what openFirewall adds.
func (h *host) closeFirewall(owner string) error {
	chain, ours, err := h.dockerRules(owner)
	if err != nil || chain == nil || len(ours) == 0 {
		return err
	}
	err = h.tables.transaction(false, func(c *nftables.Conn) error {
		for _, r := range ours {
			if err := c.DelRule(&nftables.Rule{Table: chain.Table, Chain: chain, Handle: r.Handle}); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, unix.ENOENT) {
		return nil // Docker was faster
	}
	return err
}

// dockerRules returns the chain for others' rules, nil if there is none, and those of ours in it.
func (h *host) dockerRules(owner string) (chain *nftables.Chain, ours []*nftables.Rule, err error) {
	err = h.tables.transaction(false, func(c *nftables.Conn) error {
		chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
		if err != nil {
			return err
		}
		for _, ch := range chains {
			if ch.Table.Name == dockerTable && ch.Name == dockerChain {
				chain = ch
			}
		}
		if chain == nil {
			return nil
		}
		rules, err := c.GetRules(chain.Table, chain)
		for _, r := range rules {
			if bytes.Equal(r.UserData, firewallMark(owner)) {
				ours = append(ours, r)
			}
		}
		return err
	})
	return chain, ours, err
}

// Obstacles says which chains of the host's firewall drop what tasks send outside, and what to do about each: those of
// others that see what the host forwards and drop what they do not know, or belong to firewalld, and have no rule about
// the fabric's links. Docker's is not among them, since the fabric has rules in its chain for others. It reads nftables,
// and so what iptables-nft, ufw and firewalld put there, and sees no rules of iptables-legacy; it does not understand
// rules, and a chain that it names may let through what it should for other reasons.
func (f *Fabric) Obstacles(ctx context.Context) ([]string, error) {
	end, err := f.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for obstacles: %w", err)
	}
	defer end()
	list, err := f.host.obstacles()
	if err != nil {
		return nil, fmt.Errorf("look for obstacles: %w", err)
	}
	for _, v := range f.state.VPCs {
		if len(v.IPv6CIDRs) > 0 && !f.host.forwardsIPv6() {
			list = append(list, "the host does not forward IPv6: `sysctl net.ipv6.conf.all.forwarding=1`")
			break
		}
	}
	return append(list, f.silentIPv6()...), nil
}

// silentIPv6 says what keeps the host from answering for addresses of IPv6.
func (f *Fabric) silentIPv6() []string {
	link := f.cfg.PublicAddressLink
	if link == "" || f.host.answersNDP(link) || !slices.ContainsFunc(f.state.VPCs, func(v network.VPC) bool { return len(v.IPv6CIDRs) > 0 }) {
		return nil
	}
	return []string{fmt.Sprintf("the host does not answer for IPv6 addresses on %s: `sysctl net.ipv6.conf.%s.proxy_ndp=1`", link, link)}
}

// forwardsIPv6 reports whether the host forwards IPv6.
func (h *host) forwardsIPv6() bool {
	var value []byte
	err := inNamespace(h.file, func() (err error) {
		value, err = os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
		return err
	})
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

func (h *host) obstacles() (list []string, err error) {
	err = h.tables.transaction(false, func(c *nftables.Conn) error {
		chains, err := c.ListChains()
		if err != nil {
			return err
		}
		for _, ch := range chains {
			if !judges(ch) {
				continue
			}
			if known, err := names(c, ch.Table, chains); err != nil {
				return err
			} else if !known {
				list = append(list, obstacle(ch))
			}
		}
		return nil
	})
	return list, err
}

// judges reports whether a chain of somebody else may drop what the host forwards.
func judges(ch *nftables.Chain) bool {
	f := ch.Table.Family
	if f != nftables.TableFamilyIPv4 && f != nftables.TableFamilyINet || strings.HasPrefix(ch.Table.Name, hostTableHead) {
		return false
	}
	if ch.Hooknum == nil || *ch.Hooknum != *nftables.ChainHookForward || ch.Type != nftables.ChainTypeFilter {
		return false
	}
	drops := ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop
	return drops || ch.Table.Name == "firewalld" && strings.HasPrefix(ch.Name, "filter_")
}

// names reports whether any rule of a table is about links of ours.
func names(c *nftables.Conn, table *nftables.Table, chains []*nftables.Chain) (bool, error) {
	for _, ch := range chains {
		if ch.Table.Name != table.Name || ch.Table.Family != table.Family {
			continue
		}
		rules, err := c.GetRules(table, ch)
		if err != nil {
			return false, err
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if cmp, ok := e.(*expr.Cmp); ok && bytes.HasPrefix(cmp.Data, []byte(hostLinkHead)) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

func obstacle(ch *nftables.Chain) string {
	family, advice := "ip", "let fardel's links pass: `iptables -I FORWARD -i fardel-+ -j ACCEPT` and the same with -o, or with ufw `ufw route allow in on <link>` and `… out on <link>`"
	if ch.Table.Family == nftables.TableFamilyINet {
		family, advice = "inet", "let `iifname \"fardel-*\"` and `oifname \"fardel-*\"` pass in it"
	}
	if ch.Table.Name == "firewalld" {
		advice = "give fardel's links to a zone that may forward: `firewall-cmd --zone=trusted --add-interface=<link>`"
	}
	return fmt.Sprintf("chain %s of the nftables table %s %s drops what the host forwards for tasks: %s", ch.Name, family, ch.Table.Name, advice)
}
