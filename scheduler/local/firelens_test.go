//go:build linux

package local_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/runtime/logs/logstest"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// router is a log router: it prints its configuration, and what arrives.
func router() error {
	config, err := os.ReadFile("/fluent-bit/etc/fluent-bit.conf")
	if err != nil {
		return err
	}
	fmt.Printf("%s\nrouting\n", config)
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
