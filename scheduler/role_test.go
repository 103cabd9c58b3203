package scheduler_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/policy/sts"
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
		w.cfg.TaskCaller = func(roleARN, taskARN string) (policy.Caller, error) {
			asked = append(asked, roleARN)
			of[taskARN] = true
			if roleARN == "arn:aws:iam::000000000000:role/no" {
				return policy.Caller{}, refused
			}
			return policy.Caller{}, nil
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

// TestSessionOfTheExecutionRole: what a task's containers are given is had in the session that the task has of its
// execution role, by that role's policies and no others.
func TestSessionOfTheExecutionRole(t *testing.T) {
	const (
		tasks  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`
		people = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}`
		read   = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","ssm:GetParameters","s3:GetObject"],
			"Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}}}`
	)
	const refused = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: "
	for name, tt := range map[string]struct {
		trust, tag string
		execution  string // policy
		want       string // TASK stands for the task's ID
	}{
		"allowed": {tasks, "a", read, ""},
		"another tag": {tasks, "b", read, refused + "AccessDeniedException: User: arn:aws:sts::000000000000:assumed-role/execution/TASK is not authorized to perform: " +
			"secretsmanager:GetSecretValue on resource: " + dbSecret + " because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"not for tasks": {people, "a", read, refused + "scheduler: role cannot be assumed: ECS was unable to assume the role '" + executionRole + "' that was provided for this task."},
		"the task role alone": {tasks, "a", strings.Replace(read, "Allow", "Deny", 1), refused +
			"AccessDeniedException: User: arn:aws:sts::000000000000:assumed-role/execution/TASK is not authorized to perform: secretsmanager:GetSecretValue on resource: " +
			dbSecret + " with an explicit deny in an identity-based policy"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := withSecrets(t)
				roles, err := sts.Open(sts.Config{})
				if err != nil {
					t.Fatal(err)
				}
				for _, in := range []sts.RoleInput{
					{Name: "app", TrustPolicy: tasks, Inline: map[string]string{"read": read}, Tags: []sts.Tag{{Key: "team", Value: "a"}}},
					{Name: "execution", TrustPolicy: tt.trust, Inline: map[string]string{"p": tt.execution}, Tags: []sts.Tag{{Key: "team", Value: tt.tag}}},
				} {
					if _, err := roles.CreateRole(in); err != nil {
						t.Fatal(err)
					}
				}
				if w.cfg.Authorizer, err = authz.New(authz.Config{Directory: roles.Directory()}); err != nil {
					t.Fatal(err)
				}
				w.cfg.TaskCaller = roles.TaskCaller
				c := w.open()
				defer w.end()
				def := secretive()
				def.TaskRoleARN = "app"
				run := mustRun(t, c, def, scheduler.RunOptions{})
				if tt.want == "" {
					if _, err := run.WaitRunning(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := run.Stop(t.Context(), ""); err != nil {
						t.Fatal(err)
					}
					mustWait(t, run)
					return
				}
				want := strings.Replace(tt.want, "TASK", run.ID(), 1)
				if stopped := mustWait(t, run); !strings.HasPrefix(stopped.StoppedReason, want) {
					t.Errorf("got %s\nwant %s", stopped.StoppedReason, want)
				}
			})
		})
	}
}
