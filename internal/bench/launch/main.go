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

	"github.com/fardel-io/fardel/scheduler/local"
)

// parts are what -only may name: the contestants, in the order of the table, and the third table.
var parts = []string{"unshare", "runc", "fardel", "ctr", "docker", "podman", "scale"}

// options are the command line.
type options struct {
	n      int
	json   bool
	only   []string // of parts; nil is all
	inside string   // the folder of a run, set by the program itself when it starts its copy
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
	if o.inside != "" {
		err = inside(parentContext(), o, os.Stdout)
	} else {
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
	args := []string{"-inside", o.inside, fmt.Sprintf("-n=%d", o.n), fmt.Sprintf("-json=%t", o.json)}
	if o.only != nil {
		args = append(args, "-only", strings.Join(o.only, ","))
	}
	return args
}
