//go:build linux

package local_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// kills is how often TestKilledAtAnyMoment kills the host program; `make test-kills` does it 200 times.
var kills = flag.Int("kills", 8, "how often TestKilledAtAnyMoment kills the host program")

// TestKilledAtAnyMoment kills a host program, over and over, while it starts and stops tasks and pulls images, while
// tasks end by themselves, and while others that go on all the time change their health, are restarted and write logs.
// After a kill the cluster is opened, or another program is killed while it does that; every task is right then, and
// when those have ended that were to end nothing of them is left.
func TestKilledAtAnyMoment(t *testing.T) {
	needRoot(t)
	k := newKilling(t)
	k.begin()
	for n := 1; n <= *kills; n++ {
		k.killOne(n)
		if n%3 == 0 && n != *kills {
			continue // the next one is killed over what this one has left
		}
		k.check()
		if t.Failed() {
			t.Fatalf("after kill %d", n)
		}
	}
	k.end()
	t.Logf("%d kills, %d of them before the cluster was open; %d tasks: %v", *kills, k.early, len(k.verified), k.count)
}

// killing is the state of the test.
type killing struct {
	*testing.T
	dir      string
	registry *tagRegistry
	cfg      local.Config
	cluster  *local.Cluster // nil while host programs are killed

	before *leaktest.Snapshot // of a machine without the cluster
	idle   *leaktest.Snapshot // while only the lasting tasks run
	images imageFiles         // while there is only the guest

	lasting  map[string]string // IDs of the tasks that last, by family
	first    map[string]string // the first process of each of their containers that is never restarted, by runtime ID
	restarts map[string]int    // the highest count seen, by runtime ID
	health   map[string]int    // how often a health status was seen

	told     map[string]bool       // IDs that a host program had from Run
	stopping map[string]bool       // those for which Stop returned
	ended    map[string]bool       // those for which Wait returned
	verified map[string]*task.Task // their last record
	count    map[string]int        // of outcomes, by family
	early    int
	began    time.Time
}

func newKilling(t *testing.T) *killing {
	t.Helper()
	k := &killing{
		T: t, dir: filepath.Join(t.TempDir(), "c"), registry: serveTags(t), began: time.Now(),
		lasting: map[string]string{}, first: map[string]string{}, restarts: map[string]int{}, health: map[string]int{},
		told: map[string]bool{}, stopping: map[string]bool{}, ended: map[string]bool{}, verified: map[string]*task.Task{},
		count: map[string]int{},
	}
	k.before = leaktest.Take(t, k.dir, local.Owner(k.dir))
	var err error
	if k.cfg, err = busyConfig(k.dir, k.registry.host); err != nil {
		t.Fatal(err)
	}
	purgeFailed(t, k.cfg, &k.cluster)
	return k
}

func (k *killing) open() {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), 2*time.Minute)
	defer cancel()
	c, err := local.Open(ctx, k.cfg)
	if err != nil {
		k.Fatal(err)
	}
	k.cluster = c
}

func (k *killing) close() {
	k.Helper()
	c := k.cluster
	k.cluster = nil
	if err := c.Close(); err != nil {
		k.Error(err)
	}
}

// The families of the tasks that last.
const (
	familySteady  = "steady"  // does nothing
	familyTalk    = "talk"    // writes to two log drivers
	familyHealth  = "health"  // changes its health
	familyRestart = "restart" // has containers that end and are restarted
)

// restarting is how many containers the last of them has. Each may be restarted once a minute, so they take turns.
const restarting = 6

