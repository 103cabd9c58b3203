package credentials

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/fardel-io/fardel/internal/ratelimit"
	"github.com/fardel-io/fardel/policy/sts"
)

// Config is what a handler works with.
type Config struct {
	Source Source // knows the tasks; required, without one no caller has a task
	Issuer Issuer // knows the roles; required, without one no role can be assumed

	// Rate is how many requests a second a task may make for long; 0 or less means 40, as in ECS.
	Rate float64
	// Burst is how many it may make at once; 0 or less means 60, as in ECS.
	Burst int

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil discards
}

// handler answers requests. Nothing in it changes but the limiter, which locks.
type handler struct {
	cfg      Config
	requests *ratelimit.Limiter[string]
}

// NewHandler returns the endpoint. It may be served by any number of servers at once.
func NewHandler(cfg Config) http.Handler {
	if cfg.Rate <= 0 {
		cfg.Rate = 40
	}
	if cfg.Burst <= 0 {
		cfg.Burst = 60
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{cfg: cfg, requests: ratelimit.New[string](cfg.Rate, cfg.Burst)}
}

// The paths, as the agent of ECS has them.
const (
	pathV1 = "/v1/credentials"
	pathV2 = "/v2/credentials/"
)

// tooMany is what ECS says with 429.
const tooMany = "You have reached maximum request limit."

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	addr := callerAddr(r)
	task, err := h.task(r, addr)
	who := task.ARN
	if err != nil {
		who = addr.String()
	}
	if !h.requests.Allow(who, h.cfg.Now()) {
		http.Error(w, tooMany, http.StatusTooManyRequests)
		return
	}
	var id, prefix string
	switch v2, ok := strings.CutPrefix(r.URL.Path, pathV2); {
	case ok:
		id, prefix = v2, "CredentialsV2Request: "
	case r.URL.Path == pathV1:
		id, prefix = r.URL.Query().Get("id"), "CredentialsV1Request: "
	default:
		http.NotFound(w, r)
		return
	}
	switch {
	case id == "":
		h.fail(w, r, http.StatusBadRequest, "NoIdInRequest", prefix+"No Credential ID in the request")
	case err != nil && !errors.Is(err, ErrNotFound):
		h.cfg.Logger.ErrorContext(r.Context(), "no task of the caller", "address", addr.String(), "error", err)
		h.fail(w, r, http.StatusInternalServerError, "InternalServerError", "Internal server error")
	case err != nil, task.RoleARN == "", task.CredentialsID != id:
		h.fail(w, r, http.StatusBadRequest, "InvalidIdInRequest", prefix+"Credentials not found")
	default:
		h.serve(w, r, task, prefix)
	}
}

// task returns the task that asks.
func (h *handler) task(r *http.Request, addr netip.Addr) (Task, error) {
	if h.cfg.Source == nil {
		return Task{}, ErrNotFound
	}
	return h.cfg.Source.Task(r.Context(), addr)
}

// callerAddr returns the address a request came from; the zero address if it cannot be told.
func callerAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// answer is what the SDKs read.
type answer struct {
	RoleArn         string
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      string // RFC 3339, in seconds
}

// errNoIssuer is logged when there is no issuer.
var errNoIssuer = errors.New("credentials: Config.Issuer is not set")

// serve gives a task its credentials.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, task Task, prefix string) {
	var c sts.Credentials
	err := errNoIssuer
	if h.cfg.Issuer != nil {
		c, err = h.cfg.Issuer.Retrieve(r.Context(), task.RoleARN, task.ARN)
	}
	if err != nil {
		reason := err
		if cause := errors.Unwrap(err); cause != nil {
			reason = cause // of a TaskRoleError: what ECS keeps to itself
		}
		h.cfg.Logger.ErrorContext(r.Context(), "no credentials for a task", "taskArn", task.ARN, "roleArn", task.RoleARN, "error", reason)
		h.fail(w, r, http.StatusServiceUnavailable, "CredentialsUninitialized", prefix+"Credentials uninitialized for ID")
		return
	}
	h.cfg.Logger.DebugContext(r.Context(), "credentials for a task", "taskArn", task.ARN, "roleArn", task.RoleARN, "accessKeyId", c.AccessKeyID)
	h.write(w, r, http.StatusOK, answer{
		RoleArn: c.RoleARN, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(),
		Token: c.SessionToken.Reveal(), Expiration: c.Expiration.UTC().Format(time.RFC3339),
	})
}

// failure is an error on the wire. The third member has no name of its own in ECS's agent, either.
type failure struct {
	Code          string `json:"code"`
	Message       string `json:"message"`
	HTTPErrorCode int
}

func (h *handler) fail(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	h.write(w, r, status, failure{code, message, status})
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil { // strings and a number always can
		status, data = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		h.cfg.Logger.DebugContext(r.Context(), "caller went away", "error", err)
	}
}
