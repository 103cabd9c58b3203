package task

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shares returns the path of the first memory that a and b have in common.
func shares(a, b reflect.Value, path string) string {
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if a.IsNil() || b.IsNil() || a.Kind() == reflect.Slice && a.Cap() == 0 {
			return ""
		}
		if a.Pointer() == b.Pointer() {
			return path
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		return shares(a.Elem(), b.Elem(), path)
	case reflect.Map:
		for k, v := range a.Seq2() {
			if p := shares(v, b.MapIndex(k), path+"["+k.String()+"]"); p != "" {
				return p
			}
		}
	case reflect.Slice:
		for i := range a.Len() {
			if p := shares(a.Index(i), b.Index(i), path+"[]"); p != "" {
				return p
			}
		}
	case reflect.Struct:
		if a.Type() == timeType {
			return ""
		}
		for i := range a.NumField() {
			if p := shares(a.Field(i), b.Field(i), path+"."+a.Type().Field(i).Name); p != "" {
				return p
			}
		}
	}
	return ""
}

func TestClone(t *testing.T) {
	n := 0
	check := func(v, clone any) {
		t.Helper()
		if diff := cmp.Diff(v, clone); diff != "" {
			t.Errorf("%T (-want +got):\n%s", v, diff)
		}
		if path := shares(reflect.ValueOf(v), reflect.ValueOf(clone), ""); path != "" {
			t.Errorf("%T: the copy shares %s", v, path)
		}
	}
	var rec Task
	fill(reflect.ValueOf(&rec).Elem(), &n)
	check(&rec, rec.Clone())
	var d TaskDefinition
	fill(reflect.ValueOf(&d).Elem(), &n)
	check(&d, d.Clone())
	var o TaskOverride
	fill(reflect.ValueOf(&o).Elem(), &n)
	check(o, o.Clone())
	check(&Task{}, new(Task).Clone())
	check(&TaskDefinition{}, new(TaskDefinition).Clone())
}

func TestRecordJSON(t *testing.T) {
	n := 0
	var rec Task
	fill(reflect.ValueOf(&rec).Elem(), &n)
	var back Task
	if err := json.Unmarshal([]byte(encoded(t, rec)), &back); err != nil {
		t.Fatal(err)
	}
	// Extra of details, tags and attributes is for what people write; records
	// have none.
	if diff := cmp.Diff(rec, back, cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().Type() == extraType && !strings.Contains(p.GoString(), ".Overrides")
	}, cmp.Ignore())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	small := Task{
		TaskARN: here.Task("default", "0123").String(), LastStatus: Running, DesiredStatus: Stopped, StopCode: StopCodeUserInitiated,
		StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC),
	}
	want := `{"taskArn":"arn:aws:ecs:eu-central-1:111122223333:task/default/0123","lastStatus":"RUNNING","desiredStatus":"STOPPED",` +
		`"stopCode":"UserInitiated","startedAt":"2026-01-02T03:04:05.006Z"}`
	if got := encoded(t, small); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRecordLookups(t *testing.T) {
	rec := &Task{TaskARN: "arn:aws:ecs:r:a:task/c/0123", Containers: []Container{{Name: "a"}, {Name: "b"}}}
	if got := rec.ID(); got != "0123" {
		t.Errorf("ID() = %q", got)
	}
	if got := new(Task).ID(); got != "" {
		t.Errorf("ID() of nothing = %q", got)
	}
	if got := rec.Container("b"); got != &rec.Containers[1] {
		t.Errorf("Container(b) = %v", got)
	}
	if got := rec.Container("c"); got != nil {
		t.Errorf("Container(c) = %v", got)
	}
	a := Attachment{Details: []KeyValuePair{{Name: "macAddress", Value: "0e:00"}}}
	if got := a.Detail("macAddress") + a.Detail("subnetId"); got != "0e:00" {
		t.Errorf("details: got %q", got)
	}
}

func TestFailureReason(t *testing.T) {
	if got, want := FailureReason(ErrorCannotPullContainer, "no such image"), "CannotPullContainerError: no such image"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	quoting := FailureReason(ErrorCannotPullContainer, "no \x1b]0;owned\a\u009b31m\r\n\xff image \u202eüñ\u2028")
	if want := `CannotPullContainerError: no \x1b]0;owned\a\u009b31m\r\n\xff image \u202eüñ\u2028`; quoting != want {
		t.Errorf("got %q, want %q", quoting, want)
	}
	long := FailureReason(ErrorOutOfMemory, strings.Repeat("ü", 2000))
	if got := len([]rune(long)); got != MaxReason {
		t.Errorf("got %d characters, want %d", got, MaxReason)
	}
}

