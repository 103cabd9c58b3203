package linux

import (
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/network"
)

// A limit of bandwidth is a table of nftables of the netdev family in the router, on the router's end of the ENI: what
// exceeds it is dropped there, where no task reaches it, whatever capabilities it has. Dropping works both ways alike and
// costs other ENIs nothing; queues would shape what goes to a task, but for what comes from it they take a link more for
// each ENI. Faults have queues of their own in the namespace of the task, and neither knows of the other.

// limitHead begins the names of these tables, which say all that is in them.
const limitHead = "fardel-limit-"

// limitBurst is how many bytes pass at once beside those of one second: two of the largest packets that a link hands on.
const limitBurst = 128 << 10

// limitTable returns the name of the table that limits an ENI; "" if none does.
func limitTable(e network.ENI) string {
	if e.Bandwidth == (network.Bandwidth{}) {
		return ""
	}
	return limitHead + linkName(e.ID) + "-" + strconv.FormatInt(e.Bandwidth.Ingress, 10) + "-" + strconv.FormatInt(e.Bandwidth.Egress, 10)
}

// isLimit reports whether a table is a limit.
func isLimit(table string) bool { return strings.HasPrefix(table, limitHead) }
