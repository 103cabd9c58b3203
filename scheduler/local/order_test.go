//go:build linux

package local_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
)

// TestHealthyFirst has a container wait for another's health check, whose first run comes an interval after its start.
func TestHealthyFirst(t *testing.T) {
	c := open(t)
	def := define([]string{"db", "catch TERM 0", "hang"}, []string{"app", "exit 0"})
	const interval = 5
	def.ContainerDefinitions[0].HealthCheck = &task.HealthCheck{Command: []string{"CMD", guestPath(t), "exit 0"}, Interval: interval, Timeout: 30}
	def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "db", Condition: task.ConditionHealthy}}
	stopped := wait(t, start(t, c, def, scheduler.RunOptions{}))
	db, app := stopped.Container("db"), stopped.Container("app")
	if waited := app.StartedAt.Sub(db.StartedAt); waited < (interval-1)*time.Second || app.ExitCode == nil || *app.ExitCode != 0 {
		t.Errorf("app started %s after db and ended with %+v", waited, app)
	}
	if db.ExitCode == nil || *db.ExitCode != 0 {
		t.Errorf("db ended with %+v", db)
	}
}

// TestNeverHealthy has a container wait for one whose check fails, for as long as that one has to start: it is never
// started.
func TestNeverHealthy(t *testing.T) {
	c := open(t)
	def := define([]string{"db", "catch TERM 0", "hang"}, []string{"app", "exit 0"})
	db := &def.ContainerDefinitions[0]
	db.HealthCheck = &task.HealthCheck{Command: []string{"CMD", guestPath(t), "exit 1"}, Interval: 5, Timeout: 30, Retries: 1}
	db.StartTimeout = 8
	def.ContainerDefinitions[1].DependsOn = []task.ContainerDependency{{ContainerName: "db", Condition: task.ConditionHealthy}}
	stopped := wait(t, start(t, c, def, scheduler.RunOptions{}))
	if app := stopped.Container("app"); !app.StartedAt.IsZero() {
		t.Errorf("app was started: %+v", app)
	}
	if stopped.StopCode != task.StopCodeTaskFailedToStart || !strings.Contains(stopped.StoppedReason, "timed out waiting for container db to reach HEALTHY") {
		t.Errorf("stopped with %s: %s", stopped.StopCode, stopped.StoppedReason)
	}
}

// TestProxyIsRefused has a definition that is valid and asks for what is not done here.
func TestProxyIsRefused(t *testing.T) {
	c := open(t)
	def := define([]string{"app", "exit 0"}, []string{"envoy", "exit 0"})
	def.ProxyConfiguration = &task.ProxyConfiguration{Type: "APPMESH", ContainerName: "envoy", Properties: []task.KeyValuePair{
		{Name: "IgnoredUID", Value: "1337"}, {Name: "ProxyIngressPort", Value: "15000"}, {Name: "ProxyEgressPort", Value: "15001"},
		{Name: "AppPorts", Value: "8080"}, {Name: "EgressIgnoredIPs", Value: "169.254.170.2,169.254.169.254"},
	}}
	run, err := c.Run(t.Context(), def, scheduler.RunOptions{})
	if _, ok := errors.AsType[*scheduler.UnsupportedError](err); !ok || !strings.Contains(err.Error(), "proxyConfiguration: ") {
		t.Errorf("Run: %v, %v", run, err)
	}
}
