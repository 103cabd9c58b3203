package linux

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
)

// BenchmarkAttach measures Attach and Detach of one more ENI beside 0, 50 and 200 others. The medians are what counts:
// "attach-ms" and "detach-ms".
func BenchmarkAttach(b *testing.B) {
	for _, others := range []int{0, 50, 200} {
		b.Run(fmt.Sprint(others), func(b *testing.B) {
			f := newFabric(b, fmt.Sprintf("bench%d", others))
			s := testVPC(b, "bench", "172.31.0.0/16")
			for n := range others {
				s.ENIs = append(s.ENIs, testENI(s, n))
			}
			if err := f.Apply(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			var attach, detach []time.Duration
			for n := 0; b.Loop(); n++ {
				e := testENI(s, others+n%100)
				start := time.Now()
				if _, err := f.Attach(b.Context(), e); err != nil {
					b.Fatal(err)
				}
				attach = append(attach, time.Since(start))
				start = time.Now()
				if err := f.Detach(b.Context(), e.ID); err != nil {
					b.Fatal(err)
				}
				detach = append(detach, time.Since(start))
				f.reaper.wait() // what is measured is a machine at rest; see BenchmarkChurn
			}
			b.ReportMetric(median(attach), "attach-ms")
			b.ReportMetric(median(detach), "detach-ms")
		})
	}
}

// BenchmarkChurn measures Attach while the kernel still removes the ENIs that were detached before.
func BenchmarkChurn(b *testing.B) {
	f := newFabric(b, "churn")
	s := testVPC(b, "churn", "172.31.0.0/16")
	if err := f.Apply(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	var attach []time.Duration
	var last []network.ENI
	for n := 0; b.Loop(); n++ {
		e := testENI(s, n%1000)
		start := time.Now()
		if _, err := f.Attach(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		attach = append(attach, time.Since(start))
		if last = append(last, e); len(last) > 5 {
			if err := f.Detach(b.Context(), last[0].ID); err != nil {
				b.Fatal(err)
			}
			last = last[1:]
		}
	}
	b.ReportMetric(median(attach), "attach-ms")
}

// BenchmarkAttachRules measures Attach and Detach beside 200 others in a VPC with 50 groups of 120 rules each.
func BenchmarkAttachRules(b *testing.B) {
	f := newFabric(b, "rules")
	s := testVPC(b, "rules", "172.31.0.0/16")
	for g := range 50 {
		var rules []network.Rule
		for n := range 60 {
			rules = append(rules, network.Rule{Protocol: network.TCP, FromPort: n, ToPort: n, Groups: []string{s.SecurityGroups[0].ID}})
		}
		s.SecurityGroups = append(s.SecurityGroups, network.SecurityGroup{ID: network.NewID("sg", fmt.Sprint(g)), VPC: s.VPCs[0].ID,
			Name: fmt.Sprint(g), Description: "rules", Ingress: rules, Egress: rules})
	}
	nth := func(n int) network.ENI {
		e := testENI(s, n)
		e.SecurityGroups = []string{s.SecurityGroups[n%50].ID, s.SecurityGroups[(n+1)%50].ID}
		return e
	}
	for n := range 200 {
		s.ENIs = append(s.ENIs, nth(n))
	}
	start := time.Now()
	if err := f.Apply(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	b.Logf("Apply of 200 ENIs and 6000 rules: %v", time.Since(start))
	var attach, detach []time.Duration
	for n := 0; b.Loop(); n++ {
		e := nth(200 + n%100)
		start := time.Now()
		if _, err := f.Attach(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		attach = append(attach, time.Since(start))
		start = time.Now()
		if err := f.Detach(b.Context(), e.ID); err != nil {
			b.Fatal(err)
		}
		detach = append(detach, time.Since(start))
		f.reaper.wait()
	}
	b.ReportMetric(median(attach), "attach-ms")
	b.ReportMetric(median(detach), "detach-ms")
}

// BenchmarkApply measures Apply of what is there already, as after a restart.
func BenchmarkApply(b *testing.B) {
	for _, count := range []int{1, 50, 200} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			f := newFabric(b, fmt.Sprintf("apply%d", count))
			s := testVPC(b, "apply", "172.31.0.0/16")
			for n := range count {
				s.ENIs = append(s.ENIs, testENI(s, n))
			}
			if err := f.Apply(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := f.Apply(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Microseconds()) / 1000
}
