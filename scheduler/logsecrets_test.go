package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime/fake"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// groups is a log sink in memory, by group. It can be told to fail a few times, with the group in its errors.
type groups struct {
	mu   sync.Mutex // guards what follows
	by   map[string]string
	fail int
}

func (l *groups) CreateStream(_ context.Context, s logs.Stream, _ bool) error { return nil }

func (l *groups) PutEvents(_ context.Context, s logs.Stream, events []logs.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail > 0 {
		l.fail--
		return fmt.Errorf("no room in %s", s.Group)
	}
	for _, e := range events {
		l.by[s.Group] += e.Message
	}
	return nil
}

// text is a log of the host program.
type text struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// TestSecretLogOptions has a container log to a group whose name is a secret, to a sink that fails at first, through a
// restart of the host program.
func TestSecretLogOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := withSecrets(t)
		s.values["group"] = "hunter2"
		sink, log := &groups{by: map[string]string{}, fail: 2}, &text{}
		w.cfg.LogSink, w.cfg.Logger = sink, slog.New(slog.NewTextHandler(log, nil))
		gate := &gatekeeper{}
		w.cfg.Authorizer = gate
		w.drive.Images["talk"] = fake.Image{Main: func(ctx context.Context, p *fake.Process) int {
			fmt.Fprintln(p.Stdout, "early")
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
			fmt.Fprintln(p.Stdout, "late")
			return 0
		}}
		def := define("app talk")
		def.ExecutionRoleARN = executionRole
		def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{
			LogDriver:     task.LogDriverAWSLogs,
			Options:       map[string]string{"awslogs-region": "eu-west-1", "awslogs-stream-prefix": "web"},
			SecretOptions: []task.Secret{{Name: "awslogs-group", ValueFrom: "arn:aws:secretsmanager:us-east-1:000000000000:secret:group"}},
		}
		c := w.open()
		run := mustRun(t, c, def, scheduler.RunOptions{})
		<-time.After(30 * time.Second)
		_ = c.Close()
		c = w.open()
		defer w.end()
		stopped := mustWait(t, lookup(t, c, run))
		synctest.Wait()
		if diff := cmp.Diff(map[string]string{"hunter2": "earlylate"}, sink.by); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		if !slices.ContainsFunc(gate.asked, func(s string) bool {
			return strings.HasPrefix(s, "logs:PutLogEvents ") && strings.Contains(s, ":log-group:hunter2:")
		}) {
			t.Errorf("asked %q, want the secret group", gate.asked)
		}
		if got := log.String(); strings.Contains(got, "hunter2") || !strings.Contains(got, "no room in [secret]") {
			t.Errorf("log of the host program:\n%s", got)
		}
		if strings.Contains(fmt.Sprintf("%+v", stopped), "hunter2") {
			t.Errorf("%+v", stopped)
		}
		noSecretIn(t, w.store)
	})
}

func TestSecretLogOptionsThatCannotBeHad(t *testing.T) {
	tests := map[string]struct {
		value string // of the secret; "" is none
		deny  string
		want  string
	}{
		"none":   {"", "", "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: "},
		"denied": {"5", "ssm:GetParameters", "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: "},
		"not a value": {"hunter2", "",
			"ResourceInitializationError: failed to validate logger args: the value of the secret option max-file is not one that the log driver json-file takes"},
	}
	for name, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			w, s := withSecrets(t)
			w.cfg.Authorizer = &gatekeeper{deny: tt.deny}
			if tt.value != "" {
				s.values["/files"] = tt.value
			}
			c := w.open()
			defer w.end()
			def := define("app exit 0")
			def.NetworkMode, def.RequiresCompatibilities = task.NetworkModeAWSVPC, nil
			def.ExecutionRoleARN = executionRole
			def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{
				LogDriver: task.LogDriverJSONFile, SecretOptions: []task.Secret{{Name: "max-file", ValueFrom: "/files"}},
			}
			stopped := mustWait(t, mustRun(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2}))
			if stopped.StopCode != task.StopCodeTaskFailedToStart || !strings.HasPrefix(stopped.StoppedReason, tt.want) {
				t.Errorf("%s: %s: %s\nwant %s…", name, stopped.StopCode, stopped.StoppedReason, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%+v", stopped), "hunter2") {
				t.Errorf("%s: the secret is in %+v", name, stopped)
			}
			noSecretIn(t, w.store)
		})
	}
}

