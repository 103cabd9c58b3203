package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// A Protector keeps the scale-in protection of tasks, and is the one to decide whether a task's role may see and
// change it (ecs:GetTaskProtection, ecs:UpdateTaskProtection on the task's ARN). The snapshot is of the task that asks;
// it has a task role. The context ends after four seconds. Both methods return a [*ProtectionFailure] or a
// [*ProtectionError] where ECS does; any other error is logged, and a ServerException to the task.
type Protector interface {
	// TaskProtection returns the protection of a task.
	TaskProtection(ctx context.Context, s *Snapshot) (Protection, error)
	// UpdateTaskProtection changes the protection of a task and returns what it is then.
	UpdateTaskProtection(ctx context.Context, s *Snapshot, u ProtectionUpdate) (Protection, error)
}

// Protection is whether a service may stop a task when it scales in or deploys.
type Protection struct {
	Enabled        bool
	ExpirationDate time.Time // when it ends; zero unless enabled
}

// ProtectionUpdate is what a task asks for.
type ProtectionUpdate struct {
	Enabled bool
	// ExpiresInMinutes is 1..2880 in ECS, which takes 120 for nil. The handler passes on what it was given.
	ExpiresInMinutes *int64
}

// ProtectionFailure says why a task cannot be protected. The answer to it is 200, with a failure in it.
type ProtectionFailure struct {
	Reason string // TASK_NOT_VALID: no service has the task. DEPLOYMENT_BLOCKED: too many are protected. MISSING
	Detail string // may be empty
}

// Error returns the reason and the detail.
func (f *ProtectionFailure) Error() string {
	if f.Detail == "" {
		return "metadata: task protection: " + f.Reason
	}
	return "metadata: task protection: " + f.Reason + ": " + f.Detail
}

// ProtectionError is an error of the ECS API.
type ProtectionError struct {
	Code       string // such as AccessDeniedException, InvalidParameterException
	Message    string
	StatusCode int    // of the answer; 0 means 400
	RequestID  string // may be empty
}

// Error returns the code and the message.
func (e *ProtectionError) Error() string {
	return "metadata: task protection: " + e.Code + ": " + e.Message
}

// protectionTimeout is how long a protector may take: less than the five seconds that clients wait.
const protectionTimeout = 4 * time.Second

// protectionAnswer has one member besides RequestID.
type protectionAnswer struct {
	RequestID  string                 `json:"requestID,omitempty"`
	Protection *protectedTask         `json:"protection,omitempty"`
	Failure    *protectionFailure     `json:"failure,omitempty"`
	Error      *protectionErrorAnswer `json:"error,omitempty"`
}

type protectedTask struct {
	ExpirationDate    *time.Time `json:"ExpirationDate"`
	ProtectionEnabled bool       `json:"ProtectionEnabled"`
	TaskARN           string     `json:"TaskArn"`
}

type protectionFailure struct {
	ARN    string  `json:"Arn"`
	Detail *string `json:"Detail"`
	Reason string  `json:"Reason"`
}

type protectionErrorAnswer struct {
	ARN     string `json:"Arn,omitempty"`
	Code    string `json:"Code"`
	Message string `json:"Message"`
}

// protectionRequest is the body of a PUT. Go matches member names in any case, and so does ECS.
type protectionRequest struct {
	ProtectionEnabled *bool
	ExpiresInMinutes  *int64
}

func (h *handler) serveProtection(w http.ResponseWriter, r *http.Request, rt route) {
	code, a := h.protection(w, r, rt)
	h.answer(w, r, code, a)
}

// protection checks in the order of ECS: the body, the task, what is in the body, the role.
func (h *handler) protection(w http.ResponseWriter, r *http.Request, rt route) (int, protectionAnswer) {
	var req protectionRequest
	if r.Method == http.MethodPut {
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&req); err != nil {
			return protectionFault(http.StatusBadRequest, "", "InvalidParameterException", "UpdateTaskProtection: failed to decode request")
		}
	}
	s, _, err := h.endpoint(r, rt.id)
	const noTask = "Failed to find a task for the request"
	switch {
	case errors.Is(err, ErrNotFound):
		return protectionFault(http.StatusNotFound, "", "ResourceNotFoundException", noTask)
	case err != nil:
		return protectionFault(http.StatusInternalServerError, "", "ServerException", noTask)
	}
	arn := s.Task.TaskARN
	switch {
	case r.Method == http.MethodPut && req.ProtectionEnabled == nil:
		return protectionFault(http.StatusBadRequest, arn, "InvalidParameterException",
			"Invalid request: does not contain 'ProtectionEnabled' field")
	case s.Definition.TaskRoleARN == "":
		return protectionFault(http.StatusForbidden, arn, "AccessDeniedException",
			"Invalid Request: no task IAM role credentials available for task")
	case h.cfg.Protector == nil:
		return protectionFault(http.StatusBadRequest, arn, "UnsupportedFeatureException",
			"Task protection is not available on this host")
	}
	ctx, cancel := context.WithTimeout(r.Context(), protectionTimeout)
	defer cancel()
	var p Protection
	if r.Method == http.MethodPut {
		p, err = h.cfg.Protector.UpdateTaskProtection(ctx, s, ProtectionUpdate{*req.ProtectionEnabled, req.ExpiresInMinutes})
	} else {
		p, err = h.cfg.Protector.TaskProtection(ctx, s)
	}
	if err != nil {
		return h.protectionFailed(ctx, arn, err)
	}
	return http.StatusOK, protectionAnswer{Protection: &protectedTask{timeOrNil(p.ExpirationDate), p.Enabled, arn}}
}

// protectionFailed returns the answer to an error of the protector.
func (h *handler) protectionFailed(ctx context.Context, arn string, err error) (int, protectionAnswer) {
	var failure *ProtectionFailure
	var apiError *ProtectionError
	switch {
	case errors.As(err, &failure):
		a := &protectionFailure{ARN: arn, Reason: failure.Reason}
		if failure.Detail != "" {
			a.Detail = &failure.Detail
		}
		return http.StatusOK, protectionAnswer{Failure: a}
	case errors.As(err, &apiError):
		code := apiError.StatusCode
		if code < 400 || code > 599 {
			code = http.StatusBadRequest
		}
		_, a := protectionFault(code, arn, apiError.Code, apiError.Message)
		a.RequestID = apiError.RequestID
		return code, a
	case ctx.Err() != nil:
		return protectionFault(http.StatusGatewayTimeout, arn, "RequestCanceled", "Timed out calling ECS Task Protection API")
	}
	h.cfg.Logger.ErrorContext(ctx, "task protection", "taskArn", arn, "error", err)
	return protectionFault(http.StatusInternalServerError, arn, "ServerException", "Unexpected error occurred")
}

func protectionFault(status int, arn, code, message string) (int, protectionAnswer) {
	return status, protectionAnswer{Error: &protectionErrorAnswer{arn, code, message}}
}
