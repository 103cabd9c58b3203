//go:build linux

package local_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// check opens the cluster, waits until everything is over that is to end, and looks at all of it.
func (k *killing) check() {
	k.Helper()
	k.open()
	defer k.close()
	k.checkLasting()
	list, err := k.cluster.List(k.Context(), scheduler.ListOptions{})
	if err != nil {
		k.Fatal(err)
	}
	there := map[string]bool{}
	lasting := slices.Collect(maps.Values(k.lasting))
	for _, rec := range list {
		id := rec.ID()
		there[id] = true
		switch was := k.verified[id]; {
		case slices.Contains(lasting, id):
		case was != nil:
			if diff := cmp.Diff(was, rec); diff != "" {
				k.Errorf("record of a task that is over (-was +is):\n%s", diff)
			}
		case k.ended[id] && rec.LastStatus != task.Stopped:
			k.Errorf("task %s was STOPPED and is %s", id, rec.LastStatus)
		case k.stopping[id] && rec.DesiredStatus != task.Stopped:
			k.Errorf("task %s was to stop and is to be %s", id, rec.DesiredStatus)
		default:
			k.finish(k.lookup(id))
		}
	}
	for id := range k.told {
		if !there[id] {
			k.Errorf("task %s was started and is not known", id)
		}
	}
	k.idle.Check()
}

