// Command static is the guest as a program of its own, to be built without cgo.
package main

import (
	"os"

	"github.com/fardel-io/fardel/runtime/runtimetest/guest"
)

func main() { os.Exit(guest.Main()) }
