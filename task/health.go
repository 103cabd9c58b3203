package task

import "time"

// HealthCheck is a command that tells whether a container works.
type HealthCheck struct {
	// Command starts with CMD (exec) or CMD-SHELL (the container's shell); exit
	// status 0 is a pass.
	Command []string `json:"command,omitempty"`
	// Interval is the seconds between checks: 5..300, 0 means 30.
	Interval int `json:"interval,omitempty"`
	// Timeout is the seconds a check may take: 2..60, 0 means 5.
	Timeout int `json:"timeout,omitempty"`
	// Retries is how many failures in a row make it UNHEALTHY: 1..10, 0 means 3.
	Retries int `json:"retries,omitempty"`
	// StartPeriod is the seconds at the start in which failures do not count:
	// 0..300. A pass ends it.
	StartPeriod int   `json:"startPeriod,omitempty"`
	Extra       Extra `json:"-"`
}

// HealthTiming is a health check's timing with the defaults of ECS filled in.
type HealthTiming struct {
	Interval    time.Duration // between the end of a check and the next
	Timeout     time.Duration // of one check
	StartPeriod time.Duration // in which failures do not count
	Retries     int           // failures in a row that make UNHEALTHY
}

// Timing returns the timing of h, with 30 s, 5 s and 3 retries where h says 0.
func (h *HealthCheck) Timing() HealthTiming {
	or := func(v, def int) int {
		if v == 0 {
			return def
		}
		return v
	}
	return HealthTiming{
		Interval:    time.Duration(or(h.Interval, 30)) * time.Second,
		Timeout:     time.Duration(or(h.Timeout, 5)) * time.Second,
		StartPeriod: time.Duration(h.StartPeriod) * time.Second,
		Retries:     or(h.Retries, 3),
	}
}

// HealthStatus is the health of a container or a task.
type HealthStatus string

// The health of a container or task; empty counts as UNKNOWN.
const (
	HealthHealthy   HealthStatus = "HEALTHY"
	HealthUnhealthy HealthStatus = "UNHEALTHY"
	HealthUnknown   HealthStatus = "UNKNOWN"
)

// AggregateHealth returns the health of a task with these containers. Only the
// essential containers of d count, and UNHEALTHY beats UNKNOWN beats HEALTHY; an
// essential container that is not in the list is UNKNOWN.
func AggregateHealth(d *TaskDefinition, containers []Container) HealthStatus {
	health := HealthHealthy
	for i := range d.ContainerDefinitions {
		def := &d.ContainerDefinitions[i]
		if !def.IsEssential() {
			continue
		}
		switch healthOf(def.Name, containers) {
		case HealthUnhealthy:
			return HealthUnhealthy
		case HealthHealthy:
		default:
			health = HealthUnknown
		}
	}
	return health
}

func healthOf(name string, containers []Container) HealthStatus {
	for i := range containers {
		if containers[i].Name == name {
			return containers[i].HealthStatus
		}
	}
	return HealthUnknown
}
