package scheduler_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// TestTaskRoleIsChecked: the role that a task would have, by its ARN, is asked about before anything is made.
func TestTaskRoleIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		refused := errors.New("ECS was unable to assume the role")
		var asked []string
		var of map[string]bool
		w.cfg.CheckTaskRole = func(roleARN, taskARN string) error {
			asked = append(asked, roleARN)
			of[taskARN] = true
			if roleARN == "arn:aws:iam::000000000000:role/no" {
				return refused
			}
			return nil
		}
		c := w.open()
		defer w.end()
		for _, tt := range []struct {
			name       string
			definition string
			override   string
			asked      []string
			want       error
		}{
			{"none", "", "", nil, nil},
			{"name", "yes", "", []string{"arn:aws:iam::000000000000:role/yes"}, nil},
			{"ARN", "arn:aws:iam::000000000000:role/x/yes", "", []string{"arn:aws:iam::000000000000:role/x/yes"}, nil},
			{"refused", "no", "", []string{"arn:aws:iam::000000000000:role/no"}, refused},
			{"overridden", "no", "yes", []string{"arn:aws:iam::000000000000:role/yes"}, nil},
			{"override refused", "yes", "no", []string{"arn:aws:iam::000000000000:role/no"}, refused},
		} {
			asked, of = nil, map[string]bool{}
			def := define("app exit 0")
			def.Family, def.TaskRoleARN, def.ExecutionRoleARN = "f", tt.definition, "no"
			var o scheduler.RunOptions
			if tt.override != "" {
				o.Overrides = &task.TaskOverride{TaskRoleARN: tt.override}
			}
			run, err := c.Run(t.Context(), def, o)
			if !errors.Is(err, tt.want) || (err != nil) != errors.Is(err, scheduler.ErrRole) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
			if diff := cmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("%s: asked about\n%s", tt.name, diff)
			}
			if run == nil {
				continue
			}
			if len(of) > 0 && !of[run.ARN()] {
				t.Errorf("%s: asked for %v, and the task is %s", tt.name, of, run.ARN())
			}
			if _, err := run.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if tasks, err := c.List(t.Context(), scheduler.ListOptions{DesiredStatus: task.Stopped}); err != nil || len(tasks) != 4 {
			t.Errorf("%d tasks, %v, want 4", len(tasks), err)
		}
	})
}
