package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// Confinement is what no container of a task may do, whatever its definition says.
type Confinement struct {
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"` // programs with set-user-ID or file capabilities give none
	DropNetRaw      bool `json:"dropNetRaw,omitempty"`      // no raw and packet sockets: ping as on hosts without them, no forged packets
}

const (
	netRaw          = "NET_RAW"
	allCapabilities = "ALL"
)

// Unsupported lists what of a definition contradicts it, each with its path. Capabilities that are there by default, or with
// ALL, are taken away without a word.
func (f Confinement) Unsupported(d *task.TaskDefinition) []task.Problem {
	var u unsupported
	if !f.DropNetRaw {
		return nil
	}
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		at := fmt.Sprintf("containerDefinitions[%d].", i)
		u.when(c.Privileged, at+"privileged", "a privileged container has every capability, and the cluster gives no container NET_RAW (Config.DropNetRaw)")
		if c.LinuxParameters == nil || c.LinuxParameters.Capabilities == nil {
			continue
		}
		for j, name := range c.LinuxParameters.Capabilities.Add {
			u.when(isCapability(name, netRaw), fmt.Sprintf("%slinuxParameters.capabilities.add[%d]", at, j),
				"the cluster gives no container "+name+" (Config.DropNetRaw)")
		}
	}
	return u
}

// apply takes from a container what it may not have.
func (f Confinement) apply(s *runtime.ContainerSpec) {
	s.NoNewPrivileges = s.NoNewPrivileges || f.NoNewPrivileges
	if !f.DropNetRaw {
		return
	}
	isNetRaw := func(name string) bool { return isCapability(name, netRaw) }
	s.CapAdd = slices.DeleteFunc(slices.Clone(s.CapAdd), isNetRaw)
	// Dropping ALL leaves only what is added: to drop more would change the spec for nothing.
	dropped := func(name string) bool { return isNetRaw(name) || isCapability(name, allCapabilities) }
	if !slices.ContainsFunc(s.CapDrop, dropped) || slices.ContainsFunc(s.CapAdd, func(name string) bool { return isCapability(name, allCapabilities) }) {
		s.CapDrop = append(slices.Clone(s.CapDrop), netRaw)
	}
}

func isCapability(name, capability string) bool {
	return strings.TrimPrefix(strings.ToUpper(name), "CAP_") == capability
}

// profiles refuses AppArmor profiles that the driver's kernel does not have.
func (e *Engine) profiles(u *unsupported, d *task.TaskDefinition) {
	driver, can := e.cfg.Driver.(runtime.AppArmorChecker)
	for i := range d.ContainerDefinitions {
		for j, o := range d.ContainerDefinitions[i].DockerSecurityOptions {
			name, ok := appArmorProfile([]string{o})
			if !ok {
				continue
			}
			at := fmt.Sprintf("containerDefinitions[%d].dockerSecurityOptions[%d]", i, j)
			if !can {
				u.when(true, at, o)
			} else if err := driver.CheckAppArmor(name); err != nil {
				u.when(true, at, err.Error())
			}
		}
	}
}
