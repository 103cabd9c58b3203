package engine

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fardel-io/fardel/task"
)

// needs returns a definition of containers that depend on "dep" under a condition, beside dep itself.
func needs(condition task.DependencyCondition, startTimeout int) *task.TaskDefinition {
	return &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "app", DependsOn: []task.ContainerDependency{{ContainerName: "dep", Condition: condition}}},
		{Name: "dep", StartTimeout: startTimeout},
	}}
}

func code(n int) *int { return &n }

func TestPlanStart(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	pending := seen{status: task.ContainerPending}
	running := seen{status: task.ContainerRunning, startedAt: ago(time.Minute)}
	ended := func(n int) seen {
		return seen{status: task.ContainerStopped, exitCode: code(n), startedAt: ago(time.Minute)}
	}
	neverStarted := seen{status: task.ContainerStopped, exitCode: code(exitCodeNeverStarted)}
	healthy := func(h task.HealthStatus) seen {
		return seen{status: task.ContainerRunning, health: h, startedAt: ago(time.Minute)}
	}
	vanished := seen{status: task.ContainerStopped, startedAt: ago(time.Minute)}
	start := next{start: []string{"app"}}
	wait := next{waiting: []string{"app"}}
	doom := func(why string) next { return next{doomed: map[string]string{"app": why}} }

	tests := map[string]struct {
		condition task.DependencyCondition
		timeout   int
		dep       seen
		want      next
	}{
		"start, not started":         {task.ConditionStart, 0, pending, next{start: []string{"dep"}, waiting: []string{"app"}}},
		"start, running":             {task.ConditionStart, 0, running, start},
		"start, ran and failed":      {task.ConditionStart, 0, ended(1), start},
		"start, never will":          {task.ConditionStart, 0, neverStarted, doom("container dep will never start")},
		"start has no time-out":      {task.ConditionStart, 5, pending, next{start: []string{"dep"}, waiting: []string{"app"}}},
		"complete, running":          {task.ConditionComplete, 0, running, wait},
		"complete, failed":           {task.ConditionComplete, 0, ended(3), start},
		"complete, never will":       {task.ConditionComplete, 0, neverStarted, doom("container dep will never start")},
		"complete, end unknown":      {task.ConditionComplete, 0, vanished, doom("how container dep ended is not known")},
		"complete, in time":          {task.ConditionComplete, 90, running, next{waiting: []string{"app"}, deadline: now.Add(30 * time.Second)}},
		"complete, too late":         {task.ConditionComplete, 60, running, doom("timed out waiting for container dep to reach COMPLETE")},
		"start, late but running":    {task.ConditionStart, 10, running, start},
		"complete, no time-out":      {task.ConditionComplete, -1, running, wait},
		"complete, late but ended":   {task.ConditionComplete, 10, ended(0), start},
		"success, running":           {task.ConditionSuccess, 0, running, wait},
		"success, not started":       {task.ConditionSuccess, 1, pending, next{start: []string{"dep"}, waiting: []string{"app"}}},
		"success, never will":        {task.ConditionSuccess, 0, neverStarted, doom("container dep will never start")},
		"success, in time":           {task.ConditionSuccess, 61, running, next{waiting: []string{"app"}, deadline: now.Add(time.Second)}},
		"success, too late":          {task.ConditionSuccess, 60, running, doom("timed out waiting for container dep to reach SUCCESS")},
		"success, late but exit 0":   {task.ConditionSuccess, 10, ended(0), start},
		"success, late and exit 2":   {task.ConditionSuccess, 10, ended(2), doom("container dep did not exit successfully")},
		"success, exit 0":            {task.ConditionSuccess, 0, ended(0), start},
		"success, exit 1":            {task.ConditionSuccess, 0, ended(1), doom("container dep did not exit successfully")},
		"success, end unknown":       {task.ConditionSuccess, 0, vanished, doom("container dep did not exit successfully")},
		"healthy, not started":       {task.ConditionHealthy, 0, pending, next{start: []string{"dep"}, waiting: []string{"app"}}},
		"healthy, never will":        {task.ConditionHealthy, 0, neverStarted, doom("container dep will never start")},
		"healthy, in time":           {task.ConditionHealthy, 61, healthy(task.HealthUnhealthy), next{waiting: []string{"app"}, deadline: now.Add(time.Second)}},
		"healthy, late but healthy":  {task.ConditionHealthy, 10, healthy(task.HealthHealthy), start},
		"healthy, unknown":           {task.ConditionHealthy, 0, healthy(task.HealthUnknown), wait},
		"healthy, unhealthy so far":  {task.ConditionHealthy, 0, healthy(task.HealthUnhealthy), wait},
		"healthy, healthy":           {task.ConditionHealthy, 0, healthy(task.HealthHealthy), start},
		"healthy, ended":             {task.ConditionHealthy, 0, ended(0), doom("container dep ended before it was healthy")},
		"healthy, too late":          {task.ConditionHealthy, 2, healthy(task.HealthUnknown), doom("timed out waiting for container dep to reach HEALTHY")},
		"unknown condition, refused": {"READY", 0, running, doom(`condition "READY" of container dep is unknown`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := planStart(needs(tt.condition, tt.timeout), map[string]seen{"app": pending, "dep": tt.dep}, now)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(next{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("planStart (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanStartInParallel(t *testing.T) {
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	got := planStart(def, map[string]seen{
		"a": {status: task.ContainerPending}, "b": {status: task.ContainerRunning}, "c": {status: task.ContainerPending},
	}, time.Now())
	if diff := cmp.Diff([]string{"a", "c"}, got.start); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	if got.done() {
		t.Error("done with containers to start")
	}
}

func TestDependents(t *testing.T) {
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "app", DependsOn: []task.ContainerDependency{{ContainerName: "db"}, {ContainerName: "proxy"}}},
		{Name: "proxy", DependsOn: []task.ContainerDependency{{ContainerName: "db"}}},
		{Name: "db"},
	}}
	want := map[string][]string{"db": {"app", "proxy"}, "proxy": {"app"}}
	if diff := cmp.Diff(want, dependents(def)); diff != "" {
		t.Errorf("dependents (-want +got):\n%s", diff)
	}
}

func TestRuntimeID(t *testing.T) {
	id := "0123456789abcdef0123456789abcdef"
	seen := map[string]bool{}
	for i := range 10 {
		got := RuntimeID(id, i)
		if len(got) != len(id)+11 || seen[got] {
			t.Errorf("RuntimeID(%d) = %s, want a new one of the task ID, - and 10 digits", i, got)
		}
		seen[got] = true
	}
}

// TestResolvable has the shapes of the ECS agent's tests of valid dependencies.
func TestResolvable(t *testing.T) {
	// graph has a container for each word, "name:dependency:dependency".
	graph := func(words ...string) *task.TaskDefinition {
		def := &task.TaskDefinition{}
		for _, word := range words {
			names := strings.Split(word, ":")
			c := task.ContainerDefinition{Name: names[0]}
			for _, on := range names[1:] {
				c.DependsOn = append(c.DependsOn, task.ContainerDependency{ContainerName: on, Condition: task.ConditionStart})
			}
			def.ContainerDefinitions = append(def.ContainerDefinitions, c)
		}
		return def
	}
	for _, tt := range []struct {
		def  *task.TaskDefinition
		want bool
	}{
		{graph(), true},
		{graph("app"), true},
		{graph("app:db", "db"), true},
		{graph("db", "app:db"), true},
		{graph("php:db:dbdatavolume", "webdata", "dbdata", "db:dbdatavolume", "dbdatavolume:dbdata", "htmldata:php"), true},
		{graph("a:b", "b:a"), false},
		{graph("a:a"), false},
		{graph("a", "b:c", "c:d", "d:b"), false},
		{graph("app:nobody"), false},
	} {
		if got := resolvable(tt.def); got != tt.want {
			t.Errorf("%+v: %t, want %t", tt.def.ContainerDefinitions, got, tt.want)
		}
	}
}

// TestPlanStartOfSeveral has a container with several dependencies, of which the first that can never be met says why, and
// the earliest deadline counts.
func TestPlanStartOfSeveral(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "app", DependsOn: []task.ContainerDependency{
			{ContainerName: "slow", Condition: task.ConditionComplete}, {ContainerName: "quick", Condition: task.ConditionHealthy},
			{ContainerName: "up", Condition: task.ConditionStart},
		}},
		{Name: "slow", StartTimeout: 100}, {Name: "quick", StartTimeout: 50}, {Name: "up"},
		{Name: "last", DependsOn: []task.ContainerDependency{{ContainerName: "app", Condition: task.ConditionStart}}},
	}}
	running := seen{status: task.ContainerRunning, startedAt: now}
	obs := map[string]seen{"app": {status: task.ContainerPending}, "slow": running, "quick": running, "up": running, "last": {status: task.ContainerPending}}
	got := planStart(def, obs, now.Add(10*time.Second))
	want := next{waiting: []string{"app", "last"}, deadline: now.Add(50 * time.Second)}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(next{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("in time (-want +got):\n%s", diff)
	}
	got = planStart(def, obs, now.Add(50*time.Second))
	want = next{waiting: []string{"last"}, doomed: map[string]string{"app": "timed out waiting for container quick to reach HEALTHY"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(next{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("too late (-want +got):\n%s", diff)
	}
	obs["app"] = seen{status: task.ContainerStopped, exitCode: code(exitCodeNeverStarted)}
	got = planStart(def, obs, now.Add(50*time.Second))
	want = next{doomed: map[string]string{"last": "container app will never start"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(next{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
}

func TestTaskDependencyError(t *testing.T) {
	def := &task.TaskDefinition{ContainerDefinitions: []task.ContainerDefinition{
		{Name: "a", DependsOn: []task.ContainerDependency{{ContainerName: "b", Condition: task.ConditionStart}}},
		{Name: "b", DependsOn: []task.ContainerDependency{{ContainerName: "a", Condition: task.ConditionStart}}},
	}}
	w := newWorker(&Engine{log: slog.New(slog.DiscardHandler)}, Assignment{Definition: def, Task: &task.Task{
		TaskARN: "arn:aws:ecs:us-east-1:1:task/c/7", Containers: []task.Container{{Name: "a"}, {Name: "b"}},
	}})
	w.fail(w.provision(t.Context()))
	const want = "TaskDependencyError: Task dependencies cannot be resolved, taskArn: arn:aws:ecs:us-east-1:1:task/c/7"
	if w.rec.StoppedReason != want || w.rec.StopCode != task.StopCodeTaskFailedToStart || w.rec.DesiredStatus != task.Stopped {
		t.Errorf("%s: %s, want %s", w.rec.StopCode, w.rec.StoppedReason, want)
	}
}
