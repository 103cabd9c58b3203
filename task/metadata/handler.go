package metadata

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/internal/ratelimit"
)

// limitKey is a caller and, where operations have a rate of their own, the operation.
type limitKey struct {
	addr netip.Addr
	op   string
}

// Config is what a handler works with. Zero values other than Source are useful.
type Config struct {
	// Source knows the tasks; required. Without one no caller has a task.
	Source Source
	// Protector keeps task scale-in protection; nil answers that there is none.
	Protector Protector
	// Faults injects faults into the network of tasks; nil answers that there are none.
	Faults FaultInjector

	// Rate is how many requests a second a task may make for long; 0 or less means 40, as in ECS.
	Rate float64
	// Burst is how many it may make at once; 0 or less means 60, as in ECS.
	Burst int
	// FaultRate is how many requests a second a task may make of one operation (start, stop, status) of one fault;
	// 0 or less means 0.2, as in ECS: one in five seconds.
	FaultRate float64

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil discards
}

// handler answers requests. Nothing in it changes but the limiters, which lock.
type handler struct {
	cfg      Config
	requests *ratelimit.Limiter[limitKey]
	faults   *ratelimit.Limiter[limitKey]
}

// NewHandler returns the endpoint of one VPC. It may be served by any number of servers at once.
func NewHandler(cfg Config) http.Handler {
	if cfg.Rate <= 0 {
		cfg.Rate = 40
	}
	if cfg.Burst <= 0 {
		cfg.Burst = 60
	}
	if cfg.FaultRate <= 0 {
		cfg.FaultRate = 0.2
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &handler{cfg: cfg, requests: ratelimit.New[limitKey](cfg.Rate, cfg.Burst), faults: ratelimit.New[limitKey](cfg.FaultRate, 1)}
}

// tooMany is what ECS says with 429.
const tooMany = "You have reached maximum request limit."

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	addr := callerAddr(r)
	if !h.requests.Allow(limitKey{addr: addr}, h.cfg.Now()) {
		http.Error(w, tooMany, http.StatusTooManyRequests)
		return
	}
	if clean := cleanPath(r.URL.Path); clean != r.URL.Path {
		to := url.URL{Path: clean, RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", to.String())
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	rt, ok := parseRoute(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if methods := rt.methods(); len(methods) > 0 && !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	switch {
	case rt.op == opProtection:
		h.serveProtection(w, r, rt)
	case rt.op == opFault && !h.faults.Allow(limitKey{addr, rt.kind + "/" + rt.name}, h.cfg.Now()):
		http.Error(w, tooMany, http.StatusTooManyRequests)
	case rt.op == opFault:
		h.serveFault(w, r, rt)
	default:
		h.serveMetadata(w, r, rt)
	}
}

// callerAddr returns the address a request came from; the zero address if it cannot be told.
func callerAddr(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// caller returns the task that asks: [ErrNotFound] if the caller is none, another error, which was logged, if that
// could not be found out.
func (h *handler) caller(r *http.Request) (*Snapshot, error) {
	addr := callerAddr(r)
	if !addr.IsValid() || h.cfg.Source == nil {
		return nil, ErrNotFound
	}
	s, err := h.cfg.Source.Task(r.Context(), addr)
	if err == nil && s == nil {
		err = ErrNotFound
	}
	if err == nil {
		err = s.check()
	}
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, ErrNotFound):
		return nil, ErrNotFound
	}
	h.cfg.Logger.ErrorContext(r.Context(), "no metadata of the task that asks", "address", addr.String(), "error", err)
	return nil, err
}

// endpoint returns the task that asks and the name of its container with an endpoint ID. A task that asks with the ID
// of another's container learns no more than that it is not its own: [ErrNotFound].
func (h *handler) endpoint(r *http.Request, id string) (*Snapshot, string, error) {
	s, err := h.caller(r)
	if err != nil {
		return nil, "", err
	}
	name := s.byEndpoint(id)
	if name == "" {
		return nil, "", ErrNotFound
	}
	return s, name, nil
}
