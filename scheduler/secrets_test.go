package scheduler_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/secrets"
)

const (
	executionRole = "arn:aws:iam::000000000000:role/execution"
	dbSecret      = "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf"
)

// safe holds secrets by name and counts how often it is asked.
type safe struct {
	values map[string]string

	mu    sync.Mutex
	asked int
}

func (s *safe) Secret(_ context.Context, r secrets.Reference) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	value, ok := s.values[r.Name]
	if !ok {
		return "", secrets.ErrNotFound
	}
	return value, nil
}

type bucket map[string]string

func (b bucket) Object(_ context.Context, _, key string) ([]byte, error) {
	text, ok := b[key]
	if !ok {
		return nil, secrets.ErrNotFound
	}
	return []byte(text), nil
}

// withSecrets is a world whose image "env" writes its variables and stays.
func withSecrets(t *testing.T) (*world, *safe) {
	w := newWorld(t)
	s := &safe{values: map[string]string{"db-AbCdEf": `{"password": "hunter2"}`, "/app/token": "s3same", "registry": `{"username": "u", "password": "p4ss"}`}}
	w.cfg.Secrets = s
	w.cfg.EnvironmentFiles = bucket{
		"first.env": "FILE=first\nSET=file\nTOKEN=file\n", "second.env": "FILE=second\nMORE=second # not a comment\n", "bad.env": "A=\xff\n",
	}
	program := func(ctx context.Context, p *fake.Process) int {
		for _, name := range []string{"PASSWORD", "TOKEN", "SET", "FILE", "MORE"} {
			fmt.Fprintf(p.Stdout, "%s=%s\n", name, p.Getenv(name))
		}
		<-ctx.Done()
		return 0
	}
	w.drive.Images["env"] = fake.Image{Main: program, Exec: func(ctx context.Context, p *fake.Process) int {
		fmt.Fprintf(p.Stdout, "%s %s", p.Getenv("PASSWORD"), p.Getenv("SET"))
		return 0
	}}
	return w, s
}

func secretive() *task.TaskDefinition {
	def := define("app env")
	def.ExecutionRoleARN = executionRole
	app := &def.ContainerDefinitions[0]
	app.Environment = []task.KeyValuePair{{Name: "SET", Value: "definition"}}
	app.Secrets = []task.Secret{{Name: "PASSWORD", ValueFrom: dbSecret + ":password::"}, {Name: "TOKEN", ValueFrom: "/app/token"}}
	app.EnvironmentFiles = []task.EnvironmentFile{
		{Type: "s3", Value: "arn:aws:s3:::b/first.env"}, {Type: "s3", Value: "arn:aws:s3:::b/second.env"},
	}
	return def
}

func TestSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := withSecrets(t)
		c := w.open()
		run := mustRun(t, c, secretive(), scheduler.RunOptions{EnableExecuteCommand: true})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		out, err := run.Output(t.Context(), "app")
		want := "PASSWORD=hunter2\nTOKEN=s3same\nSET=definition\nFILE=first\nMORE=second # not a comment\n"
		if diff := cmp.Diff(want, string(out)); err != nil || diff != "" {
			t.Errorf("variables: %v (-want +got):\n%s", err, diff)
		}
		noSecretIn(t, w.store)

		// Another process adopts the task, and asks only when it needs a value.
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		s.values["db-AbCdEf"] = `{"password": "rotated"}`
		asked := s.asked
		c = w.open()
		defer w.end()
		adopted, err := c.Lookup(t.Context(), run.ID())
		if err != nil {
			t.Fatal(err)
		}
		if s.asked != asked {
			t.Errorf("asked %d times for secrets of a task that runs", s.asked-asked)
		}
		var shell bytes.Buffer
		code, err := adopted.Exec(t.Context(), "app", runtime.ExecSpec{Args: []string{"env"}, Stdout: &shell})
		if err != nil || code != 0 || shell.String() != "rotated definition" {
			t.Errorf("Exec: %q, %d, %v", shell.String(), code, err)
		}
		if err := adopted.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, adopted)
		noSecretIn(t, w.store)
	})
}