// finish brings a task to its end and looks at how it ended.
func (k *killing) finish(run *scheduler.Run) {
	k.Helper()
	rec, err := run.Describe(k.Context())
	if err != nil {
		k.Fatal(err)
	}
	name := familyOf(rec)
	stopped := name == familyStopped || name == familyHasty
	if name == familyStopped && rec.DesiredStatus < task.Stopped {
		if err := awaitUp(k.Context(), run); err != nil {
			k.Fatal(err)
		}
	}
	if stopped {
		if err := run.Stop(k.Context(), "enough"); err != nil {
			k.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(k.Context(), 3*time.Minute)
	defer cancel()
	rec, err = run.Wait(ctx)
	if err != nil {
		k.Fatalf("%s %s is %+v: %v", name, run.ID(), rec, err)
	}
	k.verified[run.ID()] = rec
	var problem error
	if stopped {
		problem = k.checkStopped(run, rec)
	} else {
		problem = checkBrief(rec, output(k.T, run, "app"))
		k.count[name]++
	}
	if problem == nil {
		problem = checkTimes(rec)
	}
	if problem != nil {
		text, _ := json.Marshal(rec)
		k.Errorf("%s %s: %v\n%s", name, run.ID(), problem, text)
	}
}

func familyOf(rec *task.Task) string {
	_, name, _ := strings.Cut(rec.TaskDefinitionARN, "task-definition/")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// checkTimes wants the times of a record in their order.
func checkTimes(rec *task.Task) error {
	order := []struct {
		name string
		at   time.Time
	}{
		{"createdAt", rec.CreatedAt}, {"pullStartedAt", rec.PullStartedAt}, {"pullStoppedAt", rec.PullStoppedAt},
		{"startedAt", rec.StartedAt}, {"stoppingAt", rec.StoppingAt}, {"stoppedAt", rec.StoppedAt}, {"now", time.Now()},
	}
	last := order[0]
	for _, next := range order[1:] {
		if next.at.IsZero() {
			continue
		}
		if next.at.Before(last.at) {
			return fmt.Errorf("%s is before %s", next.name, last.name)
		}
		last = next
	}
	for _, c := range rec.Containers {
		switch {
		case c.LastStatus != task.ContainerStopped:
			return fmt.Errorf("container %s is %s", c.Name, c.LastStatus)
		case c.ExitCode != nil && !c.StartedAt.IsZero() && (c.FinishedAt.Before(c.StartedAt) || c.StartedAt.Before(rec.CreatedAt)):
			return fmt.Errorf("container %s ran from %s to %s", c.Name, c.StartedAt, c.FinishedAt)
		}
	}
	return nil
}

var briefOutput = regexp.MustCompile(`^early (\d+)\nlate (\d+)\n$`)

// checkBrief wants the one outcome that a task has whose container ends by itself.
func checkBrief(rec *task.Task, out string) error {
	c := rec.Containers[0]
	if rec.StopCode != task.StopCodeEssentialContainerExited || c.ExitCode == nil || *c.ExitCode != briefCode {
		return fmt.Errorf("stopped for %s: %s", rec.StopCode, rec.StoppedReason)
	}
	said := briefOutput.FindStringSubmatch(out)
	if said == nil {
		return fmt.Errorf("output %q", out)
	}
	at := func(text string) time.Time {
		ns, _ := strconv.ParseInt(text, 10, 64)
		return time.Unix(0, ns)
	}
	if early, late := at(said[1]), at(said[2]); c.FinishedAt.Before(late) || c.FinishedAt.Sub(late) > 20*time.Second || c.StartedAt.Sub(early) > 20*time.Second {
		return fmt.Errorf("its own clock says that it ran from %s to %s", early, late)
	}
	return nil
}

// checkStopped wants what was ready for the signal to have got it. What was not may have any end.
func (k *killing) checkStopped(run *scheduler.Run, rec *task.Task) error {
	if rec.StopCode != task.StopCodeUserInitiated || rec.StoppedReason != "enough" {
		return fmt.Errorf("stopped for %s: %s", rec.StopCode, rec.StoppedReason)
	}
	k.count[familyOf(rec)]++
	for _, c := range rec.Containers {
		out := output(k.T, run, c.Name)
		if familyOf(rec) == familyStopped && (out != "up\ncaught TERM\n" || c.ExitCode == nil || *c.ExitCode != 7) {
			return fmt.Errorf("container %s wrote %q", c.Name, out)
		}
		if out != "" && c.ExitCode == nil {
			return fmt.Errorf("container %s ran, and has no exit code", c.Name)
		}
	}
	return nil
}

// checkLasting wants the tasks that last to be RUNNING, with the processes that they had.
func (k *killing) checkLasting() {
	k.Helper()
	for name, id := range k.lasting {
		rec, err := k.lookup(id).Describe(k.Context())
		if err != nil || rec.LastStatus != task.Running || rec.DesiredStatus != task.Running {
			text, _ := json.Marshal(rec)
			k.Fatalf("task %s is %s, %v", name, text, err)
		}
		for _, c := range rec.Containers {
			if c.LastStatus != task.ContainerRunning {
				k.Errorf("container %s of %s is %s", c.Name, name, c.LastStatus)
			}
			if was := k.first[c.RuntimeID]; was != "" && processOf(k.T, c.RuntimeID) != was {
				k.Errorf("container %s of %s is process %s and was %s", c.Name, name, processOf(k.T, c.RuntimeID), was)
			}
			if c.RestartCount < k.restarts[c.RuntimeID] {
				k.Errorf("container %s of %s was restarted %d times, after %d", c.Name, name, c.RestartCount, k.restarts[c.RuntimeID])
			}
			k.restarts[c.RuntimeID] = c.RestartCount
			if c.HealthStatus != "" {
				k.health[string(c.HealthStatus)]++
			}
		}
	}
}

// end ends the tasks that last, and the cluster.
func (k *killing) end() {
	k.Helper()
	k.open()
	k.checkHealth()
	k.checkRestarts()
	for name, id := range k.lasting {
		run := k.lookup(id)
		if err := run.Stop(k.Context(), ""); err != nil {
			k.Error(err)
		}
		rec := wait(k.T, run)
		if err := checkTimes(rec); err != nil || rec.StopCode != task.StopCodeUserInitiated {
			k.Errorf("%s: stopped for %s, %v", name, rec.StopCode, err)
		}
		for _, c := range rec.Containers {
			want, ok := map[string]int{familySteady: 7, familyTalk: 0}[name]
			if ok && (c.ExitCode == nil || *c.ExitCode != want) {
				k.Errorf("container %s of %s ended with %v: %s", c.Name, name, c.ExitCode, c.Reason)
			}
		}
	}
	awaitDelivered(k.T, k.dir, k.lasting[familyTalk])
	checkTalkOf(k.T, filepath.Join(k.dir, "sink"), k.dir, k.lasting[familyTalk])
	k.removeImages()
	c := k.cluster
	k.cluster = nil
	if err := c.Purge(k.Context()); err != nil {
		k.Error(err)
	}
	k.before.Check()
}

// checkHealth wants health checks to go on.
func (k *killing) checkHealth() {
	k.Helper()
	run := k.lookup(k.lasting[familyHealth])
	seen := map[task.HealthStatus]bool{}
	eventually(k.T, "health that changes", func() bool {
		rec, err := run.Describe(k.Context())
		if err != nil {
			k.Fatal(err)
		}
		seen[rec.Containers[0].HealthStatus] = true
		return seen[task.HealthHealthy] && seen[task.HealthUnhealthy]
	})
}

// checkRestarts wants each run of a container to have written what it writes, once.
func (k *killing) checkRestarts() {
	k.Helper()
	run := k.lookup(k.lasting[familyRestart])
	for i := range restarting {
		name := "c" + strconv.Itoa(i)
		restarts, runs := 0, 0
		eventually(k.T, "as many runs of container "+name+" as restarts", func() bool {
			rec, err := run.Describe(k.Context())
			if err != nil {
				k.Fatal(err)
			}
			restarts, runs = rec.Container(name).RestartCount, strings.Count(output(k.T, run, name), "begin\n")
			return runs == restarts+1
		})
		k.count["restarts"] += restarts
		if lasted := time.Since(k.began); restarts == 0 && lasted > 4*time.Minute {
			k.Errorf("container %s was never restarted in %s", name, lasted)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("no %s", what)
		}
	}
}

// checkTalkOf wants every line that the two containers of a task wrote in blocking mode to be delivered, whole and in order.
func checkTalkOf(t *testing.T, sinkDir, dir, id string) {
	t.Helper()
	sink, err := logs.NewFileSink(logs.FileSinkConfig{Dir: sinkDir})
	if err != nil {
		t.Fatal(err)
	}
	stream := chatterStream
	stream.Name = "p/aws/" + id
	events, err := sink.Events(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	var delivered []string
	for _, e := range events {
		delivered = append(delivered, e.Message)
	}
	checkNumbered(t, "awslogs", delivered)
	checkNumbered(t, "json-file", jsonLines(t, filepath.Join(dir, "logs", id, "file-json.log")))
}

// jsonLines are the lines in a file of the log driver json-file.
func jsonLines(t *testing.T, path string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var l struct{ Log string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, strings.TrimSuffix(l.Log, "\n"))
	}
	return list
}

// checkNumbered wants all lines of talk. What was delivered last before a kill may come again.
func checkNumbered(t *testing.T, driver string, lines []string) {
	t.Helper()
	next, again := 0, 0
	for _, line := range lines {
		number, _, _ := strings.Cut(line, " ")
		if number == "end" {
			if line != fmt.Sprintf("end %d", next) {
				t.Errorf("%s: %q after %d lines", driver, line, next)
			}
			t.Logf("%s: %d lines, of which %d came again", driver, next, again)
			return
		}
		i, err := strconv.Atoi(number)
		switch {
		case err != nil || i > next:
			t.Fatalf("%s: %.50q where line %d is due", driver, line, next)
		case line != numbered(i):
			t.Fatalf("%s: line %d is %q, want %q", driver, i, line, numbered(i))
		case i < next:
			again++
		}
		next = i + 1
	}
	t.Errorf("%s: no end after %d lines", driver, next)
}

// removeImages removes all images but the guest's, and wants their files to go.
func (k *killing) removeImages() {
	k.Helper()
	list, err := k.cluster.Images(k.Context())
	if err != nil {
		k.Fatal(err)
	}
	for _, img := range list {
		if strings.HasPrefix(img.Name, k.registry.host) || strings.HasPrefix(img.Ref, k.registry.host) {
			if err := k.cluster.RemoveImage(k.Context(), img.Ref); err != nil {
				k.Error(err)
			}
		}
	}
	if _, err := k.cluster.CollectImages(k.Context(), runtime.ImageLimit{}); err != nil { // downloads that were broken off
		k.Error(err)
	}
	eventually(k.T, "end of what is left of images", func() bool {
		left := k.imageFiles()
		return left.snapshots <= k.images.snapshots && !slices.ContainsFunc(left.blobs, func(name string) bool {
			return !slices.Contains(k.images.blobs, name)
		})
	})
}

// imageFiles are the files of images and of transfers, and how many snapshots there are.
type imageFiles struct {
	blobs     []string
	snapshots int
}

func (k *killing) imageFiles() (files imageFiles) {
	k.Helper()
	root := filepath.Join(k.dir, "containerd", "images")
	for _, pattern := range []string{"content/blobs/sha256/*", "content/ingest/*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			k.Fatal(err)
		}
		files.blobs = append(files.blobs, found...)
	}
	snapshots, err := filepath.Glob(filepath.Join(root, "overlayfs", "snapshots", "*"))
	if err != nil {
		k.Fatal(err)
	}
	files.snapshots = len(snapshots)
	return files
}
