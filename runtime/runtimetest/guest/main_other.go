//go:build !linux

package guest

import "os"

// Main runs the guest as this process, which takes a container and thus Linux.
func Main() int {
	os.Stderr.WriteString("guest: needs Linux\n")
	return UnknownStatement
}
