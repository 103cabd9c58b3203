package linux

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fardel-io/fardel/network"
)

// pour sends as much as it can by TCP from one namespace to another for a while, and returns the bytes that arrived and
// the time from the first to the last of them.
func pour(t *testing.T, from, to string, addr netip.Addr, span time.Duration) (bytes int64, took time.Duration) {
	t.Helper()
	var l net.Listener
	in(t, to, func() (err error) { l, err = net.Listen("tcp4", addr.String()+":0"); return err })
	defer func() { _ = l.Close() }()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = c.Close() }()
		began := time.Now()
		buffer := make([]byte, 1<<20)
		_ = c.SetReadDeadline(began.Add(span))
		for {
			n, err := c.Read(buffer)
			bytes += int64(n)
			if err != nil {
				took = time.Since(began)
				done <- nil
				return
			}
		}
	}()
	var c net.Conn
	in(t, from, func() (err error) { c, err = net.DialTimeout("tcp4", l.Addr().String(), time.Minute); return err })
	defer func() { _ = c.Close() }()
	data := make([]byte, 1<<20)
	for { // until the receiver has had enough
		_ = c.SetWriteDeadline(time.Now().Add(2*span + time.Minute))
		if _, err := c.Write(data); err != nil {
			break
		}
	}
	must(t, <-done)
	return bytes, took
}

// TestBandwidth pours more into ENIs, and out of them, than they may have.
func TestBandwidth(t *testing.T) {
	f := newFabric(t, "bandwidth")
	s := testVPC(t, "bandwidth", "10.1.0.0/16")
	s.ENIs = []network.ENI{testENI(s, 0), testENI(s, 1)}
	const rate = 16_000_000
	s.ENIs[0].Bandwidth = network.Bandwidth{Ingress: rate, Egress: 2 * rate}
	must(t, f.Apply(t.Context(), s))
	a, b := s.ENIs[0], s.ENIs[1]
	check := func(what string, from, to network.ENI, limit int64) {
		t.Helper()
		bytes, took := pour(t, f.cfg.namespacePath(from.ID), f.cfg.namespacePath(to.ID), to.PrivateIPv4, 2*time.Second)
		most := int64(float64(limit/8)*(took.Seconds()+1)) + limitBurst
		if t.Logf("%s: %.1f Mbit/s of %d", what, float64(bytes*8)/took.Seconds()/1e6, limit/1e6); bytes > most+most/4 {
			t.Errorf("%s: %d bytes in %v, want at most %d", what, bytes, took, most)
		}
		if bytes == 0 {
			t.Errorf("%s: nothing arrived", what)
		}
	}
	check("into the task", b, a, rate)
	check("out of the task", a, b, 2*rate)

	// Faults are beside it.
	faults := network.Faults{Loss: &network.Loss{Percent: 1, Flows: network.Flows{Percent: 100, To: prefixes("0.0.0.0/0")}}}
	must(t, f.SetFaults(t.Context(), a.ID, faults))
	check("out of a task with faults", a, b, 2*rate)
	must(t, f.SetFaults(t.Context(), a.ID, network.Faults{}))

	// It changes while the task runs, by either way, and a new program finds it.
	s.ENIs[0].Bandwidth = network.Bandwidth{Egress: rate}
	if _, err := f.Attach(t.Context(), s.ENIs[0]); err != nil {
		t.Fatal(err)
	}
	check("out of the task after a change", a, b, rate)
	wantLimits(t, f, s)
	s.ENIs[0].Bandwidth, s.ENIs[1].Bandwidth = network.Bandwidth{}, network.Bandwidth{Ingress: rate}
	must(t, f.Close())
	f = openFabric(t, f.cfg)
	must(t, f.Apply(t.Context(), s))
	check("into the other task", a, b, rate)
	wantLimits(t, f, s)

	// What others broke, Apply mends.
	r := f.router(s.VPCs[0].ID)
	must(t, r.dropLimit(limitTable(s.ENIs[1])))
	must(t, r.setLimit(network.ENI{ID: a.ID, Bandwidth: network.Bandwidth{Egress: rate}})) // which it no longer has
	must(t, f.Apply(t.Context(), s))
	wantLimits(t, f, s)
	must(t, f.Detach(t.Context(), b.ID))
	s.ENIs = s.ENIs[:1]
	wantLimits(t, f, s)
}

// wantLimits compares the limits in a router with those of a state.
func wantLimits(t *testing.T, f *Fabric, s network.State) {
	t.Helper()
	have, err := f.router(s.VPCs[0].ID).limits()
	must(t, err)
	want := map[string]bool{}
	for _, e := range s.ENIs {
		if name := limitTable(e); name != "" {
			want[name] = true
		}
	}
	if !maps.Equal(have, want) {
		t.Errorf("limits %v, want %v", slices.Sorted(maps.Keys(have)), fmt.Sprint(slices.Sorted(maps.Keys(want))))
	}
}
