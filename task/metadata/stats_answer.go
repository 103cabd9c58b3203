package metadata

import (
	"cmp"
	"errors"
	"net/http"
	"time"
)

// statsV2 is what a container uses, in the form of Docker's API 1.41. Members for Windows that Docker writes on Linux
// too are there, with their zeros.
type statsV2 struct {
	Read         time.Time                `json:"read"`
	PreRead      time.Time                `json:"preread"`
	PIDs         pidsAnswer               `json:"pids_stats"`
	BlockIO      blockIOAnswer            `json:"blkio_stats"`
	NumProcs     uint32                   `json:"num_procs"`     // Windows
	StorageStats struct{}                 `json:"storage_stats"` // Windows
	CPU          cpuAnswer                `json:"cpu_stats"`
	PreCPU       cpuAnswer                `json:"precpu_stats"`
	Memory       memoryAnswer             `json:"memory_stats"`
	Name         string                   `json:"name,omitempty"`
	ID           string                   `json:"id,omitempty"`
	Networks     map[string]networkAnswer `json:"networks,omitempty"`
}

// statsV4 adds the rates. A container without stats is an empty object.
type statsV4 struct {
	*statsV2
	Rates *ratesAnswer `json:"network_rate_stats,omitempty"`
}

type ratesAnswer struct {
	Received float64 `json:"rx_bytes_per_sec"`
	Sent     float64 `json:"tx_bytes_per_sec"`
}

type pidsAnswer struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

type cpuAnswer struct {
	Usage struct {
		Total  uint64   `json:"total_usage"` // nanoseconds, as all times of CPUs
		PerCPU []uint64 `json:"percpu_usage,omitempty"`
		Kernel uint64   `json:"usage_in_kernelmode"`
		User   uint64   `json:"usage_in_usermode"`
	} `json:"cpu_usage"`
	System     uint64 `json:"system_cpu_usage,omitempty"`
	Online     int    `json:"online_cpus,omitempty"`
	Throttling struct {
		Periods   uint64 `json:"periods"`
		Throttled uint64 `json:"throttled_periods"`
		Time      uint64 `json:"throttled_time"`
	} `json:"throttling_data"`
}

type memoryAnswer struct {
	Usage    uint64            `json:"usage,omitempty"`
	MaxUsage uint64            `json:"max_usage,omitempty"`
	Stats    map[string]uint64 `json:"stats,omitempty"`
	Failcnt  uint64            `json:"failcnt,omitempty"`
	Limit    uint64            `json:"limit,omitempty"`
}

type blockIOAnswer struct {
	ServiceBytes []blockIOEntry `json:"io_service_bytes_recursive"`
	Serviced     []blockIOEntry `json:"io_serviced_recursive"`
	Queued       []blockIOEntry `json:"io_queue_recursive"`
	ServiceTime  []blockIOEntry `json:"io_service_time_recursive"`
	WaitTime     []blockIOEntry `json:"io_wait_time_recursive"`
	Merged       []blockIOEntry `json:"io_merged_recursive"`
	Time         []blockIOEntry `json:"io_time_recursive"`
	Sectors      []blockIOEntry `json:"sectors_recursive"`
}

// blockIOEntry counts one kind of operation. Kinds begin with a capital, as Fargate has it: readers look for "Read".
type blockIOEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"` // Read, Write, Total
	Value uint64 `json:"value"`
}

type networkAnswer struct {
	ReceivedBytes   uint64 `json:"rx_bytes"`
	ReceivedPackets uint64 `json:"rx_packets"`
	ReceivedErrors  uint64 `json:"rx_errors"`
	ReceivedDropped uint64 `json:"rx_dropped"`
	SentBytes       uint64 `json:"tx_bytes"`
	SentPackets     uint64 `json:"tx_packets"`
	SentErrors      uint64 `json:"tx_errors"`
	SentDropped     uint64 `json:"tx_dropped"`
}

// containerStats returns what one container uses.
func (h *handler) containerStats(r *http.Request, s *Snapshot, name string, rt route) (int, any) {
	v2, rates, err := h.stats(r, s, name)
	if err != nil {
		code := http.StatusBadRequest
		if rt.version == 4 {
			code = http.StatusInternalServerError
		}
		_, record := s.container(name)
		return code, "Unable to get container stats for: " + record.RuntimeID
	}
	if rt.version < 4 {
		return http.StatusOK, v2
	}
	return http.StatusOK, statsV4{v2, rates}
}

