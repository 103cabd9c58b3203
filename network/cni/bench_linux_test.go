package cni

import "testing"

// BenchmarkAttach attaches and detaches an ENI with the plugin bridge alone, and with a chain of four.
func BenchmarkAttach(b *testing.B) {
	const alone = `{"cniVersion": "1.0.0", "name": "tasks", "plugins": [{"type": "bridge", "bridge": "cni-test0", "ipam": {
		"type": "host-local", "dataDir": "$DIR/ipam", "subnet": "10.1.0.0/20"}}]}`
	for _, c := range []struct{ name, conflist string }{{"bridge", alone}, {"bridge,portmap,bandwidth,firewall", chain}} {
		b.Run(c.name, func(b *testing.B) {
			m := newMachine(b, c.conflist)
			f := m.open(b)
			defer f.Close()
			s, eni := m.state(b, f)
			if err := f.Apply(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := f.Attach(b.Context(), eni(0)); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := f.Detach(b.Context(), eni(0).ID); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
