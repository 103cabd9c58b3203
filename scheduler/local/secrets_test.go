//go:build linux

package local_test

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/secrets"
)

// TestSecretsOfATask gives a container what files hold, and looks for it in everything that the cluster keeps.
func TestSecretsOfATask(t *testing.T) {
	kept, dir := t.TempDir(), ""
	password, token := rand.Text(), rand.Text() // the guest is this program, with all of its constants
	for name, content := range map[string]string{
		"secretsmanager/db": `{"password": "` + password + `"}`, "ssm/app/token": token + "\n", "bucket/app.env": "FROM_FILE=a b\nSET=file\n",
	} {
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
	def := define([]string{"app", "env FROM_FILE", "env SET", "out up", "catch TERM 0", "hang"})
	def.ExecutionRoleARN = "arn:aws:iam::000000000000:role/execution"
	app := &def.ContainerDefinitions[0]
	app.Environment = []task.KeyValuePair{{Name: "SET", Value: "definition"}}
	app.Secrets = []task.Secret{
		{Name: "PASSWORD", ValueFrom: "arn:aws:secretsmanager:us-east-1:000000000000:secret:db-AbCdEf:password::"},
		{Name: "TOKEN", ValueFrom: "/app/token"},
	}
	app.EnvironmentFiles = []task.EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::bucket/app.env"}}
	run := start(t, c, def, scheduler.RunOptions{})
	awaitOutput(t, run, "app", "up")
	if got := output(t, run, "app"); got != "FROM_FILE=a b\nSET=definition\nup\n" {
		t.Errorf("variables %q", got)
	}
	processes := 0
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range environs {
		env, err := os.ReadFile(name)
		if err == nil && bytes.Contains(env, []byte("PASSWORD="+password+"\x00")) && bytes.Contains(env, []byte("TOKEN="+token+"\x00")) {
			processes++
		}
	}
	if processes != 1 {
		t.Errorf("%d processes have the secrets, want one", processes)
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // removed meanwhile
		}
		data, err := os.ReadFile(path)
		if err == nil && (bytes.Contains(data, []byte(password)) || bytes.Contains(data, []byte(token))) {
			t.Errorf("a secret is in %s", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Stop(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wait(t, run)
}
