package engine

import (
	"syscall"
	"time"

	"github.com/fardel-io/fardel/task/metadata"
)

// What adjtimex(2) says of a clock that nothing keeps right.
const (
	timeError   = 5
	unsyncedBit = 0x40
)

// clockDrift is how far the kernel knows this machine's clock to be from the right time; nil if it does not say.
func clockDrift() *metadata.ClockDrift {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	if err != nil {
		return nil
	}
	return &metadata.ClockDrift{
		ErrorBound:  time.Duration(t.Maxerror) * time.Microsecond,
		ReferenceAt: time.Now(), Synchronized: state != timeError && t.Status&unsyncedBit == 0,
	}
}
