package metadata

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The documented shapes, written down again: with every member and no other. Answers decode into them strictly and
// come out of them unchanged, so a member misspelled, left out or too many on either side is found.

type docTask struct {
	Cluster, TaskARN, Family, Revision, KnownStatus string
	DesiredStatus                                   string
	Containers                                      []docContainer    `json:",omitempty"`
	Limits                                          *docLimits        `json:",omitempty"`
	PullStartedAt, PullStoppedAt                    *time.Time        `json:",omitempty"`
	ExecutionStoppedAt                              *time.Time        `json:",omitempty"`
	AvailabilityZone                                string            `json:",omitempty"`
	TaskTags, ContainerInstanceTags                 map[string]string `json:",omitempty"`
	LaunchType                                      string            `json:",omitempty"`
	Errors                                          []docError        `json:",omitempty"`
	VPCID, ServiceName, Group                       string            `json:",omitempty"`
	ClockDrift                                      *docClock         `json:",omitempty"`
	EphemeralStorageMetrics                         *docStorage       `json:",omitempty"`
	FaultInjectionEnabled                           *bool             `json:",omitempty"` // always in version 4, never before
	AvailabilityZoneID                              string            `json:",omitempty"`
}

type docError struct {
	ErrorField, ErrorCode, ErrorMessage string
	StatusCode                          int
	RequestId, ResourceARN              string //nolint:revive // so spelled on the wire
}

type docClock struct {
	ClockErrorBound            float64
	ReferenceTimestamp         time.Time
	ClockSynchronizationStatus string
}

type docStorage struct{ Utilized, Reserved int64 }

type docLimits struct {
	CPU    *float64 `json:",omitempty"`
	Memory *int64   `json:",omitempty"`
}

type docContainer struct {
	DockerId, Name, DockerName, Image, ImageID string            //nolint:revive // so spelled on the wire
	Ports                                      []docPort         `json:",omitempty"`
	Labels                                     map[string]string `json:",omitempty"`
	DesiredStatus, KnownStatus                 string
	ExitCode                                   *int `json:",omitempty"`
	Limits                                     docLimits
	CreatedAt, StartedAt, FinishedAt           *time.Time `json:",omitempty"`
	Type                                       string
	Networks                                   []docNetwork      `json:",omitempty"`
	Health                                     *docHealth        `json:",omitempty"`
	Volumes                                    []docVolume       `json:",omitempty"`
	LogDriver                                  string            `json:",omitempty"`
	LogOptions                                 map[string]string `json:",omitempty"`
	ContainerARN, Snapshotter                  string            `json:",omitempty"`
	RestartCount                               *int              `json:",omitempty"`
}

type docPort struct {
	ContainerPort uint16
	Protocol      string
	HostPort      uint16 `json:",omitempty"`
	HostIp        string `json:",omitempty"` //nolint:revive // so spelled on the wire
}

type docVolume struct{ DockerName, Source, Destination string }

type docHealth struct {
	Status   string     `json:"status,omitempty"`
	Since    *time.Time `json:"statusSince,omitempty"`
	ExitCode int        `json:"exitCode,omitempty"`
	Output   string     `json:"output,omitempty"`
}

type docNetwork struct {
	NetworkMode                              string
	IPv4Addresses, IPv6Addresses             []string `json:",omitempty"`
	AttachmentIndex                          *int     `json:",omitempty"`
	MACAddress                               string   `json:",omitempty"`
	IPv4SubnetCIDRBlock, IPv6SubnetCIDRBlock string   `json:",omitempty"`
	DomainNameServers, DomainNameSearchList  []string `json:",omitempty"`
	PrivateDNSName                           string   `json:",omitempty"`
	SubnetGatewayIpv4Address                 string   `json:",omitempty"`
	SubnetGatewayIpv6Address                 string   `json:",omitempty"`
}

