//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fardel-io/fardel/runtime/containerd"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// smallDisk is a file system of so many MiB that ends with the test.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := syscall.Unmount(dir, 0)
		for end := time.Now().Add(time.Minute); errors.Is(err, syscall.EBUSY) && time.Now().Before(end); err = syscall.Unmount(dir, 0) {
			goruntime.GC() // containerd's content store leaves a file for the collector to close
			<-time.After(20 * time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk leaves so many KiB of a file system and returns what gives the rest back.
func fillDisk(t *testing.T, dir string, leave int64) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	free = func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if have := freeKiB(t, dir); have > leave {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, (have-leave)<<10); err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return free
}

func freeKiB(t *testing.T, dir string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * int64(s.Bsize) >> 10
}

const noSpace = "no space left on device"

// TestDiskFull has the file system of Config.Dir full while state, logs and images are written, one after the other. It
// says so, loses nothing, and goes on when there is room.
func TestDiskFull(t *testing.T) {
	needRoot(t)
	disk := smallDisk(t, 400)
	registry := serveTags(t)
	cfg := local.Config{
		Dir: filepath.Join(disk, "c"), Registries: map[string]containerd.Registry{registry.host: {PlainHTTP: true}},
		DefaultLogDriverMode: logs.ModeBlocking, LogLimit: 1,
	}
	c := open(t, func(to *local.Config) { *to = cfg })
	t.Run("State", func(t *testing.T) { fullState(t, c, disk) })
	t.Run("Logs", func(t *testing.T) { fullLogs(t, c, disk, cfg.Dir) })
	t.Run("Ends", func(t *testing.T) { fullEnd(t, c, disk, cfg.Dir) })
	t.Run("Images", func(t *testing.T) { fullImages(t, c, disk, registry.host) })
}

func fullState(t *testing.T, c *local.Cluster, disk string) {
	def := family(familyStopped, []string{"app", "catch TERM 7", "out up", "hang"})
	stops, ends := start(t, c, def, scheduler.RunOptions{}), start(t, c, def, scheduler.RunOptions{})
	running(t, stops)
	pid, _, _ := strings.Cut(processOf(t, running(t, ends).Containers[0].RuntimeID), " ")
	awaitOutput(t, stops, "app", "up")
	awaitOutput(t, ends, "app", "up")
	free := fillDisk(t, disk, 0)
	// What still fits into files that are there is no error; what does not is one with its reason.
	var accepted []*scheduler.Run
	for range 20 {
		run, err := c.Run(t.Context(), briefDefinition(), scheduler.RunOptions{})
		if err == nil {
			accepted = append(accepted, run)
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, store.ErrUnknown) || !strings.Contains(err.Error(), filepath.Join(disk, "c", "state.db")) {
			t.Errorf("Run on a full disk: %v", err)
		}
	}
	t.Logf("%d of 20 were refused", 20-len(accepted))
	if err := stops.Stop(t.Context(), ""); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Stop on a full disk: %v", err)
	}
	if out, err := exec.Command("kill", "-KILL", pid).CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	<-time.After(500 * time.Millisecond) // likely its end was to be written
	free()
	if err := stops.Stop(t.Context(), ""); err != nil {
		t.Error(err)
	}
	for _, run := range accepted { // those for which there was room later, and those for which there was none
		rec := wait(t, run)
		if ran := rec.Containers[0].ExitCode; (ran == nil || *ran != briefCode) && !strings.Contains(rec.StoppedReason, noSpace) {
			t.Errorf("started on a full disk: %s: %s", rec.StopCode, rec.StoppedReason)
		}
	}
	for run, want := range map[*scheduler.Run]int{stops: 7, ends: 137} {
		if rec := wait(t, run); rec.Containers[0].ExitCode == nil || *rec.Containers[0].ExitCode != want {
			t.Errorf("ended with %+v, want exit code %d", rec.Containers[0], want)
		}
	}
	if rec := wait(t, start(t, c, briefDefinition(), scheduler.RunOptions{})); *rec.Containers[0].ExitCode != briefCode {
		t.Errorf("a task when there is room again: %+v", rec)
	}
}

