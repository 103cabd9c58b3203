package oci

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

// deviceRules are Docker's but for the console: nothing but null, zero, full, random, urandom, tty, ptmx and pseudo-terminals,
// and mknod of anything, which is of no use without access. 5:1 is the system console of the machine, where an operator types
// passwords; /dev/console in a container is a pseudo-terminal.
func deviceRules(c runtime.ContainerSpec) []specs.LinuxDeviceCgroup {
	if c.Privileged {
		return []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	}
	rules := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
	}
	for _, d := range []struct{ major, minor int64 }{
		{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, -1},
	} {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &d.major, Minor: &d.minor, Access: "rwm"})
	}
	return rules
}

// devices returns the nodes to make and allows their use in r.
func devices(c runtime.ContainerSpec, o Options, r *specs.LinuxResources) ([]specs.LinuxDevice, error) {
	if len(c.Devices) == 0 && !c.Privileged {
		return nil, nil
	}
	if o.Devices == nil {
		return nil, invalid(c, "devices need a backend that can look them up")
	}
	var list []specs.LinuxDevice
	if c.Privileged {
		var err error
		if list, err = hostDevices(c, o); err != nil {
			return nil, err
		}
	}
	for _, d := range c.Devices {
		access, err := permissions(c, d)
		if err != nil {
			return nil, err
		}
		if !path.IsAbs(d.HostPath) {
			return nil, invalid(c, "device %q is not an absolute path", d.HostPath)
		}
		nodes, err := o.Devices(path.Clean(d.HostPath))
		if err != nil {
			return nil, fmt.Errorf("container %s: device %s: %w", c.ID, d.HostPath, err)
		}
		for _, node := range nodes {
			rule := specs.LinuxDeviceCgroup{Allow: true, Type: node.Type, Major: new(node.Major), Minor: new(node.Minor), Access: access}
			if node.Path, err = devicePath(c, path.Clean(d.HostPath), d.ContainerPath, node.Path); err != nil {
				return nil, err
			}
			list = slices.DeleteFunc(list, func(d specs.LinuxDevice) bool { return d.Path == node.Path })
			list, r.Devices = append(list, node), append(r.Devices, rule)
		}
	}
	return list, nil
}

// hostDevices are all of the host's but those that the container has its own of.
func hostDevices(c runtime.ContainerSpec, o Options) ([]specs.LinuxDevice, error) {
	nodes, err := o.Devices("/dev")
	if err != nil {
		return nil, fmt.Errorf("container %s: devices of the host: %w", c.ID, err)
	}
	own := []string{"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/ptmx"}
	return slices.DeleteFunc(slices.Clone(nodes), func(d specs.LinuxDevice) bool {
		return slices.ContainsFunc(own, func(dir string) bool { return d.Path == dir || strings.HasPrefix(d.Path, dir+"/") })
	}), nil
}

// devicePath moves a node found at or below from to the same place at or below to.
func devicePath(c runtime.ContainerSpec, from, to, node string) (string, error) {
	if to == "" {
		return node, nil
	}
	if !path.IsAbs(to) {
		return "", invalid(c, "device %s: containerPath %q is not an absolute path", from, to)
	}
	return path.Join(to, strings.TrimPrefix(node, from)), nil
}