type docStats struct {
	Read         time.Time             `json:"read"`
	Preread      time.Time             `json:"preread"`
	PidsStats    docPids               `json:"pids_stats"`
	BlkioStats   map[string][]docBlkio `json:"blkio_stats"`
	NumProcs     int                   `json:"num_procs"`
	StorageStats struct{}              `json:"storage_stats"`
	CPUStats     docCPU                `json:"cpu_stats"`
	PrecpuStats  docCPU                `json:"precpu_stats"`
	MemoryStats  docMemory             `json:"memory_stats"`
	Name         string                `json:"name"`
	ID           string                `json:"id"`
	Networks     map[string]docTraffic `json:"networks,omitempty"`
	Rates        *docRates             `json:"network_rate_stats,omitempty"`
}

type docRates struct {
	Rx float64 `json:"rx_bytes_per_sec"`
	Tx float64 `json:"tx_bytes_per_sec"`
}

type docPids struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

type docBlkio struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

type docCPU struct {
	Usage struct {
		Total  uint64   `json:"total_usage"`
		Percpu []uint64 `json:"percpu_usage,omitempty"`
		Kernel uint64   `json:"usage_in_kernelmode"`
		User   uint64   `json:"usage_in_usermode"`
	} `json:"cpu_usage"`
	System     uint64 `json:"system_cpu_usage,omitempty"`
	Online     uint32 `json:"online_cpus,omitempty"`
	Throttling struct {
		Periods   uint64 `json:"periods"`
		Throttled uint64 `json:"throttled_periods"`
		Time      uint64 `json:"throttled_time"`
	} `json:"throttling_data"`
}

type docMemory struct {
	Usage    uint64            `json:"usage,omitempty"`
	MaxUsage uint64            `json:"max_usage,omitempty"`
	Stats    map[string]uint64 `json:"stats,omitempty"`
	Failcnt  uint64            `json:"failcnt,omitempty"`
	Limit    uint64            `json:"limit,omitempty"`
}

type docTraffic struct {
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	RxErrors  uint64 `json:"rx_errors"`
	RxDropped uint64 `json:"rx_dropped"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
	TxErrors  uint64 `json:"tx_errors"`
	TxDropped uint64 `json:"tx_dropped"`
}

// TestShapes reads the golden answers as clients with the documentation in their hands do.
func TestShapes(t *testing.T) {
	seen := map[string]bool{}
	for pattern, v := range map[string]func() any{
		"v?_container*.json":  func() any { return new(docContainer) },
		"v?_task.json":        func() any { return new(docTask) },
		"v?_task_[tlb]*.json": func() any { return new(docTask) },
		"v?_stats*.json":      func() any { return new(docStats) },
		"v3_task_stats.json":  func() any { return new(map[string]*docStats) },
	} {
		files, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			doc := v()
			d := json.NewDecoder(bytes.NewReader(data))
			d.DisallowUnknownFields()
			if err := d.Decode(doc); err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			again, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(members(t, data), members(t, again)); diff != "" {
				t.Errorf("%s does not survive the documented shape (-answer +shape):\n%s", file, diff)
			}
			notZero(reflect.ValueOf(doc), seen)
		}
	}
	for _, v := range []any{docTask{}, docError{}, docClock{}, docStorage{}, docLimits{}, docContainer{}, docPort{}, docVolume{}, docHealth{}, docNetwork{},
		docStats{}, docRates{}, docPids{}, docBlkio{}, docCPU{}, docMemory{}, docTraffic{}} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			key := typ.Name() + "." + typ.Field(i).Name
			if !seen[key] && key != "docStats.NumProcs" && key != "docStats.StorageStats" { // of Windows
				t.Errorf("%s is in no answer of the tests", key)
			}
		}
	}
}

// members is a JSON document without the order of its members.
func members(t *testing.T, data []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// notZero notes every field of a value that says something.
func notZero(v reflect.Value, seen map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			notZero(v.Elem(), seen)
		}
	case reflect.Slice:
		for i := range v.Len() {
			notZero(v.Index(i), seen)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			notZero(v.MapIndex(key), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); v.Type().Field(i).IsExported() && !f.IsZero() {
				seen[v.Type().Name()+"."+v.Type().Field(i).Name] = true
				notZero(f, seen)
			}
		}
	}
}
