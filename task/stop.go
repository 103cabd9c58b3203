package task

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// StopCode is the kind of event that stopped a task.
type StopCode string

// The stop codes of ECS.
const (
	StopCodeTaskFailedToStart         StopCode = "TaskFailedToStart"
	StopCodeEssentialContainerExited  StopCode = "EssentialContainerExited"
	StopCodeUserInitiated             StopCode = "UserInitiated"
	StopCodeServiceSchedulerInitiated StopCode = "ServiceSchedulerInitiated"
	StopCodeSpotInterruption          StopCode = "SpotInterruption"
	StopCodeTerminationNotice         StopCode = "TerminationNotice"
	StopCodeInfrastructureHealth      StopCode = "InfrastructureHealth"
)

// Texts of StoppedReason that ECS gives word for word.
const (
	ReasonEssentialContainerExited = "Essential container in task exited"
	ReasonStoppedByUser            = "Task stopped by user"
	ReasonContainerHealth          = "Task failed container health checks"
	ReasonSpotInterruption         = "Your Spot Task was interrupted."
	ReasonInstanceDeregistered     = "Container instance deregistration forced by user"
	ReasonNetworkInterfaceTimeout  = "Timeout waiting for network interface provisioning to complete."
	ReasonMaintenance              = "ECS is performing maintenance on the underlying infrastructure hosting the task"
)

// Names that begin the Reason of a container, or the StoppedReason of a task,
// that could not be started or stopped; see FailureReason.
const (
	ErrorCannotPullContainer        = "CannotPullContainerError"
	ErrorCannotPullECRContainer     = "CannotPullECRContainerError"
	ErrorCannotPullContainerAuth    = "CannotPullContainerAuthError"
	ErrorCannotPullImageManifest    = "CannotPullImageManifestError"
	ErrorCannotCreateContainer      = "CannotCreateContainerError"
	ErrorCannotStartContainer       = "CannotStartContainerError"
	ErrorCannotStopContainer        = "CannotStopContainerError"
	ErrorCannotInspectContainer     = "CannotInspectContainerError"
	ErrorCannotCreateVolume         = "CannotCreateVolumeError"
	ErrorContainerRuntimeTimeout    = "ContainerRuntimeTimeoutError"
	ErrorContainerVanished          = "ContainerVanishedError"
	ErrorContainerNetworking        = "ContainerNetworkingError"
	ErrorOutOfMemory                = "OutOfMemoryError"
	ErrorResourceInitialization     = "ResourceInitializationError"
	ErrorTaskDependency             = "TaskDependencyError"
	ErrorTaskState                  = "TaskStateError"
	ErrorTaskStoppedBeforePullBegin = "TaskStoppedBeforePullBeginError"
)

// ReasonOutOfMemory is the Reason of a container the kernel killed for memory.
const ReasonOutOfMemory = ErrorOutOfMemory + ": Container killed due to memory usage"

// MaxReason is how many characters of a container's Reason ECS keeps.
const MaxReason = 1024

// FailureReason returns the reason "name: message", cut to MaxReason characters. What a message quotes of an image, a
// definition or a registry may be made for the terminal that it is read on: characters that are not printed are written as
// Go's escapes, `\x1b`.
func FailureReason(name, message string) string {
	reason := []rune(printable(name + ": " + message))
	if len(reason) > MaxReason {
		reason = reason[:MaxReason]
	}
	return string(reason)
}

func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// ReasonTargetGroupHealth returns the StoppedReason of a task that a load
// balancer's target group found unhealthy.
func ReasonTargetGroupHealth(targetGroupARN string) string {
	return "Task failed ELB health checks in (target-group " + targetGroupARN + ")"
}

// ReasonScaling returns the StoppedReason of a task that its service no longer
// wants; deployment is "ecs-svc/…".
func ReasonScaling(deployment string) string {
	return "Scaling activity initiated by (deployment " + deployment + ")"
}

// ReasonInstanceGone returns the StoppedReason of a task whose container instance
// was stopped or terminated.
func ReasonInstanceGone(instanceID string) string {
	return "Host EC2 (instance " + instanceID + ") stopped/terminated"
}
