package network

// A Bandwidth limits the traffic of an ENI: bits per second of whole packets, 64 kbit/s to 100 Gbit/s. 0 is no limit.
//
// What exceeds a limit is dropped, as EC2 does beyond the allowance of an instance, and TCP adapts to that. Traffic that
// was below the limit before may exceed it for a moment: how much is the fabric's to say. Every packet counts, those that
// rules refuse and those to the endpoints of the VPC, too. It changes nothing about who may reach whom, so [Evaluate] does
// not ask for it.
type Bandwidth struct {
	Ingress int64 `json:"ingress,omitempty"` // what the ENI receives
	Egress  int64 `json:"egress,omitempty"`  // what it sends
}

// The range of a bandwidth in bits per second: below it, one large packet takes more than eight seconds; above it, the
// kernel's arithmetic ends.
const (
	minBandwidth = 64_000
	maxBandwidth = 100_000_000_000
)

func (v *validator) checkBandwidth(path string, b Bandwidth) {
	for _, x := range []struct {
		field string
		rate  int64
	}{{"ingress", b.Ingress}, {"egress", b.Egress}} {
		if x.rate != 0 && (x.rate < minBandwidth || x.rate > maxBandwidth) {
			v.add(path+"."+x.field, "InvalidParameterValue", "A bandwidth of %d bit/s is out of range: want %d to %d, or 0 for no limit", x.rate, int64(minBandwidth), int64(maxBandwidth))
		}
	}
}
