package networktest

import (
	"slices"
	"testing"
)

// A Capability is something that most fabrics can and some cannot do, and must then refuse by its name.
type Capability string

// What a fabric may lack.
const (
	SeveralVPCs    Capability = "several VPCs"
	SecurityGroups Capability = "security groups that do not allow everything"
	Isolation      Capability = "keeping tasks from the machine, and addresses that nobody has from everybody"
	Outside        Capability = "public addresses"
	Bandwidth      Capability = "limits of bandwidth"
	PublishedPorts Capability = "ports of the machine that lead to ENIs"
)

// needs says which checks are about what a fabric may lack.
func needs() map[string][]Capability {
	return map[string][]Capability{
		"apply nothing leaves nothing":        {SeveralVPCs},
		"attach what is invalid":              {SeveralVPCs},
		"packets in the default group":        {SecurityGroups},
		"packets by group, port and protocol": {SecurityGroups},
		"packets after groups change":         {SecurityGroups},
		"packets after rules change":          {SecurityGroups},
		"packets after detach":                {SecurityGroups},
		"packets with forged source":          {Isolation},
		"packets to and from the host":        {Isolation},
		"packets to and from the outside":     {Outside},
		"packets between VPCs":                {SeveralVPCs},
		"packets to addresses nobody has":     {Isolation},
		"packets at random":                   {SecurityGroups, SeveralVPCs},
		"bandwidth":                           {Bandwidth},
		"published ports":                     {PublishedPorts},
		"packets to published ports":          {PublishedPorts, SecurityGroups, Outside},
	}
}

func skipWithout(t *testing.T, check string, lacks []Capability) {
	t.Helper()
	for _, c := range needs()[check] {
		if slices.Contains(lacks, c) {
			t.Skipf("the fabric lacks: %s", c)
		}
	}
}