func TestReasons(t *testing.T) {
	for got, want := range map[string]string{
		ReasonTargetGroupHealth("arn:aws:tg"): "Task failed ELB health checks in (target-group arn:aws:tg)",
		ReasonScaling("ecs-svc/1"):            "Scaling activity initiated by (deployment ecs-svc/1)",
		ReasonInstanceGone("i-1"):             "Host EC2 (instance i-1) stopped/terminated",
		ReasonOutOfMemory:                     "OutOfMemoryError: Container killed due to memory usage",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestAggregateHealth has the examples of the ECS documentation and what they
// leave out.
func TestAggregateHealth(t *testing.T) {
	const h, u, q = HealthHealthy, HealthUnhealthy, HealthUnknown
	for _, tt := range []struct {
		containers []HealthStatus // of essential containers
		want       HealthStatus
	}{
		{[]HealthStatus{u, q}, u}, {[]HealthStatus{u, h}, u}, {[]HealthStatus{h, q}, q}, {[]HealthStatus{h, h}, h},
		{[]HealthStatus{u, q, q}, u}, {[]HealthStatus{u, q, h}, u}, {[]HealthStatus{u, h, h}, u},
		{[]HealthStatus{h, q, h}, q}, {[]HealthStatus{h, q, q}, q}, {[]HealthStatus{h, h, h}, h},
		{[]HealthStatus{q, u}, u}, {[]HealthStatus{""}, q}, {[]HealthStatus{h, ""}, q},
	} {
		no := false
		d := &TaskDefinition{ContainerDefinitions: []ContainerDefinition{{Name: "sick", Essential: &no}}}
		records := []Container{{Name: "sick", HealthStatus: HealthUnhealthy}}
		for i, s := range tt.containers {
			name := string(rune('a' + i))
			d.ContainerDefinitions = append(d.ContainerDefinitions, ContainerDefinition{Name: name})
			records = append(records, Container{Name: name, HealthStatus: s})
		}
		if got := AggregateHealth(d, records); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.containers, got, tt.want)
		}
	}
	if got := AggregateHealth(ec2(), nil); got != HealthUnknown {
		t.Errorf("before there are containers: got %s, want UNKNOWN", got)
	}
}

func TestNormalized(t *testing.T) {
	d := fargate()
	d.CPU, d.Memory = ".25 vCPU", "0.5GB"
	d.ContainerDefinitions = d.ContainerDefinitions[:1]
	c := &d.ContainerDefinitions[0]
	c.PortMappings = []PortMapping{{ContainerPort: 80}, {ContainerPort: 53, HostPort: 53, Protocol: ProtocolUDP}, {ContainerPortRange: "5-6", Protocol: "sctp"}}
	c.HealthCheck = &HealthCheck{Command: []string{"CMD", "true"}, Retries: 5}

	want, yes := d.Clone(), true
	want.CPU, want.Memory = "256", "512"
	w := &want.ContainerDefinitions[0]
	w.Essential = &yes
	w.PortMappings = []PortMapping{
		{ContainerPort: 80, HostPort: 80, Protocol: ProtocolTCP}, {ContainerPort: 53, HostPort: 53, Protocol: ProtocolUDP},
		{ContainerPortRange: "5-6", Protocol: ProtocolTCP},
	}
	w.HealthCheck = &HealthCheck{Command: []string{"CMD", "true"}, Retries: 5, Interval: 30, Timeout: 5}
	got, err := d.Normalized()
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	again, err := got.Normalized()
	if diff := cmp.Diff(got, again); diff != "" || err != nil {
		t.Errorf("a second time: %v (-want +got):\n%s", err, diff)
	}
	if err := got.Validate(LaunchTypeFargate); err != nil {
		t.Error(err)
	}

	bridge, err := (&TaskDefinition{ContainerDefinitions: []ContainerDefinition{{PortMappings: []PortMapping{{ContainerPort: 80}}}}}).Normalized()
	if err != nil || bridge.ContainerDefinitions[0].PortMappings[0].HostPort != 0 {
		t.Errorf("in bridge mode: got %+v, %v, want the host port left open", bridge, err)
	}
	if _, err := (&TaskDefinition{Memory: "much"}).Normalized(); err == nil {
		t.Error("memory much: got no error")
	}
}

func TestContainerDefaults(t *testing.T) {
	c := &ContainerDefinition{}
	if got := c.StopDuration(); got != 30*time.Second {
		t.Errorf("StopDuration() = %v", got)
	}
	if got := c.StartDuration(); got != 0 {
		t.Errorf("StartDuration() = %v", got)
	}
	c.StartTimeout, c.StopTimeout = 5, 2
	if start, stop := c.StartDuration(), c.StopDuration(); start != 5*time.Second || stop != 2*time.Second {
		t.Errorf("got %v and %v, want 5s and 2s", start, stop)
	}
	p := &RestartPolicy{}
	if got := p.Period(); got != 300*time.Second {
		t.Errorf("Period() = %v", got)
	}
	if p.RestartAttemptPeriod = 60; p.Period() != time.Minute {
		t.Errorf("Period() = %v", p.Period())
	}
	want := HealthTiming{Interval: 30 * time.Second, Timeout: 5 * time.Second, Retries: 3}
	if got := (&HealthCheck{}).Timing(); got != want {
		t.Errorf("Timing() = %+v, want %+v", got, want)
	}
}

func TestVolumeKind(t *testing.T) {
	for want, v := range map[VolumeKind]Volume{
		VolumeHost:               {},
		VolumeDocker:             {DockerVolumeConfiguration: &DockerVolume{}},
		VolumeEFS:                {EFSVolumeConfiguration: &EFSVolume{}},
		VolumeFSx:                {FSxWindowsFileServerVolumeConfiguration: &FSxVolume{}},
		VolumeS3Files:            {S3FilesVolumeConfiguration: &S3FilesVolume{}},
		VolumeConfiguredAtLaunch: {ConfiguredAtLaunch: true, Host: &HostVolume{}},
	} {
		if got := v.Kind(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
