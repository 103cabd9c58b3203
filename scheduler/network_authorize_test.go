package scheduler_test

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
)

// TestSetNetworkAsks changes one thing and is asked about that alone; refused, it changes nothing.
func TestSetNetworkAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		auth := &asked{}
		w.cfg.Authorizer = auth
		host := w.open()
		defer w.end()
		before, err := host.Network(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := before.Clone()
		g := &s.SecurityGroups[0]
		g.Ingress = append(g.Ingress, network.Rule{Protocol: network.TCP, FromPort: 80, ToPort: 80, CIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
		const action = "ec2:AuthorizeSecurityGroupIngress"
		arn := "arn:aws:ec2:us-east-1:000000000000:security-group/" + g.ID
		for _, denied := range []string{"ec2:DescribeVpcs", action} {
			auth.deny = denied
			err = host.As(ann).SetNetwork(t.Context(), s)
			resource := map[bool]string{true: arn, false: "*"}[denied == action]
			var refusal *scheduler.AccessDeniedError
			if want := "User: " + ann + " is not authorized to perform: " + denied + " on resource: " + resource; !errors.As(err, &refusal) || refusal.Message[:min(len(want), len(refusal.Message))] != want {
				t.Errorf("with %s denied: %v, want %q", denied, err, want)
			}
			auth.deny = ""
			if now, err := host.Network(t.Context()); err != nil || !reflect.DeepEqual(now, before) {
				t.Errorf("what was denied has changed the network: %v, %s", err, cmp.Diff(before, now, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })))
			}
		}
		for _, want := range [][]string{
			{lines("ec2:DescribeVpcs", "*", inRegion), lines(action, arn, inRegion)},
			{lines("ec2:DescribeVpcs", "*", inRegion)}, // nothing is left to be done
		} {
			auth.reqs = nil
			if err := host.As(ann).SetNetwork(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range auth.reqs {
				got = append(got, question(r))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("asked: -want +got\n%s", diff)
			}
		}
	})
}