// taskStats returns what each created container uses, by its ID. One that does not run is null, in version 4 {}.
func (h *handler) taskStats(r *http.Request, s *Snapshot, version int) any {
	v2s, v4s := map[string]*statsV2{}, map[string]statsV4{}
	for i := range s.Definition.ContainerDefinitions {
		name := s.Definition.ContainerDefinitions[i].Name
		_, record := s.container(name)
		if record.RuntimeID == "" {
			continue
		}
		v2, rates, err := h.stats(r, s, name)
		if err != nil {
			v2, rates = nil, nil
		}
		v2s[record.RuntimeID], v4s[record.RuntimeID] = v2, statsV4{v2, rates}
	}
	if version < 4 {
		return v2s
	}
	return v4s
}

// stats asks the source. Errors other than [ErrNotFound], which is a container that does not run, are logged.
func (h *handler) stats(r *http.Request, s *Snapshot, name string) (*statsV2, *ratesAnswer, error) {
	stats, err := h.cfg.Source.Stats(r.Context(), s.Task.TaskARN, name)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			h.cfg.Logger.ErrorContext(r.Context(), "no stats", "taskArn", s.Task.TaskARN, "containerName", name, "error", err)
		}
		return nil, nil, err
	}
	var rates *ratesAnswer
	if received, sent, ok := stats.rates(); ok {
		rates = &ratesAnswer{received, sent}
	}
	_, record := s.container(name)
	v2 := newStatsV2(&stats)
	v2.ID = record.RuntimeID
	v2.Name = "/" + cmp.Or(s.Containers[name].DockerName, name) // Docker's names begin with a slash
	return v2, rates, nil
}

func newStatsV2(s *Stats) *statsV2 {
	now := &s.Current
	a := &statsV2{
		Read:    now.At.UTC(),
		PreRead: s.Previous.At.UTC(),
		PIDs:    pidsAnswer{now.PIDs, now.PIDsLimit},
		BlockIO: newBlockIOAnswer(now.BlockIO),
		CPU:     newCPUAnswer(now),
		PreCPU:  newCPUAnswer(&s.Previous),
		Memory:  memoryAnswer{now.Memory, now.MemoryPeak, now.MemoryDetails, now.MemoryFailures, now.MemoryLimit},
	}
	for name, n := range now.Networks {
		if a.Networks == nil {
			a.Networks = make(map[string]networkAnswer, len(now.Networks))
		}
		a.Networks[name] = networkAnswer(n)
	}
	return a
}

func newCPUAnswer(s *Sample) cpuAnswer {
	var a cpuAnswer
	a.Usage.Total = uint64(s.CPU)
	a.Usage.Kernel = uint64(s.CPUSystem)
	a.Usage.User = uint64(s.CPUUser)
	for _, used := range s.PerCPU {
		a.Usage.PerCPU = append(a.Usage.PerCPU, uint64(used))
	}
	a.System = uint64(s.HostCPU)
	a.Online = s.OnlineCPUs
	a.Throttling.Periods = s.CPUPeriods
	a.Throttling.Throttled = s.CPUThrottled
	a.Throttling.Time = uint64(s.CPUThrottledTime)
	return a
}

// newBlockIOAnswer fills in the two lists that the kernel still keeps; the others are empty.
func newBlockIOAnswer(devices []BlockIO) blockIOAnswer {
	none := []blockIOEntry{}
	a := blockIOAnswer{none, none, none, none, none, none, none, none}
	for _, d := range devices {
		a.ServiceBytes = append(a.ServiceBytes, blockIOEntries(d, d.ReadBytes, d.WriteBytes)...)
		a.Serviced = append(a.Serviced, blockIOEntries(d, d.Reads, d.Writes)...)
	}
	return a
}

func blockIOEntries(d BlockIO, read, write uint64) []blockIOEntry {
	return []blockIOEntry{{d.Major, d.Minor, "Read", read}, {d.Major, d.Minor, "Write", write}, {d.Major, d.Minor, "Total", read + write}}
}
