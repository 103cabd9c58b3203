package linux

import (
	"cmp"
	"strings"
)

// ConnectionLimits bound what one ENI takes of what all of a VPC share: the table of connections and the memory for
// fragments. 0 stands for a default, and a negative number for no limit. IPv4 and IPv6 are counted apart. What exceeds a
// limit is dropped, and flow logs have connections that are as REJECT.
//
// An ENI is charged for the connections that it opens: those of TCP, but UDP, pings and other protocols, too, as long as the
// router remembers them. What others open to it within the VPC is charged to them. What is opened to it from outside of the
// VPC is counted apart, by the same numbers, so that others cannot use up what it may open itself. The host's own processes,
// and so its balancers and health checks, are charged for nothing.
type ConnectionLimits struct {
	// Open is about how many connections an ENI has at a time, and a 128th of them at most between two pairs of address and port
	// that do not differ, such as pings. 0 is an eighth of the kernel's nf_conntrack_max, but 16384 at most:
	// 16384 on machines with more than 4 GiB, 8192 on those with more than 1 GiB. EC2 has an allowance for each instance,
	// which depends on its type and is not published.
	Open int

	// PerSecond is how many connections an ENI opens in a second; four times as many pass at once after a pause. 0 is 2000.
	// The kernel remembers a connection of TCP for 10 seconds after its end, and Open does not count it then, so that this
	// bounds how many of those there are.
	PerSecond int

	// Fragments is how many fragments of packets an ENI sends in a second, and at once after a pause. 0 is 2048, which is
	// 24 Mbit/s at an MTU of 1500.
	Fragments int

	// Questions is how many datagrams an ENI sends in a second to addresses of the VPC's own, where its name server and the
	// endpoints for tasks are, and at once after a pause: all tasks share their sockets. 0 is 1024, as in EC2.
	Questions int
}

const (
	// The kernel walks all that it has counted together for each new connection, which takes 10 ms for 16384. So the
	// connections of an ENI are counted in shards, by a digest of their addresses and ports.
	shardSize = 128
	maxShards = 128

	mostOpen         = shardSize * maxShards
	openShare        = 8
	defaultMax       = 65536 // nf_conntrack_max, of a kernel that does not say
	defaultPerSecond = 2000
	burstSeconds     = 4
	defaultFragments = 2048
	defaultQuestions = 1024
	mostLimit        = 1 << 24 // more than any table has
)

// withDefaults replaces zeros. conntrackMax is the kernel's nf_conntrack_max, 0 if unknown.
func (l ConnectionLimits) withDefaults(conntrackMax int) ConnectionLimits {
	return ConnectionLimits{
		Open:      cmp.Or(l.Open, min(cmp.Or(conntrackMax, defaultMax)/openShare, mostOpen)),
		PerSecond: cmp.Or(l.PerSecond, defaultPerSecond),
		Fragments: cmp.Or(l.Fragments, defaultFragments),
		Questions: cmp.Or(l.Questions, defaultQuestions),
	}
}

// Limits of connections are tables of their own: their sets hold what is open, which must not be forgotten when a ruleset is
// replaced. They depend on the limits alone, and their names say all that is in them: links are told by the first letter of
// their names.
const connectionHead = "fardel-connections-"

// isConnections reports whether a table is one of limits of connections.
func isConnections(table string) bool { return strings.HasPrefix(table, connectionHead) }

// connectionTable returns the name of the tables with limits; "" if there are none.
func connectionTable(l ConnectionLimits) string {
	if len(connectionRulesets(l)) == 0 {
		return ""
	}
	return connectionRulesets(l)[0].Table
}

// Sets of the tables. Their elements are links; the kernel makes them with the first packet, and removes them when a link
// has no connections, or has been idle.
const (
	openedSet   = "opened"   // by an ENI
	receivedSet = "received" // by an ENI, from outside of its VPC
	openingSet  = "opening"
	reachingSet = "receiving"
	fragmentSet = "fragments"
	questionSet = "questions"
	errorSet    = "errors"

	// limitPriority is after the ruleset's chains, so that only what those admit is charged, and before flows are counted.
	limitPriority = 10
	// beforeDefrag is NF_IP_PRI_RAW_BEFORE_DEFRAG: what comes before that sees fragments.
	beforeDefrag = -450

	eniLinkHead = "e" // of linkName
)