// begin starts the tasks that last.
func (k *killing) begin() {
	k.Helper()
	k.open()
	if err := addSelf(k.Context(), k.cluster); err != nil {
		k.Fatal(err)
	}
	k.images = k.imageFiles()
	talk := family(familyTalk, []string{"aws", "talk"}, []string{"file", "talk"})
	awsLogs(&talk.ContainerDefinitions[0])
	talk.ExecutionRoleARN = "arn:aws:iam::000000000000:role/x"
	talk.RequiresCompatibilities = nil
	talk.ContainerDefinitions[1].LogConfiguration = &task.LogConfiguration{
		LogDriver: task.LogDriverJSONFile, Options: map[string]string{"max-size": "128m"},
	}
	health := family(familyHealth, []string{"app", "hang"}, []string{"other", "hang"})
	for i := range health.ContainerDefinitions {
		health.ContainerDefinitions[i].HealthCheck = &task.HealthCheck{
			Command: []string{"CMD", guestPath(k.T), "toggle /healthy"}, Interval: 5, Timeout: 60, Retries: 1,
		}
	}
	restart := family(familyRestart)
	for i := range restarting {
		more := family("", []string{"c" + strconv.Itoa(i), "out begin", fmt.Sprintf("sleep %dms", 61_000+i*1500), "exit 3"})
		more.ContainerDefinitions[0].RestartPolicy = &task.RestartPolicy{Enabled: true, RestartAttemptPeriod: 60}
		restart.ContainerDefinitions = append(restart.ContainerDefinitions, more.ContainerDefinitions...)
	}
	for _, def := range []*task.TaskDefinition{
		family(familySteady, []string{"a", "catch TERM 7", "out up", "hang"}, []string{"b", "catch TERM 7", "out up", "hang"}),
		talk, health, restart,
	} {
		run, err := k.cluster.Run(k.Context(), def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
		if err != nil {
			k.Fatal(err)
		}
		k.lasting[def.Family] = run.ID()
	}
	for name, id := range k.lasting {
		rec := running(k.T, k.lookup(id))
		for _, c := range rec.Containers {
			if name != familyRestart {
				k.first[c.RuntimeID] = processOf(k.T, c.RuntimeID)
			}
		}
	}
	for _, name := range []string{"a", "b"} {
		awaitOutput(k.T, k.lookup(k.lasting[familySteady]), name, "up")
	}
	// Health checks and restarts come and go.
	k.idle = leaktest.Take(k.T, k.dir, local.Owner(k.dir)).
		Ignore(".spare", // the network's, which keeps a number of them for the next interfaces
			"out begin", "toggle", "rootfs/healthy", "runc init", "runc:[", k.lasting[familyRestart])
	for _, part := range []string{"containerd/sandboxes", "containerd/containers", "containerd/tmp", "containerd/runc", "network", "tasks"} {
		k.idle.Folder(filepath.Join(k.dir, part))
	}
	k.close()
}

func (k *killing) lookup(id string) *scheduler.Run {
	k.Helper()
	run, err := k.cluster.Lookup(k.Context(), id)
	if err != nil {
		k.Fatal(err)
	}
	return run
}

// processOf names the oldest process of a container beyond its number: "1234 since 56789".
func processOf(t *testing.T, runtimeID string) string {
	t.Helper()
	oldest, since := "", uint64(0)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		groups, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		if err != nil || !strings.Contains(string(groups), runtimeID) {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if start, err := strconv.ParseUint(fields[19], 10, 64); err == nil && (oldest == "" || start < since) {
			oldest, since = e.Name(), start
		}
	}
	return fmt.Sprintf("%s since %d", oldest, since)
}

// killOne starts a busy host program and kills it after a while; one in eight lives long enough for health checks.
func (k *killing) killOne(n int) {
	k.Helper()
	after := time.Duration(rand.IntN(1500)) * time.Millisecond
	if n%8 == 4 {
		after = 6*time.Second + after
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), busyVar+"="+k.dir, registryVar+"="+k.registry.host)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	opened := false
	var strange []string
	for lines := bufio.NewScanner(out); lines.Scan(); { // also what it told before it died
		word, id, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "open":
			opened = true
		case "task":
			k.told[id] = true
		case "stopping":
			k.stopping[id] = true
		case "ended":
			k.ended[id] = true
		default:
			strange = append(strange, lines.Text())
		}
	}
	if !opened {
		k.early++
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" || len(strange) > 0 {
		k.Fatalf("host program %d ended by itself: %v, %q", n, err, strange)
	}
}
