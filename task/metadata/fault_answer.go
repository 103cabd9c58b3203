package metadata

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/fardel-io/fardel/task"
)

// faultTimeout is how long an injector may take, as in ECS.
const faultTimeout = 5 * time.Second

// faultAnswer has one of its members.
type faultAnswer struct {
	Status string `json:"Status,omitempty"` // running, stopped, not-running
	Error  string `json:"Error,omitempty"`
}

func (h *handler) serveFault(w http.ResponseWriter, r *http.Request, rt route) {
	code, a := h.fault(w, r, rt)
	h.answer(w, r, code, a)
}

// fault checks in the order of ECS: the body, the task, whether it may have faults.
func (h *handler) fault(w http.ResponseWriter, r *http.Request, rt route) (int, faultAnswer) {
	f, err := parseFault(FaultType(rt.kind), rt.name, http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return http.StatusBadRequest, faultAnswer{Error: err.Error()}
	}
	s, _, err := h.endpoint(r, rt.id)
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound, faultAnswer{Error: noTask(rt.id)}
	case err != nil:
		return http.StatusInternalServerError, faultAnswer{
			Error: "failed to get task metadata due to internal server error for container: " + rt.id}
	}
	if reason := h.noFaults(s); reason != "" {
		return http.StatusBadRequest, faultAnswer{Error: reason}
	}
	// A caller that goes away must not leave half a fault.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), faultTimeout)
	defer cancel()
	status, err := h.injectFault(ctx, s, f, rt.name)
	if err != nil {
		return h.faultFailed(ctx, s, rt, err)
	}
	h.cfg.Logger.InfoContext(ctx, "fault injection", "taskArn", s.Task.TaskARN, "fault", rt.kind, "action", rt.name, "status", status)
	return http.StatusOK, faultAnswer{Status: status}
}

// noFaults says why a task cannot have faults, if it cannot.
func (h *handler) noFaults(s *Snapshot) string {
	mode := cmp.Or(s.Definition.NetworkMode, task.NetworkModeBridge) // the default of ECS
	switch {
	case !s.Definition.EnableFaultInjection:
		return "enableFaultInjection is not enabled for task: " + s.Task.TaskARN
	case h.cfg.Faults == nil:
		return "fault injection is not available on this host for task: " + s.Task.TaskARN
	case mode != task.NetworkModeAWSVPC && mode != task.NetworkModeHost:
		return string(mode) + " mode is not supported. Please use either host or awsvpc mode."
	}
	return ""
}

// injectFault does what the path says and returns the status after it.
func (h *handler) injectFault(ctx context.Context, s *Snapshot, f Fault, action string) (status string, err error) {
	switch action {
	case "start":
		if hole, ok := f.(BlackholePort); ok {
			f = spareEndpoint(hole)
		}
		return "running", h.cfg.Faults.StartFault(ctx, s, f)
	case "stop":
		return "stopped", h.cfg.Faults.StopFault(ctx, s, f)
	}
	running, err := h.cfg.Faults.FaultRunning(ctx, s, f)
	if running {
		return "running", err
	}
	return "not-running", err
}

// faultFailed returns the answer to an error of the injector.
func (h *handler) faultFailed(ctx context.Context, s *Snapshot, rt route, err error) (int, faultAnswer) {
	var running *FaultRunningError
	if errors.As(err, &running) {
		return http.StatusConflict, faultAnswer{Error: running.Error()}
	}
	h.cfg.Logger.ErrorContext(ctx, "fault injection", "taskArn", s.Task.TaskARN, "fault", rt.kind, "action", rt.name, "error", err)
	var unsupported *FaultUnsupportedError
	if errors.As(err, &unsupported) {
		return http.StatusInternalServerError, faultAnswer{Error: unsupported.Error()}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		action := rt.name
		if action == "status" {
			action = "check status"
		}
		return http.StatusInternalServerError, faultAnswer{Error: action + " " + rt.kind + ": request timed out"}
	}
	return http.StatusInternalServerError, faultAnswer{Error: "internal error"}
}