func fullLogs(t *testing.T, c *local.Cluster, disk, dir string) {
	def := family(familyTalk, []string{"aws", "talk"}, []string{"file", "talk"})
	awsLogs(&def.ContainerDefinitions[0])
	def.RequiresCompatibilities = nil
	def.ExecutionRoleARN = "arn:aws:iam::000000000000:role/x"
	def.ContainerDefinitions[1].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverJSONFile}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	awaitOutput(t, run, "aws", "\n")
	awaitOutput(t, run, "file", "\n")
	free := fillDisk(t, disk, 100)
	eventually(t, "end of the room for logs", func() bool { return freeKiB(t, disk) < 8 })
	<-time.After(3 * time.Second) // some hundred lines each, and more than a pipe holds
	free()
	for _, name := range []string{"aws", "file"} {
		had := len(output(t, run, name))
		eventually(t, "output after there was none", func() bool { return len(output(t, run, name)) > had+1000 })
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	rec := wait(t, run)
	for _, one := range rec.Containers {
		if one.ExitCode == nil || *one.ExitCode != 0 {
			t.Errorf("ended with %+v", one)
		}
	}
	awaitDelivered(t, dir, run.ID())
	checkTalkOf(t, filepath.Join(dir, "awslogs"), dir, run.ID())
}

// fullEnd has a container end whose last output finds no room.
func fullEnd(t *testing.T, c *local.Cluster, disk, dir string) {
	const lines = 8000
	def := family(familyStopped, []string{"app", fmt.Sprint("last ", lines)})
	def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverJSONFile}
	def.RequiresCompatibilities = nil
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	pid, _, _ := strings.Cut(processOf(t, running(t, run).Containers[0].RuntimeID), " ")
	awaitOutput(t, run, "app", "up")
	reserves := filepath.Join(dir, "logs", run.ID(), "*", "reserve")
	if found, err := filepath.Glob(reserves); err != nil || len(found) != 1 {
		t.Fatalf("room for the last output: %q, %v", found, err)
	}
	free := fillDisk(t, disk, 0)
	if out, err := exec.Command("kill", "-TERM", pid).CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	eventually(t, "end of a container on a full disk", func() bool {
		found, err := filepath.Glob(reserves)
		return err == nil && len(found) == 0
	})
	free()
	if rec := wait(t, run); rec.Containers[0].ExitCode == nil || *rec.Containers[0].ExitCode != 0 {
		t.Errorf("ended with %+v", rec.Containers[0])
	}
	awaitDelivered(t, dir, run.ID())
	want := []string{"up"}
	for i := range lines {
		want = append(want, lastLine(i))
	}
	got := jsonLines(t, filepath.Join(dir, "logs", run.ID(), "app-json.log"))
	slices.Sort(want)
	slices.Sort(got) // of two streams
	once := slices.Compact(slices.Clone(got))
	t.Logf("%d lines, of which %d came again", len(got), len(got)-len(once)) // when it could not be noted that they were delivered
	if !slices.Equal(once, want) {
		t.Errorf("%d lines are delivered of %d", len(once), len(want))
	}
}

// last writes lines to both streams when it is asked to stop, and no more than pipes hold.
func last(lines string) error {
	n, err := strconv.Atoi(lines)
	if err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	fmt.Println("up")
	<-term
	for i := range n {
		fmt.Fprintln([]*os.File{os.Stdout, os.Stderr}[i%2], lastLine(i))
	}
	return nil
}

func lastLine(i int) string { return fmt.Sprintf("end %06d", i) }

// fullImages pulls an image whose layer does not fit, and one whose layer does while what it unpacks does not.
func fullImages(t *testing.T, c *local.Cluster, disk, registry string) {
	for i, leave := range []int64{10 << 10, 30 << 10} {
		def := briefDefinition()
		ref := fmt.Sprintf("%s/app:full-%d-%d", registry, i, 20<<10)
		def.ContainerDefinitions[0].Image = ref
		free := fillDisk(t, disk, leave)
		rec := wait(t, start(t, c, def, scheduler.RunOptions{}))
		if reason := rec.StoppedReason; rec.StopCode != task.StopCodeTaskFailedToStart || !strings.HasPrefix(reason, "CannotPullContainerError: ") || !strings.Contains(reason, noSpace) {
			t.Errorf("pulled onto a full disk: %s: %s", rec.StopCode, reason)
		}
		eventually(t, "room after a pull that failed", func() bool { return freeKiB(t, disk) > leave-2<<10 })
		free()
		if rec := wait(t, start(t, c, def, scheduler.RunOptions{})); rec.Containers[0].ExitCode == nil || *rec.Containers[0].ExitCode != briefCode {
			t.Errorf("when there is room again: %s: %s", rec.StopCode, rec.StoppedReason)
		}
		if err := c.RemoveImage(t.Context(), ref); err != nil {
			t.Error(err)
		}
	}
}
