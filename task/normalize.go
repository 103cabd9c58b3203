package task

// Normalized returns a copy of d as ECS has it after registration, with what
// was implied made explicit:
//
//   - cpu and memory as numbers: "256" for ".25 vCPU";
//   - essential on every container;
//   - on every port the protocol, and in awsvpc and host mode the host port;
//   - the timing of health checks.
//
// It fails if cpu or memory cannot be read.
func (d *TaskDefinition) Normalized() (*TaskDefinition, error) {
	size, err := d.Size()
	if err != nil {
		return nil, err
	}
	out := d.Clone()
	if size.CPU != 0 {
		out.CPU = size.CPU.String()
	}
	if size.Memory != 0 {
		out.Memory = size.Memory.String()
	}
	fixed := d.NetworkMode == NetworkModeAWSVPC || d.NetworkMode == NetworkModeHost
	for i := range out.ContainerDefinitions {
		out.ContainerDefinitions[i].normalize(fixed)
	}
	return out, nil
}

// normalize makes explicit what is implied; fixed says that host ports are
// container ports.
func (c *ContainerDefinition) normalize(fixed bool) {
	essential := c.IsEssential()
	c.Essential = &essential
	for i := range c.PortMappings {
		p := &c.PortMappings[i]
		p.Protocol = p.Transport()
		if fixed && p.HostPort == 0 {
			p.HostPort = p.ContainerPort
		}
	}
	if h := c.HealthCheck; h != nil {
		t := h.Timing()
		h.Interval, h.Timeout, h.Retries = int(t.Interval.Seconds()), int(t.Timeout.Seconds()), t.Retries
	}
}