// connectionRulesets renders the tables. A packet whose connection is confirmed takes no new place in the kernel's table,
// whatever its state: what nobody answers stays new.
func connectionRulesets(l ConnectionLimits) []ruleset {
	var all []ruleset
	for _, f := range families() {
		r := ruleset{Family: f}
		opening := charges(openingSet, openedSet, true, l)
		reaching := charges(reachingSet, receivedSet, false, l)
		if len(opening) > 0 {
			r.Chains = append(r.Chains, chain{Name: "errors", Hook: &hook{"filter", "forward", -limitPriority, false}, Rules: errorRules(f)})
			r.Sets = append(r.Sets, set{Name: errorSet, Kind: rates}, set{Name: openedSet, Kind: counts}, set{Name: receivedSet, Kind: counts},
				set{Name: openingSet, Kind: rates}, set{Name: reachingSet, Kind: rates})
			r.Chains = append(r.Chains, chain{Name: "forward", Hook: &hook{"filter", "forward", limitPriority, false}, Rules: []rule{
				{confirmed{}, accept}, {iifHead{eniLinkHead}, follow(openedSet)}, {source{f.reserved()}, accept}, {oifHead{eniLinkHead}, follow(receivedSet)}}},
				chain{Name: openedSet, Rules: opening}, chain{Name: receivedSet, Rules: reaching})
		}
		input := chain{Name: "input", Hook: &hook{"filter", "input", limitPriority, false}}
		if l.Questions > 0 {
			r.Sets = append(r.Sets, set{Name: questionSet, Kind: rates})
			input.Rules = append(input.Rules, rule{iifHead{eniLinkHead}, protocol{17}, rateOver{questionSet, true, l.Questions, l.Questions}, counter{}, drop})
		}
		if len(opening) > 0 {
			input.Rules = append(input.Rules, rule{confirmed{}, accept}, rule{iifHead{eniLinkHead}, follow(openedSet)})
		}
		if len(input.Rules) > 0 {
			r.Chains = append(r.Chains, input)
		}
		if l.Fragments > 0 {
			r.Sets = append(r.Sets, set{Name: fragmentSet, Kind: rates})
			r.Chains = append(r.Chains, chain{Name: "fragments", Hook: &hook{"filter", "prerouting", beforeDefrag + limitPriority, false}, Rules: []rule{
				{iifHead{eniLinkHead}, fragment{f}, rateOver{fragmentSet, true, l.Fragments, l.Fragments}, counter{}, drop}}})
		}
		if len(r.Chains) > 0 {
			all = append(all, r)
		}
	}
	name := connectionHead + short(12, rulesetText(all))
	for i := range all {
		all[i].Table = name
	}
	return all
}

// errorsPerSecond is how many errors of ICMP an ENI sends in a second, and at once: more than a kernel sends, which is one a
// second to each address. An error belongs to the connection that it quotes, whoever sends it, and so passes all groups: the
// limit keeps ENIs from guessing the ports of others' connections.
const errorsPerSecond = 100

func errorRules(f family) []rule {
	number, types := uint8(1), []icmpTypes{{3, 5}, {11, 12}} // unreachable to redirect; time exceeded, parameter problem
	if f == ipv6 {
		number, types = 58, []icmpTypes{{0, 127}}
	}
	var rules []rule
	for _, t := range types {
		rules = append(rules, rule{protocol{number}, t, iifHead{eniLinkHead}, rateOver{errorSet, true, errorsPerSecond, errorsPerSecond}, counter{}, drop})
	}
	return rules
}

// charges are the rules for a packet that opens a connection. The rate comes first, since it costs less.
func charges(rate, count string, in bool, l ConnectionLimits) []rule {
	var rules []rule
	if l.PerSecond > 0 {
		rules = append(rules, rule{rateOver{rate, in, l.PerSecond, burstSeconds * l.PerSecond}, counter{}, drop})
	}
	if l.Open > 0 {
		shards := min(max(l.Open/shardSize, 1), maxShards)
		rules = append(rules, rule{shard{shards}}, rule{countOver{count, in, l.Open / shards}, counter{}, drop})
	}
	return rules
}

func rulesetText(all []ruleset) string {
	var b strings.Builder
	for _, r := range all {
		b.WriteString(r.String())
	}
	return b.String()
}
