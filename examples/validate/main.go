// Command validate says whether files hold task definitions that ECS would take,
// and what is wrong with those that do not.
//
//	go run ./examples/validate [-for FARGATE|EC2|EXTERNAL|MANAGED_INSTANCES] FILE…
//
// Without -for, a definition is held to the rules of its requiresCompatibilities;
// if it has none, validate says for which launch types it is valid. The exit
// status is 1 if a file is not valid and 2 if the command line is not.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fardel-io/fardel/task"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command: its arguments and outputs in, its exit status out.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("validate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: validate [-for FARGATE|EC2|EXTERNAL|MANAGED_INSTANCES] FILE…")
	}
	var only task.LaunchType
	flags.Func("for", "launch type", func(s string) error {
		switch lt := task.LaunchType(strings.ToUpper(s)); lt {
		case task.LaunchTypeFargate, task.LaunchTypeEC2, task.LaunchTypeExternal, task.LaunchTypeManagedInstances:
			only = lt
			return nil
		}
		return errors.New("not a launch type")
	})
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return 2
	}
	status := 0
	for _, name := range flags.Args() {
		if !check(stdout, name, only) {
			status = 1
		}
	}
	return status
}

// check prints what there is to say of a file and reports whether it is valid.
func check(w io.Writer, name string, only task.LaunchType) bool {
	def, err := read(name)
	if err != nil {
		fmt.Fprintf(w, "%s: %v\n", name, err)
		return false
	}
	for _, u := range def.Unknown() {
		fmt.Fprintf(w, "%s: warning: %v\n", name, u)
	}
	types, err := validate(def, only)
	var invalid *task.ValidationError
	if errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			fmt.Fprintf(w, "%s: %v\n", name, p)
		}
		return false
	}
	fmt.Fprintf(w, "%s: valid for %s\n", name, types)
	return true
}

// validate returns the launch types that def is valid for, of those asked for,
// or else what is wrong with it.
func validate(def *task.TaskDefinition, only task.LaunchType) (string, error) {
	types := def.RequiresCompatibilities
	switch {
	case only != "":
		types = []task.LaunchType{only}
		if err := def.Validate(only); err != nil {
			return "", err
		}
	case len(types) > 0:
		if err := def.ValidateRequired(); err != nil {
			return "", err
		}
	default:
		if types = def.ValidLaunchTypes(); len(types) == 0 {
			return "", def.Validate(task.LaunchTypeEC2) // what ECS assumes
		}
	}
	words := make([]string, len(types))
	for i, lt := range types {
		words[i] = string(lt)
	}
	return strings.Join(words, ", "), nil
}

func read(name string) (*task.TaskDefinition, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return task.DecodeDefinition(f)
}