// noSecretIn looks through everything that is stored.
func noSecretIn(t *testing.T, s store.Store) {
	t.Helper()
	err := s.View(t.Context(), func(r store.Reader) error {
		entries, err := r.List(t.Context(), "", "", 0)
		if len(entries) == 0 {
			t.Error("the store is empty")
		}
		for _, e := range entries {
			for _, secret := range []string{"hunter2", "s3same", "rotated"} {
				if bytes.Contains(e.Value, []byte(secret)) {
					t.Errorf("%s holds %s", e.Key, secret)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// gatekeeper denies what it lists and notes what it is asked in the name of the execution role.
type gatekeeper struct {
	deny string

	mu    sync.Mutex
	asked []string
}

func (g *gatekeeper) Authorize(_ context.Context, r scheduler.Request) error {
	if r.Caller == nil || r.Caller.Principal.IssuerARN != executionRole {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.Action+" "+r.Resource)
	if r.Action == g.deny {
		return fmt.Errorf("%w: no", scheduler.ErrAccessDenied)
	}
	return nil
}

func TestSecretsOfTheExecutionRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := withSecrets(t)
		gate := &gatekeeper{}
		w.cfg.Authorizer = gate
		c := w.open()
		defer w.end()
		run := mustRun(t, c, secretive(), scheduler.RunOptions{})
		if _, err := run.WaitRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(gate.asked)
		want := []string{
			"s3:GetObject arn:aws:s3:::b/first.env", "s3:GetObject arn:aws:s3:::b/second.env",
			"secretsmanager:GetSecretValue " + dbSecret, "ssm:GetParameters arn:aws:ssm:us-east-1:000000000000:parameter/app/token",
		}
		if diff := cmp.Diff(want, gate.asked); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	})
}

func TestLogsOfTheExecutionRole(t *testing.T) {
	const group = "arn:aws:logs:eu-west-1:000000000000:log-group:/ecs/app:log-stream:"
	define := func() *task.TaskDefinition {
		def := define("app exit 0")
		def.ExecutionRoleARN = executionRole
		def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverAWSLogs, Options: map[string]string{
			"awslogs-group": "/ecs/app", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "web", "awslogs-create-group": "true",
		}}
		return def
	}
	for _, denied := range []string{"", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			gate := &gatekeeper{deny: denied}
			w.cfg.Authorizer = gate
			c := w.open()
			defer w.end()
			stopped := mustWait(t, mustRun(t, c, define(), scheduler.RunOptions{}))
			want := "Essential container in task exited"
			if denied != "" {
				want = "ResourceInitializationError: failed to validate logger args: "
			}
			if !strings.HasPrefix(stopped.StoppedReason, want) {
				t.Errorf("without %q: got %q, want %s…", denied, stopped.StoppedReason, want)
			}
			stream := group + "web/app/" + stopped.ID()
			asked := []string{"logs:CreateLogGroup " + group, "logs:CreateLogStream " + stream, "logs:PutLogEvents " + stream}
			if got := gate.asked; denied == "" && !cmp.Equal(got, asked) {
				t.Errorf("asked %q, want %q", got, asked)
			}
		})
	}
}

func TestSecretsThatCannotBeHad(t *testing.T) {
	const prefix = "ResourceInitializationError: "
	asm := prefix + "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: "
	tests := map[string]struct {
		change func(def *task.TaskDefinition, g *gatekeeper)
		want   string
	}{
		"no such secret": {func(def *task.TaskDefinition, _ *gatekeeper) {
			def.ContainerDefinitions[0].Secrets[0].ValueFrom = strings.Replace(dbSecret, "db", "other", 1)
		}, asm},
		"no such parameter": {func(def *task.TaskDefinition, _ *gatekeeper) {
			def.ContainerDefinitions[0].Secrets[1].ValueFrom = "/none"
		}, prefix + "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: "},
		"no such key": {func(def *task.TaskDefinition, _ *gatekeeper) {
			def.ContainerDefinitions[0].Secrets[0].ValueFrom = dbSecret + ":user::"
		}, asm + "retrieved secret from Secrets Manager did not contain json key user"},
		"denied": {func(_ *task.TaskDefinition, g *gatekeeper) { g.deny = "secretsmanager:GetSecretValue" }, asm},
		"no such file": {func(def *task.TaskDefinition, _ *gatekeeper) {
			def.ContainerDefinitions[0].EnvironmentFiles[1].Value = "arn:aws:s3:::b/none.env"
		}, prefix + "failed to download env files: arn:aws:s3:::b/none.env: "},
		"broken file": {func(def *task.TaskDefinition, _ *gatekeeper) {
			def.ContainerDefinitions[0].EnvironmentFiles[1].Value = "arn:aws:s3:::b/bad.env"
		}, prefix + "failed to download env files: arn:aws:s3:::b/bad.env: line 1"},
		"registry": {func(def *task.TaskDefinition, _ *gatekeeper) {
			def.ContainerDefinitions[0].RepositoryCredentials = &task.RepositoryCredentials{CredentialsParameter: "none"}
		}, prefix + "unable to pull secrets or registry auth: execution resource retrieval failed: unable to get registry auth from asm: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := withSecrets(t)
				gate := &gatekeeper{}
				w.cfg.Authorizer = gate
				c := w.open()
				defer w.end()
				def := secretive()
				tt.change(def, gate)
				stopped := mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
				if stopped.StopCode != task.StopCodeTaskFailedToStart || !strings.HasPrefix(stopped.StoppedReason, tt.want) {
					t.Errorf("%s: %s\nwant %s…", stopped.StopCode, stopped.StoppedReason, tt.want)
				}
				if stopped.Containers[0].Reason != stopped.StoppedReason {
					t.Errorf("reason of the container: %s", stopped.Containers[0].Reason)
				}
			})
		})
	}
}

func TestRegistryCredentialsFromSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := withSecrets(t)
		c := w.open()
		defer w.end()
		def := define("app exit 0")
		def.ExecutionRoleARN = executionRole
		def.ContainerDefinitions[0].RepositoryCredentials = &task.RepositoryCredentials{CredentialsParameter: "registry"}
		stopped := mustWait(t, mustRun(t, c, def, scheduler.RunOptions{}))
		if stopped.StopCode != task.StopCodeEssentialContainerExited || s.asked != 1 {
			t.Errorf("%s, asked %d times", stopped.StoppedReason, s.asked)
		}
	})
}
