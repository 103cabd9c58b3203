//go:build linux

package main

import (
	"encoding/json"
	"os"
	"time"
)

// plan is what the VM is to do, as it finds it at planPath when it starts.
type plan struct {
	Kernel  string // release, the folder below lib/modules
	Modules string // folder that has lib/modules, as a path of the shared file system
	Keep    string // folder of the shared file system that steps find as it is, wherever it lies
	Systemd bool   // systemd is the first process and starts the steps in a service
	Hosts   string // name of the VM
	Steps   []step
}

// step is a command and what bounds it. Steps run one after the other, whether or not earlier ones failed.
type step struct {
	Name    string // "" is a command whose output is its own
	Dir     string
	Args    []string
	Env     []string // besides the common ones
	Timeout time.Duration
}

// outcome is how a step ended.
type outcome struct {
	Name string
	Code int           // exit code; -1 is no exit of its own
	Err  string        // what kept it from an exit of its own
	Took time.Duration // seen from inside
}

// Paths in the VM. They are in its first file system, which programs of steps do not see.
const (
	planPath   = "/plan.json"
	modulesDir = "/modules"
)

func readPlan(path string) (plan, error) {
	var p plan
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p)
}
