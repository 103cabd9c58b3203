package task

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
)

func readDefinition(b *testing.B) ([]byte, *TaskDefinition) {
	b.Helper()
	data, err := os.ReadFile("testdata/definitions/fargate-full.json")
	if err != nil {
		b.Fatal(err)
	}
	d, err := DecodeDefinition(bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	return data, d
}

func BenchmarkDecode(b *testing.B) {
	data, _ := readDefinition(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeDefinition(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	_, d := readDefinition(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	_, d := readDefinition(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Validate(LaunchTypeFargate); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDefinitionClone(b *testing.B) {
	_, d := readDefinition(b)
	b.ReportAllocs()
	for b.Loop() {
		d.Clone()
	}
}

func record() *Task {
	zero := 0
	return &Task{
		TaskARN: here.Task("default", "0123456789abcdef0123456789abcdef").String(), LastStatus: Running, DesiredStatus: Running,
		Containers: []Container{
			{Name: "app", LastStatus: ContainerRunning, NetworkInterfaces: []NetworkInterface{{PrivateIPv4Address: "10.0.0.5"}}},
			{Name: "init", LastStatus: ContainerStopped, ExitCode: &zero},
			{Name: "side", LastStatus: ContainerRunning},
		},
		Attachments: []Attachment{{ID: "a", Type: AttachmentENI, Details: make([]KeyValuePair, 5)}},
		Tags:        []Tag{{Key: "a"}, {Key: "b"}},
		CreatedAt:   time.Unix(1700000000, 0), StartedAt: time.Unix(1700000001, 0),
	}
}

func BenchmarkTaskClone(b *testing.B) {
	rec := record()
	b.ReportAllocs()
	for b.Loop() {
		rec.Clone()
	}
}

func BenchmarkTaskJSON(b *testing.B) {
	rec := record()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(rec); err != nil {
			b.Fatal(err)
		}
	}
}
