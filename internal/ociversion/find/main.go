// Command find prints the path of the first OCI runtime of a name, runc if none is given, in PATH and the usual directories
// that has no known way out of containers. It fails, and says why, where there is none.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fardel-io/fardel/internal/ociversion"
)

func main() {
	name := "runc"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	paths := ociversion.Paths(name, os.Getenv("PATH"))
	if len(paths) == 0 {
		fail("there is no " + name)
	}
	found, err := ociversion.LookAll(context.Background(), paths)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	i, needs := ociversion.Choose(paths, found, false, false)
	if i < 0 {
		fail("containers need " + needs)
	}
	fmt.Println(paths[i])
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
