//go:build linux

package local_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/runtime/logs/logstest"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/secrets"
)

// router is a log router: it prints its configuration, and what arrives.
func router() error {
	config, err := os.ReadFile("/fluent-bit/etc/fluent-bit.conf")
	if err != nil {
		return err
	}
	fmt.Printf("%s\napikey: %s\n", config, os.Getenv("apikey_0"))
	if external, err := os.ReadFile("/fluent-bit/etc/external.conf"); err == nil {
		fmt.Printf("external: %s\n", external)
	}
	fmt.Println("routing")
	l, err := net.Listen("unix", "/var/run/fluent.sock")
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			err := logstest.Serve(conn, func(r logstest.Record) error {
				fmt.Printf("%s %s %s\n", r.Tag, r.Fields["source"], r.Fields["log"])
				return nil
			})
			if err != nil {
				fmt.Println("error:", err)
			}
		}()
	}
}

// TestFirelens has a container whose every line must have reached the log router when the task has stopped: the router
// starts before it and ends after it.
func TestFirelens(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "out one", "err two", "env FLUENT_HOST", "env FLUENT_PORT", "flood 200000", "out last"}, []string{"log_router", "router"})
	def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{LogDriver: task.LogDriverAWSFirelens, Options: map[string]string{
		"Name": "http", "Host": "example.com", "mode": logs.ModeBlocking, "log-driver-buffer-limit": "2097152",
	}}
	def.ContainerDefinitions[1].FirelensConfiguration = &task.FirelensConfiguration{Type: task.FirelensFluentBit}
	run := start(t, c, def, scheduler.RunOptions{})
	wait(t, run)
	got := output(t, run, "log_router")
	tag := "app-firelens-" + run.ID()
	for _, want := range []string{
		"Name http\n    Match app-firelens*\n    Host example.com\n", "Record ecs_task_arn " + run.ARN() + "\n",
		tag + " stdout one\n", tag + " stderr two\n", tag + " stdout FLUENT_HOST=127.0.0.1\n", tag + " stdout FLUENT_PORT=24224\n",
		tag + " stdout last\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("router has not printed %q", want)
		}
	}
	if n := strings.Count(got, tag); n != 5+200000/64 {
		t.Errorf("%d records arrived, want %d", n, 5+200000/64)
	}
	if strings.Contains(got, "mode") || strings.Contains(got, "error:") {
		t.Errorf("router printed %.2000q", got)
	}
}

// TestFirelensSecretOptions has a router whose configuration names a variable with a secret, and includes an object of S3.
func TestFirelensSecretOptions(t *testing.T) {
	kept, dir := t.TempDir(), ""
	key := rand.Text()
	for name, content := range map[string]string{"ssm/key": key, "bucket/extra.conf": "[FILTER]"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(kept, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(kept, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, func(cfg *local.Config) {
		cfg.Secrets, cfg.EnvironmentFiles = secrets.Directory{Dir: kept}, secrets.Buckets{Dir: kept}
		dir = cfg.Dir
	})
	def := define([]string{"app", "out one", "env apikey_0", "hang"}, []string{"log_router", "router"})
	def.RequiresCompatibilities, def.ExecutionRoleARN = nil, "arn:aws:iam::000000000000:role/execution"
	def.ContainerDefinitions[0].LogConfiguration = &task.LogConfiguration{
		LogDriver: task.LogDriverAWSFirelens, Options: map[string]string{"Name": "http"},
		SecretOptions: []task.Secret{{Name: "apikey", ValueFrom: "/key"}},
	}
	def.ContainerDefinitions[1].FirelensConfiguration = &task.FirelensConfiguration{Type: task.FirelensFluentBit,
		Options: map[string]string{"config-file-type": "s3", "config-file-value": "arn:aws:s3:::bucket/extra.conf"}}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	awaitOutput(t, run, "log_router", "stdout one")
	got := output(t, run, "log_router")
	for _, want := range []string{"apikey ${apikey_0}\n", "apikey: " + key + "\n", "@INCLUDE /fluent-bit/etc/external.conf\n", "external: [FILTER]\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("router has not printed %q:\n%s", want, got)
		}
	}
	if app := output(t, run, "app"); strings.Contains(app, key) {
		t.Errorf("the sender knows the router's secret: %q", app)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(path, filepath.Join(dir, "logs")) {
			return nil // removed meanwhile, or what the router printed
		}
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(key)) {
			t.Errorf("the secret is in %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}
