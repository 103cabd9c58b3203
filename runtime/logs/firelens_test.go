package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime/logs/logstest"
	"github.com/fardel-io/fardel/task"
)

// fluentd is a log router.
type fluentd struct {
	records chan logstest.Record
	misread int // so many messages are not acknowledged, and their connection is closed
}

func startFluentd(t *testing.T, path string) *fluentd {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fluentd{records: make(chan logstest.Record, 100_000)}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			err := logstest.Serve(conn, func(r logstest.Record) error {
				f.records <- r
				if f.misread > 0 && r.Fields["log"] == "two" {
					f.misread--
					return errMisread
				}
				return nil
			})
			if err != nil && !errors.Is(err, errMisread) {
				t.Error(err)
			}
			conn.Close()
		}
	}()
	return f
}

var errMisread = errors.New("not acknowledged")

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fl") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, RouterSocketName)
}

func TestFirelens(t *testing.T) {
	if _, err := dialSocket(t.Context(), "/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Skipf("needs Linux: %v", err)
	}
	path := socketPath(t)
	to := info
	to.RouterSocket = path
	w, err := New(Config{}).Open(t.Context(), task.LogDriverAWSFirelens, nil, to)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000, 123456789)
	writeAll(t, w, line(at, "one\xff"), Record{Time: at, Stderr: true, Line: []byte("two"), Part: &Part{ID: "p", Ordinal: 3, Last: true}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.Flush(ctx, false); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a router: %v", err)
	}
	f := startFluentd(t, path)
	f.misread = 1
	flush(t, w, false)
	if n := flush(t, w, false); n != 2 {
		t.Errorf("%d delivered", n)
	}
	common := map[string]string{"container_id": info.RuntimeID, "container_name": "/app"}
	first := map[string]string{"log": "one\xff", "source": "stdout"}
	second := map[string]string{
		"log": "two", "source": "stderr", "partial_message": "true", "partial_id": "p", "partial_ordinal": "3", "partial_last": "true",
	}
	for range 2 { // the first was not acknowledged
		for _, fields := range []map[string]string{first, second} {
			maps.Copy(fields, common)
			want := logstest.Record{Tag: "app-firelens-0123", Time: at, Fields: fields}
			if diff := cmp.Diff(want, <-f.records); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	}
	for i := range 1000 {
		writeAll(t, w, line(at, fmt.Sprint(i)))
	}
	flush(t, w, true)
	if n := flush(t, w, true); n != 1002 || len(f.records) != 1000 {
		t.Errorf("%d delivered, %d arrived", n, len(f.records))
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// TestFirelensSocketIsOne wants that a router cannot lead the host program to another socket.
func TestFirelensSocketIsOne(t *testing.T) {
	if _, err := dialSocket(t.Context(), "/nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Skipf("needs Linux: %v", err)
	}
	other := socketPath(t)
	startFluentd(t, other)
	link := socketPath(t)
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if conn, err := dialSocket(t.Context(), link); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("got %v, %v", conn, err)
	}
	long := filepath.Join(filepath.Dir(other), strings.Repeat("x", 150))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, filepath.Join(long, RouterSocketName)); err != nil {
		t.Fatal(err)
	}
	conn, err := dialSocket(t.Context(), filepath.Join(long, RouterSocketName))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestRouterConfig(t *testing.T) {
	c := RouterConfig{
		Type: task.FirelensFluentBit, Memory: 100, Include: "/extra.conf", Metadata: true, Cluster: "c", TaskARN: "arn", TaskDefinition: "f:1",
		Outputs: map[string]map[string]string{
			"app":  {"Name": "http", "Host": "h", "log-driver-buffer-limit": "5", "exclude-pattern": "^x"},
			"none": {}, "inc": {"Name": "stdout", "include-pattern": "a|b"},
		},
	}
	want := `
[INPUT]
    Name forward
    Mem_Buf_Limit 50MB
    unix_path /var/run/fluent.sock

[INPUT]
    Name forward
    Listen 127.0.0.1
    Port 24224

[INPUT]
    Name tcp
    Tag firelens-healthcheck
    Listen 127.0.0.1
    Port 8877

[FILTER]
    Name grep
    Match inc-firelens*
    Regex log a|b

[FILTER]
    Name grep
    Match app-firelens*
    Exclude log ^x

[FILTER]
    Name record_modifier
    Match *
    Record ecs_cluster c
    Record ecs_task_arn arn
    Record ecs_task_definition f:1

@INCLUDE /extra.conf

[OUTPUT]
    Name null
    Match firelens-healthcheck

[OUTPUT]
    Name http
    Match app-firelens*
    Host h

[OUTPUT]
    Name stdout
    Match inc-firelens*
`
	got, err := c.Text()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	c.Type, c.Include = task.FirelensFluentd, ""
	c.Outputs = map[string]map[string]string{"app": {"@type": "file", "path": "/x", "include-pattern": "a"}}
	want = `
<source>
    @type unix
    path /var/run/fluent.sock
</source>

<source>
    @type forward
    bind 127.0.0.1
    port 24224
</source>

<filter app-firelens**>
    @type grep
    <regexp>
        key log
        pattern a
    </regexp>
</filter>

<filter **>
    @type record_transformer
    <record>
        ecs_cluster c
        ecs_task_arn arn
        ecs_task_definition f:1
    </record>
</filter>

<match app-firelens**>
    @type file
    path /x
</match>
`
	got, err = c.Text()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, options := range []map[string]string{{"path": "/x"}, {"@type": "file", "path": "x\n[OUTPUT]"}} {
		c.Outputs["app"] = options
		if _, err := c.Text(); err == nil {
			t.Errorf("%v: no error", options)
		}
	}
}

func FuzzForward(f *testing.F) {
	f.Add([]byte("text\x00\xff"), "field", uint32(5), uint32(6))
	f.Fuzz(func(t *testing.T, text []byte, value string, seconds, nanos uint32) {
		at := time.Unix(int64(seconds), int64(nanos%1e9))
		entry := appendEntry(nil, at, text, []field{{"f", value}})
		message := appendMessage(nil, "tag", 20, bytes.Repeat(entry, 20), "id")
		got, err := logstest.Decode(bufio.NewReader(bytes.NewReader(message)))
		if err != nil {
			t.Fatal(err)
		}
		list := got.([]any)
		for _, e := range list[1].([]any) {
			want := []any{at, map[string]any{"log": string(text), "f": value}}
			if diff := cmp.Diff(want, e); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
		answer := appendString(appendString(appendMap(nil, 1), "ack"), value)
		if ack, err := readAck(bufio.NewReader(bytes.NewReader(answer))); len(value) <= maxAck && (err != nil || ack != value) {
			t.Errorf("ack %q, %v", ack, err)
		}
		_, _ = readAck(bufio.NewReader(bytes.NewReader(text)))
	})
}
