// Command hosttest is a host program in small, a job runner, and an example of how to test one: runner_test.go runs jobs
// on a cluster of fakes, without root, network or container, in well under a second.
//
//	sudo hosttest -image docker.io/library/busybox:1.37 echo hello
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/fardel-io/fardel/scheduler/local"
)

func main() {
	if local.Reexec() {
		return
	}
	dir := flag.String("dir", "/var/lib/fardel-hosttest", "directory of the cluster")
	image := flag.String("image", "", "image to run the command in")
	timeout := flag.Duration("timeout", time.Minute, "longest time that the command may take")
	flag.Parse()
	code, err := run(*dir, *image, *timeout, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "hosttest:", err)
		code = 1
	}
	os.Exit(code)
}

func run(dir, image string, timeout time.Duration, command []string) (exitCode int, err error) {
	ctx := context.Background()
	cluster, err := local.Open(ctx, local.Config{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer cluster.Close()
	r := &Runner{Cluster: cluster.Cluster, Image: image, Timeout: timeout}
	res, err := r.Do(ctx, command, os.Stdout)
	return res.ExitCode, err
}