// TestSecretLogOptionsAreRefused has options that the runtime needs before there are secrets, and a cluster without any.
func TestSecretLogOptionsAreRefused(t *testing.T) {
	w := newWorld(t)
	c := w.open()
	defer w.end()
	def := define("app exit 0", "router serve")
	def.RequiresCompatibilities, def.ExecutionRoleARN = nil, executionRole
	def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{
		LogDriver: task.LogDriverAWSFirelens, SecretOptions: []task.Secret{{Name: "apikey", ValueFrom: "/k"}, {Name: "mode", ValueFrom: "/m"}},
	}
	def.ContainerDefinitions[1].FirelensConfiguration = &task.FirelensConfiguration{Type: task.FirelensFluentBit,
		Options: map[string]string{"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/extra.conf"}}
	_, err := c.Run(t.Context(), def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	var refused *scheduler.UnsupportedError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	var got []string
	for _, p := range refused.Problems {
		got = append(got, p.Path)
	}
	want := []string{
		"containerDefinitions[0].logConfiguration.secretOptions[1]", "containerDefinitions[0].logConfiguration.secretOptions",
		"containerDefinitions[1].firelensConfiguration.options.config-file-type",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

// TestSecretsOfALogRouter checks that the router's environment has the secret options of those who log through it, under
// the names that its configuration uses, and nobody else's.
func TestSecretsOfALogRouter(t *testing.T) {
	for _, denied := range []string{"", "s3:GetObject"} {
		synctest.Test(t, func(t *testing.T) {
			w, _ := withSecrets(t)
			gate := &gatekeeper{deny: denied}
			w.cfg.Authorizer = gate
			w.cfg.EnvironmentFiles = bucket{"extra.conf": "[FILTER]\n"}
			print := func(ctx context.Context, p *fake.Process) int {
				fmt.Fprintf(p.Stdout, "%q %q\n", p.Getenv("apikey_1"), p.Getenv("apikey"))
				<-ctx.Done()
				return 0
			}
			w.drive.Images["print"] = fake.Image{Main: print}
			c := w.open()
			defer w.end()
			def := define("router print", "app print")
			def.RequiresCompatibilities, def.ExecutionRoleARN = nil, executionRole
			def.ContainerDefinitions[0].FirelensConfiguration = &task.FirelensConfiguration{Type: task.FirelensFluentBit,
				Options: map[string]string{"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/extra.conf"}}
			def.ContainerDefinitions[1].LogConfiguration = &task.LogConfiguration{
				LogDriver: task.LogDriverAWSFirelens, Options: map[string]string{"Name": "http"},
				SecretOptions: []task.Secret{{Name: "apikey", ValueFrom: "/app/token"}},
			}
			run := mustRun(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
			if denied != "" {
				want := "ResourceInitializationError: unable to download firelens s3 config file: arn:aws:s3:::b/extra.conf: "
				if stopped := mustWait(t, run); !strings.HasPrefix(stopped.StoppedReason, want) {
					t.Errorf("%s, want %s…", stopped.StoppedReason, want)
				}
				return
			}
			if _, err := run.WaitRunning(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for name, want := range map[string]string{"router": `"s3same" ""` + "\n", "app": `"" ""` + "\n"} {
				if out, err := run.Output(t.Context(), name); err != nil || string(out) != want {
					t.Errorf("variables of %s: %q, %v, want %q", name, out, err, want)
				}
			}
			noSecretIn(t, w.store)
			if err := run.Stop(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			mustWait(t, run)
		})
	}
}
