package task

import (
	"math"
	"slices"
)

// ECS: what the cpu of a task may be outside Fargate, 0.125 to 192 vCPU.
const (
	minTaskCPU CPUUnits = 128
	maxTaskCPU CPUUnits = 196608
)

// minContainerMemory is what Docker since 20.10.0 reserves for a container at
// least.
const minContainerMemory MiB = 6

// maxAmount is the greatest number of the ECS API, whose integers have 32 bits.
const maxAmount = math.MaxInt32

func (v *validator) taskSize() {
	_, err := ParseCPU(v.def.CPU)
	if v.def.CPU != "" && err != nil {
		v.bad("cpu", "Invalid 'cpu' setting for task. %s", sentence(err))
	}
	_, err = ParseMemory(v.def.Memory)
	if v.def.Memory != "" && err != nil {
		v.bad("memory", "Invalid 'memory' setting for task. %s", sentence(err))
	}
	// ECS holds a definition that requires FARGATE to its sizes even where it is
	// validated for EC2.
	if v.fargate || v.def.Requires(LaunchTypeFargate) {
		v.fargateSize()
		return
	}
	if c := v.size.CPU; c != 0 && !v.windows && (c < minTaskCPU || c > maxTaskCPU) {
		v.bad("cpu", "Invalid 'cpu' setting for task. It must be %d to %d units, not %d", minTaskCPU, maxTaskCPU, c)
	}
}

func (v *validator) fargateSize() {
	if v.def.CPU == "" {
		v.bad("cpu", "Fargate requires that 'cpu' be defined at the task level.")
	}
	if v.def.Memory == "" {
		v.bad("memory", "Fargate requires that 'memory' be defined at the task level.")
	}
	if v.size.CPU == 0 || v.size.Memory == 0 || slices.Contains(FargateSizes(v.windows), v.size) {
		return
	}
	v.bad("cpu", "No Fargate configuration exists for given values: %s. See the Amazon ECS documentation for the valid values. (%s)",
		v.size, fargateAdvice(v.size, v.windows))
}

func (v *validator) cpuSum() {
	var sum CPUUnits
	for i := range v.def.ContainerDefinitions {
		sum += min(v.def.ContainerDefinitions[i].CPU, maxAmount)
	}
	if v.size.CPU != 0 && sum > v.size.CPU {
		v.bad("cpu", "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'. (%d of %d)", sum, v.size.CPU)
	}
}

// memorySum checks what the containers reserve together: memoryReservation, or
// memory where there is none.
func (v *validator) memorySum() {
	var sum MiB
	for i := range v.def.ContainerDefinitions {
		c := &v.def.ContainerDefinitions[i]
		if c.MemoryReservation != 0 {
			sum += min(c.MemoryReservation, maxAmount)
		} else {
			sum += min(c.Memory, maxAmount)
		}
	}
	if v.size.Memory != 0 && sum > v.size.Memory {
		v.bad("memory", "The sum of all container memory reservations cannot be greater than the value of the task 'memory'. (%d of %d)", sum, v.size.Memory)
	}
}

// memory checks the cpu and memory of one container.
func (s *containerScope) memory() {
	c := s.c
	if c.CPU < 0 || c.CPU > maxAmount {
		s.bad("cpu", "must be 0 to %d, not %d", maxAmount, c.CPU)
	}
	for _, m := range []struct {
		member string
		value  MiB
	}{{"memory", c.Memory}, {"memoryReservation", c.MemoryReservation}} {
		if m.value != 0 && (m.value < minContainerMemory || m.value > maxAmount) {
			s.bad(m.member, "must be %d to %d MiB, not %d", minContainerMemory, maxAmount, m.value)
		}
	}
	if s.size.Memory != 0 && c.Memory > s.size.Memory {
		s.bad("memory", "The 'memory' setting for container '%s' is greater than for the task.", c.Name)
	}
	if c.Memory != 0 && c.Memory <= c.MemoryReservation {
		s.bad("memory", "Invalid setting for container '%s'. 'memory' must be greater than 'memoryReservation'.", c.Name)
	}
	if !s.fargate && s.def.Memory == "" && c.Memory == 0 && c.MemoryReservation == 0 {
		s.bad("memory", "Invalid setting for container '%s'. At least one of 'memory' or 'memoryReservation' must be specified.", c.Name)
	}
}

// sentence returns an error's text without the package's name.
func sentence(err error) string {
	const prefix = "task: "
	if text := err.Error(); len(text) > len(prefix) && text[:len(prefix)] == prefix {
		return text[len(prefix):]
	}
	return err.Error()
}
