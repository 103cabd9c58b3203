//go:build linux

package local_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// chatterLine is what chatter writes on a line: its number, and letters.
func chatterLine(rng *rand.Rand, i int) string {
	n := rng.IntN(1 << rng.IntN(16))
	return fmt.Sprintf("%d %s\n", i, strings.Repeat(string(rune('a'+i%26)), n))
}

func chatterSource() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// chatter writes numbered lines of many sizes, in writes of many sizes.
func chatter(w io.Writer, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	lines, sizes := chatterSource(), rand.New(rand.NewPCG(3, 4))
	out := bufio.NewWriterSize(w, 100<<10)
	for i := range n {
		for text := chatterLine(lines, i); text != ""; {
			k := min(len(text), 1+sizes.IntN(20000))
			if _, err := out.WriteString(text[:k]); err != nil {
				return err
			}
			text = text[k:]
			if sizes.IntN(3) == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
			}
		}
	}
	return out.Flush()
}

const chatterLines = 1500

var chatterStream = logs.Stream{Region: "eu-west-1", Group: "/ecs/chatter"}

// stalling is a sink that lets a caller wait now and then, and fails now and then.
type stalling struct{ logs.Sink }

func (s stalling) PutEvents(ctx context.Context, stream logs.Stream, events []logs.Event) error {
	switch rand.IntN(4) {
	case 0:
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	case 1:
		return errors.New("throttled")
	}
	return s.Sink.PutEvents(ctx, stream, events)
}

func openStalling(ctx context.Context, dir string) (*local.Cluster, *logs.FileSink, error) {
	sink, err := logs.NewFileSink(logs.FileSinkConfig{Dir: filepath.Join(dir, "sink"), StreamLimit: 256 << 20})
	if err != nil {
		return nil, nil, err
	}
	c, err := local.Open(ctx, local.Config{
		Dir: dir, LogSink: stalling{sink}, LogLimit: runtime.MinLogLimit, DefaultLogDriverMode: logs.ModeBlocking,
	})
	return c, sink, err
}

// stallingHost is a host program that is killed.
func stallingHost(ctx context.Context, dir string) error {
	c, _, err := openStalling(ctx, dir)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("open")
	<-ctx.Done()
	return ctx.Err()
}

func awsLogs(c *task.ContainerDefinition, more ...string) {
	c.LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverAWSLogs, Options: map[string]string{
		"awslogs-group": chatterStream.Group, "awslogs-region": chatterStream.Region, "awslogs-stream-prefix": "p",
	}}
	for i := 0; i < len(more); i += 2 {
		c.LogConfiguration.Options[more[i]] = more[i+1]
	}
}

// TestLogsSurviveKills has a container that writes more than its log keeps, a sink that stalls and fails, and a host
// program that is killed again and again: every line is delivered, in order, whole.
func TestLogsSurviveKills(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "c")
	before := leaktest.Take(t, dir, local.Owner(dir))
	c, _, err := openStalling(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	purgeFailed(t, local.Config{Dir: dir}, &c)
	addGuest(t, c)
	def := define([]string{"app", "chatter " + strconv.Itoa(chatterLines)})
	awsLogs(&def.ContainerDefinitions[0])
	def.ExecutionRoleARN = "arn:aws:iam::000000000000:role/x"
	run, err := c.Run(t.Context(), def, scheduler.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	running(t, run)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		killLater(t, dir, time.Duration(200+rand.IntN(1500))*time.Millisecond)
		if size := folderSize(t, filepath.Join(dir, "logs", run.ID())); size > runtime.MinLogLimit+400<<10 {
			t.Errorf("%d bytes are kept", size)
		}
	}
	c, sink, err := openStalling(t.Context(), dir) // the same c, for who cleans up
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Lookup(t.Context(), run.ID())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Wait(t.Context()); err != nil {
		t.Fatal(err)
	} else if *got.Containers[0].ExitCode != 0 {
		t.Errorf("ended with %+v", got.Containers[0])
	}
	stream := chatterStream
	stream.Name = "p/app/" + run.ID()
	awaitDelivered(t, dir, run.ID())
	checkChatter(t, sink, stream)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	before.Check()
}

