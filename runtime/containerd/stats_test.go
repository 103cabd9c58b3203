//go:build linux

package containerd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
)

func TestParseCounters(t *testing.T) {
	const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0: 1234567       9    1    2    0     0          0         0    89012       8    3    4    0     0       0          0
`
	want := map[string]runtime.NetworkCounters{"eth0": {
		ReceivedBytes: 1234567, ReceivedPackets: 9, ReceivedErrors: 1, ReceivedDropped: 2,
		SentBytes: 89012, SentPackets: 8, SentErrors: 3, SentDropped: 4,
	}}
	if diff := cmp.Diff(want, parseCounters(table)); diff != "" {
		t.Errorf("parseCounters (-want +got):\n%s", diff)
	}
	if got := parseCounters("eth0: 1 2\nno table"); len(got) != 0 {
		t.Errorf("a broken table: %v", got)
	}
}
