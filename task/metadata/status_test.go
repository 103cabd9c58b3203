package metadata

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
)

// TestKnownStatus follows a container from nothing to its end, and those that never began.
func TestKnownStatus(t *testing.T) {
	for _, tt := range []struct {
		name   string
		record task.Container
		facts  Container
		want   string
	}{
		{"nothing", task.Container{}, Container{}, "NONE"},
		{"pending", task.Container{LastStatus: task.ContainerPending}, Container{}, "NONE"},
		{"pulled, by digest", task.Container{ImageDigest: "sha256:d"}, Container{}, "PULLED"},
		{"pulled, by ID", task.Container{LastStatus: task.ContainerPending}, Container{ImageID: "sha256:i"}, "PULLED"},
		{"created", task.Container{RuntimeID: "r", LastStatus: task.ContainerPending}, Container{}, "CREATED"},
		{"running", task.Container{RuntimeID: "r", LastStatus: task.ContainerRunning}, Container{}, "RUNNING"},
		{"stopped", task.Container{RuntimeID: "r", LastStatus: task.ContainerStopped}, Container{}, "STOPPED"},
		{"never created", task.Container{LastStatus: task.ContainerStopped, ImageDigest: "sha256:d"}, Container{}, "NONE"},
	} {
		if got := knownStatus(tt.record, tt.facts); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestHealthStatus: what is not known is left out.
func TestHealthStatus(t *testing.T) {
	for status, want := range map[task.HealthStatus]string{
		task.HealthHealthy: "HEALTHY", task.HealthUnhealthy: "UNHEALTHY", task.HealthUnknown: "", "": "",
	} {
		if got := newHealthAnswer(status, Health{}); got.Status != want {
			t.Errorf("%q: got %q, want %q", status, got.Status, want)
		}
	}
}

// TestFamilyRevision: a definition that was never registered has no revision, unless the task's ARN is about it.
func TestFamilyRevision(t *testing.T) {
	const prefix = "arn:aws:ecs:eu-central-1:123456789012:task-definition/"
	for _, tt := range []struct {
		revision int
		arn      string
		want     [2]string
	}{
		{4, prefix + "shop:7", [2]string{"shop", "4"}},
		{0, prefix + "shop:7", [2]string{"shop", "7"}},
		{0, prefix + "other:7", [2]string{"shop", ""}},
		{0, prefix + "shop", [2]string{"shop", ""}},
		{0, "", [2]string{"shop", ""}},
	} {
		s := &Snapshot{Task: task.Task{TaskDefinitionARN: tt.arn}, Definition: &task.TaskDefinition{Family: "shop", Revision: tt.revision}}
		family, revision := familyRevision(s)
		if diff := cmp.Diff(tt.want, [2]string{family, revision}); diff != "" {
			t.Errorf("%d %s (-want +got):\n%s", tt.revision, tt.arn, diff)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&ProtectionFailure{Reason: "MISSING"}, "metadata: task protection: MISSING"},
		{&ProtectionFailure{"TASK_NOT_VALID", "no service"}, "metadata: task protection: TASK_NOT_VALID: no service"},
		{&ProtectionError{Code: "AccessDeniedException", Message: "no"}, "metadata: task protection: AccessDeniedException: no"},
		{&FaultRunningError{FaultBlackholePort}, "There is already one network blackhole port fault running"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