// awaitDelivered waits until the mark of a task with output under way is gone.
func awaitDelivered(t *testing.T, dir, id string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		if _, err := os.Stat(filepath.Join(dir, "logs", id, "undelivered")); errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("output is not delivered")
		}
	}
}

// killLater runs stallingHost and kills it some time after it has opened the cluster.
func killLater(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), logVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var word string
	if _, err := fmt.Fscan(out, &word); err != nil || word != "open" {
		t.Errorf("host program: %q, %v", word, err)
	}
	<-time.After(after)
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}

func folderSize(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	return sum
}

// checkChatter wants every line of chatter in a stream, in order, where only what was delivered last may come again.
func checkChatter(t *testing.T, sink *logs.FileSink, stream logs.Stream) {
	t.Helper()
	events, err := sink.Events(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	rng := chatterSource()
	var want []string
	for i := range chatterLines {
		want = append(want, strings.TrimSuffix(chatterLine(rng, i), "\n"))
	}
	next, repeated := 0, 0
	for _, e := range events {
		number, _, _ := strings.Cut(e.Message, " ")
		i, err := strconv.Atoi(number)
		if err != nil || i > next {
			t.Fatalf("event %.30q where line %d is due", e.Message, next)
		}
		if e.Message != want[i] {
			t.Fatalf("line %d has %d bytes, want %d", i, len(e.Message), len(want[i]))
		}
		if i < next {
			repeated++
		}
		next = i + 1
	}
	if next != chatterLines {
		t.Fatalf("%d lines of %d in %d events", next, chatterLines, len(events))
	}
	t.Logf("%d lines, of which %d came again", next, repeated)
}

func TestLogDrivers(t *testing.T) {
	var dir string
	c := open(t, func(cfg *local.Config) { dir = cfg.Dir })
	def := define([]string{"app", "out one", "err two", "out three"}, []string{"file", "out one", "err two"}, []string{"none", "out lost"})
	def.RequiresCompatibilities = nil
	awsLogs(&def.ContainerDefinitions[0], "awslogs-multiline-pattern", "^one|^three")
	def.ContainerDefinitions[1].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverJSONFile, Options: map[string]string{"tag": "{{.Name}}"}}
	def.ContainerDefinitions[2].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverNone}
	for i := range def.ContainerDefinitions {
		no := false
		def.ContainerDefinitions[i].Essential = &no
	}
	yes := true
	def.ContainerDefinitions[1].Essential = &yes
	def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{
		{ContainerName: "app", Condition: task.ConditionSuccess}, {ContainerName: "none", Condition: task.ConditionSuccess},
	}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	wait(t, run)
	sink, err := logs.NewFileSink(logs.FileSinkConfig{Dir: filepath.Join(dir, "awslogs")})
	if err != nil {
		t.Fatal(err)
	}
	stream := chatterStream
	stream.Name = "p/app/" + run.ID()
	events, err := sink.Events(t.Context(), stream)
	if err != nil || len(events) != 2 || events[0].Message != "one\ntwo\n" || events[1].Message != "three\n" {
		t.Errorf("events %+v, %v", events, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "logs", run.ID(), "file-json.log"))
	if err != nil {
		t.Fatal(err)
	}
	streams := map[string]string{}
	for line := range strings.Lines(string(content)) {
		var l struct {
			Log, Stream string
			Attrs       map[string]string
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Attrs["tag"] != "file" {
			t.Errorf("%s: %v", line, err)
		}
		streams[l.Stream] += l.Log
	}
	if streams["stdout"] != "one\n" || streams["stderr"] != "two\n" {
		t.Errorf("json-file has %v", streams)
	}
	if got := output(t, run, "app"); got != "one\ntwo\nthree\n" {
		t.Errorf("kept here: %q", got)
	}
	if _, err := run.Output(t.Context(), "none"); !errors.Is(err, scheduler.ErrNoLogs) {
		t.Errorf("got %v, want ErrNoLogs", err)
	}
}
