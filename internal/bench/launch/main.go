package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fardel-io/fardel/scheduler/local"
)

// parts are what -only may name: the contestants of the first table, in its order; the tables of running tasks, of many
// launches at once and of many idle tasks; and that others take part in the last two.
var parts = []string{"unshare", "runc", "fardel", "ctr", "docker", "podman", "scale", "burst", "idle", "peers"}

// options are the command line.
type options struct {
	n      int
	json   bool
	only   []string // of parts; nil is all
	burst  int      // launches at once
	idle   int      // idle tasks
	hold   time.Duration
	inside string // the folder of a run, set by the program itself when it starts its copy
	host   string // the folder of the cluster of a host
	tasks  int    // that the host is to find in it
}

func main() {
	if local.Reexec() { // the embedded runtime starts this program again
		return
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	switch {
	case o.host != "":
		err = serveHost(context.Background(), o, os.Stdin, os.Stdout)
	case o.inside != "":
		err = inside(parentContext(), o, os.Stdout)
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = outside(ctx, o, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("launch", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.n, "n", 20, "`rounds`, each with one launch of every contestant")
	flags.BoolVar(&o.json, "json", false, "print JSON, with every single measurement")
	flags.StringVar(&only, "only", "", "what to measure, of "+strings.Join(parts, ","))
	flags.IntVar(&o.burst, "burst", 100, "`tasks` that are started at once")
	flags.IntVar(&o.idle, "idle", 300, "`tasks` that are held")
	flags.DurationVar(&o.hold, "hold", 5*time.Minute, "how `long` they are held; containers of others a fifth of that")
	flags.StringVar(&o.host, "host", "", "the program's own: `folder` of the cluster that this process is to hold")
	flags.IntVar(&o.tasks, "tasks", 0, "the program's own: `tasks` that it is to find there")
	flags.StringVar(&o.inside, "inside", "", "the program's own: `folder` of the run that this process is part of")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	err := func() error {
		if flags.NArg() > 0 {
			return fmt.Errorf("unexpected argument %q", flags.Arg(0))
		}
		if o.n < 1 {
			return fmt.Errorf("-n is %d: at least one round", o.n)
		}
		if o.burst < 1 || o.idle < 1 || o.hold < time.Second {
			return fmt.Errorf("-burst %d -idle %d -hold %v: at least one task and one second", o.burst, o.idle, o.hold)
		}
		for name := range strings.SplitSeq(only, ",") {
			if only != "" && !slices.Contains(parts, name) {
				return fmt.Errorf("-only names %q, which is none of %s", name, strings.Join(parts, ", "))
			}
		}
		return nil
	}()
	if err != nil {
		fmt.Fprintln(usage, "launch:", err)
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	return o, nil
}

// wants reports whether a part is to be measured.
func (o options) wants(part string) bool { return o.only == nil || slices.Contains(o.only, part) }

// args is the command line that means o.
func (o options) args() []string {
	args := []string{"-inside", o.inside, fmt.Sprintf("-n=%d", o.n), fmt.Sprintf("-json=%t", o.json),
		fmt.Sprintf("-burst=%d", o.burst), fmt.Sprintf("-idle=%d", o.idle), fmt.Sprintf("-hold=%v", o.hold)}
	if o.host != "" {
		args = append(args, "-host", o.host, fmt.Sprintf("-tasks=%d", o.tasks))
	}
	if o.only != nil {
		args = append(args, "-only", strings.Join(o.only, ","))
	}
	return args
}
