package metadata

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// fakeProtector remembers what it was asked for.
type fakeProtector struct {
	now     Protection
	err     error
	hang    bool
	updates []ProtectionUpdate
	tasks   []string
}

func (f *fakeProtector) TaskProtection(ctx context.Context, s *Snapshot) (Protection, error) {
	f.tasks = append(f.tasks, s.Task.ID())
	if f.hang {
		<-ctx.Done()
		return Protection{}, fmt.Errorf("store: %w", ctx.Err())
	}
	return f.now, f.err
}

func (f *fakeProtector) UpdateTaskProtection(ctx context.Context, s *Snapshot, u ProtectionUpdate) (Protection, error) {
	f.updates = append(f.updates, u)
	return f.TaskProtection(ctx, s)
}

func TestProtection(t *testing.T) {
	const arn = `"arn:aws:ecs:eu-central-1:123456789012:task/default/` + aliceID + `"`
	path := "/api/" + EndpointID(aliceID, "web") + "/task-protection/v1/state"
	bob := "/api/" + EndpointID(bobID, "web") + "/task-protection/v1/state"
	on := &fakeProtector{now: Protection{Enabled: true, ExpirationDate: at(7200)}}
	failing := func(err error) *fakeProtector { return &fakeProtector{err: err} }
	for _, tt := range []struct {
		name string
		p    Protector
		request
		code int
		want string
	}{
		{"get", on, request{path: path, peer: alicePeer}, 200,
			`{"protection":{"ExpirationDate":"2026-03-01T14:00:00Z","ProtectionEnabled":true,"TaskArn":` + arn + `}}`},
		{"get off", &fakeProtector{}, request{path: path, peer: alicePeer}, 200,
			`{"protection":{"ExpirationDate":null,"ProtectionEnabled":false,"TaskArn":` + arn + `}}`},
		{"put", on, request{"PUT", path, alicePeer, `{"ProtectionEnabled":true,"ExpiresInMinutes":60}`}, 200,
			`{"protection":{"ExpirationDate":"2026-03-01T14:00:00Z","ProtectionEnabled":true,"TaskArn":` + arn + `}}`},
		{"failure", failing(&ProtectionFailure{Reason: "TASK_NOT_VALID"}), request{path: path, peer: alicePeer}, 200,
			`{"failure":{"Arn":` + arn + `,"Detail":null,"Reason":"TASK_NOT_VALID"}}`},
		{"failure with detail", failing(fmt.Errorf("x: %w", &ProtectionFailure{"DEPLOYMENT_BLOCKED", "d"})), request{path: path, peer: alicePeer}, 200,
			`{"failure":{"Arn":` + arn + `,"Detail":"d","Reason":"DEPLOYMENT_BLOCKED"}}`},
		{"error", failing(&ProtectionError{Code: "AccessDeniedException", Message: "no", RequestID: "r"}), request{path: path, peer: alicePeer}, 400,
			`{"requestID":"r","error":{"Arn":` + arn + `,"Code":"AccessDeniedException","Message":"no"}}`},
		{"error with status", failing(&ProtectionError{Code: "ServerException", Message: "m", StatusCode: 503}), request{path: path, peer: alicePeer}, 503,
			`{"error":{"Arn":` + arn + `,"Code":"ServerException","Message":"m"}}`},
		{"error with odd status", failing(&ProtectionError{Code: "C", Message: "m", StatusCode: 200}), request{path: path, peer: alicePeer}, 400,
			`{"error":{"Arn":` + arn + `,"Code":"C","Message":"m"}}`},
		{"other error", failing(errBroken), request{path: path, peer: alicePeer}, 500,
			`{"error":{"Arn":` + arn + `,"Code":"ServerException","Message":"Unexpected error occurred"}}`},
		{"no protector", nil, request{path: path, peer: alicePeer}, 400,
			`{"error":{"Arn":` + arn + `,"Code":"UnsupportedFeatureException","Message":"Task protection is not available on this host"}}`},
		{"body first", on, request{"PUT", "/api/bad/task-protection/v1/state", alicePeer, `{`}, 400,
			`{"error":{"Code":"InvalidParameterException","Message":"UpdateTaskProtection: failed to decode request"}}`},
		{"no body", on, request{"PUT", path, alicePeer, ``}, 400,
			`{"error":{"Code":"InvalidParameterException","Message":"UpdateTaskProtection: failed to decode request"}}`},
		{"unknown member", on, request{"PUT", path, alicePeer, `{"ProtectionEnabled":true,"x":1}`}, 400,
			`{"error":{"Code":"InvalidParameterException","Message":"UpdateTaskProtection: failed to decode request"}}`},
		{"huge body", on, request{"PUT", path, alicePeer, strings.Repeat(" ", maxBody) + `{"ProtectionEnabled":true}`}, 400,
			`{"error":{"Code":"InvalidParameterException","Message":"UpdateTaskProtection: failed to decode request"}}`},
		{"nothing asked for", on, request{"PUT", path, alicePeer, `{"ExpiresInMinutes":60}`}, 400,
			`{"error":{"Arn":` + arn + `,"Code":"InvalidParameterException","Message":"Invalid request: does not contain 'ProtectionEnabled' field"}}`},
		{"unknown endpoint", on, request{path: "/api/bad/task-protection/v1/state", peer: alicePeer}, 404,
			`{"error":{"Code":"ResourceNotFoundException","Message":"Failed to find a task for the request"}}`},
		{"another's endpoint", on, request{path: path, peer: bobPeer}, 404,
			`{"error":{"Code":"ResourceNotFoundException","Message":"Failed to find a task for the request"}}`},
		{"no role", on, request{path: bob, peer: bobPeer}, 403, `{"error":{"Arn":"arn:aws:ecs:eu-central-1:123456789012:task/default/` + bobID +
			`","Code":"AccessDeniedException","Message":"Invalid Request: no task IAM role credentials available for task"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := wide(newSource())
			cfg.Protector = tt.p
			w := do(t, NewHandler(cfg), tt.request)
			if w.Code != tt.code || w.Body.String() != tt.want {
				t.Errorf("got  %d %s\nwant %d %s", w.Code, w.Body, tt.code, tt.want)
			}
		})
	}
	if diff := cmp.Diff([]ProtectionUpdate{{true, ptr(int64(60))}}, on.updates); diff != "" {
		t.Errorf("updates (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{aliceID, aliceID}, on.tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
}

func TestProtectionSourceFails(t *testing.T) {
	w := do(t, NewHandler(wide(&fakeSource{err: errBroken})), request{path: "/api/x/task-protection/v1/state", peer: alicePeer})
	want := `{"error":{"Code":"ServerException","Message":"Failed to find a task for the request"}}`
	if w.Code != 500 || w.Body.String() != want {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestProtectionTimeout: a protector that hangs has four seconds.
func TestProtectionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		cfg := wide(newSource())
		cfg.Protector = &fakeProtector{hang: true}
		cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		w := do(t, NewHandler(cfg), request{path: "/api/" + EndpointID(aliceID, "web") + "/task-protection/v1/state", peer: alicePeer})
		if w.Code != 504 || !strings.Contains(w.Body.String(), `"Code":"RequestCanceled","Message":"Timed out calling ECS Task Protection API"`) {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}
