package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy/sts"
)

const (
	aliceARN = "arn:aws:ecs:eu-central-1:123456789012:task/default/aaaa"
	bobARN   = "arn:aws:ecs:eu-central-1:123456789012:task/default/bbbb"
	carolARN = "arn:aws:ecs:eu-central-1:123456789012:task/default/cccc"
	trust    = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`
)

// tasks is a source.
type tasks map[string]Task

func (s tasks) Task(_ context.Context, addr netip.Addr) (Task, error) {
	if addr.String() == "10.0.0.99" {
		return Task{}, errors.New("the database is down")
	}
	t, ok := s[addr.String()]
	if !ok {
		return Task{}, ErrNotFound
	}
	return t, nil
}

type fixture struct {
	http.Handler
	service *sts.Service
	now     time.Time
	log     bytes.Buffer
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{now: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)}
	clock := func() time.Time { return f.now }
	var err error
	if f.service, err = sts.Open(sts.Config{Account: "123456789012", Now: clock}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob", "execution"} {
		if _, err := f.service.CreateRole(sts.RoleInput{Name: name, TrustPolicy: trust}); err != nil {
			t.Fatal(err)
		}
	}
	provider, err := sts.NewTaskProvider(f.service, 0)
	if err != nil {
		t.Fatal(err)
	}
	const role = "arn:aws:iam::123456789012:role/"
	f.Handler = NewHandler(Config{
		Source: tasks{
			"10.0.0.1": {ARN: aliceARN, RoleARN: role + "alice", CredentialsID: "id-alice"},
			"10.0.0.2": {ARN: bobARN, RoleARN: role + "bob", CredentialsID: "id-bob"},
			"10.0.0.3": {ARN: carolARN, CredentialsID: "id-carol"},
			"10.0.0.4": {ARN: carolARN + "4", RoleARN: role + "gone", CredentialsID: "id-gone"},
			"10.0.0.5": {ARN: carolARN + "5", RoleARN: role + "alice"},
			"fd00::1":  {ARN: aliceARN, RoleARN: role + "alice", CredentialsID: "id-alice"},
		},
		Issuer: provider, Now: clock, Logger: slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return f
}

func (f *fixture) get(addr, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 40000).String()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func TestAnswer(t *testing.T) {
	f := newFixture(t)
	var first map[string]string
	for _, c := range []struct{ addr, path string }{
		{"10.0.0.1", "/v2/credentials/id-alice"},
		{"10.0.0.1", "/v1/credentials?id=id-alice"},
		{"::ffff:10.0.0.1", "/v2/credentials/id-alice"},
		{"fd00::1", "/v2/credentials/id-alice"},
	} {
		w := f.get(c.addr, c.path)
		var got map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s from %s: %d %s", c.path, c.addr, w.Code, w.Body)
		}
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" { // every container of the task has the same
			t.Error(diff)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
	}
	id, err := f.service.Authenticate(first["AccessKeyId"], first["Token"])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"RoleArn": "arn:aws:iam::123456789012:role/alice", "AccessKeyId": id.AccessKeyID,
		"SecretAccessKey": id.SecretAccessKey().Reveal(), "Token": first["Token"], "Expiration": "2026-01-02T09:04:05Z",
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	if want := "arn:aws:sts::123456789012:assumed-role/alice/aaaa"; id.Principal.Name != want {
		t.Errorf("got %s, want %s", id.Principal.Name, want)
	}
	for _, secret := range []string{first["SecretAccessKey"], first["Token"][:40]} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log shows a secret: %s", &f.log)
		}
	}
	if !strings.Contains(f.log.String(), id.AccessKeyID) {
		t.Errorf("the log does not say what was given: %s", &f.log)
	}
}

// TestErrors holds the errors to the bodies of ECS's agent.
func TestErrors(t *testing.T) {
	body := func(code, message string, status int) string {
		return fmt.Sprintf(`{"code":%q,"message":%q,"HTTPErrorCode":%d}`, code, message, status)
	}
	const notFound = "Credentials not found"
	for _, c := range []struct {
		name, addr, path string
		status           int
		body             string
	}{
		{"no ID, 1", "10.0.0.1", "/v1/credentials", 400, body("NoIdInRequest", "CredentialsV1Request: No Credential ID in the request", 400)},
		{"empty ID, 1", "10.0.0.1", "/v1/credentials?id=", 400, body("NoIdInRequest", "CredentialsV1Request: No Credential ID in the request", 400)},
		{"no ID, 2", "10.0.0.1", "/v2/credentials/", 400, body("NoIdInRequest", "CredentialsV2Request: No Credential ID in the request", 400)},
		{"unknown ID, 1", "10.0.0.1", "/v1/credentials?id=x", 400, body("InvalidIdInRequest", "CredentialsV1Request: "+notFound, 400)},
		{"unknown ID, 2", "10.0.0.1", "/v2/credentials/x", 400, body("InvalidIdInRequest", "CredentialsV2Request: "+notFound, 400)},
		{"longer ID", "10.0.0.1", "/v2/credentials/id-alice/x", 400, body("InvalidIdInRequest", "CredentialsV2Request: "+notFound, 400)},
		{"another task's", "10.0.0.1", "/v2/credentials/id-bob", 400, body("InvalidIdInRequest", "CredentialsV2Request: "+notFound, 400)},
		{"another task's, 1", "10.0.0.1", "/v1/credentials?id=id-bob", 400, body("InvalidIdInRequest", "CredentialsV1Request: "+notFound, 400)},
		{"of a task without a role", "10.0.0.3", "/v2/credentials/id-carol", 400, body("InvalidIdInRequest", "CredentialsV2Request: "+notFound, 400)},
		{"without an ID of its own", "10.0.0.5", "/v2/credentials/", 400, body("NoIdInRequest", "CredentialsV2Request: No Credential ID in the request", 400)},
		{"no task", "10.0.0.50", "/v2/credentials/id-alice", 400, body("InvalidIdInRequest", "CredentialsV2Request: "+notFound, 400)},
		{"role gone", "10.0.0.4", "/v2/credentials/id-gone", 503, body("CredentialsUninitialized", "CredentialsV2Request: Credentials uninitialized for ID", 503)},
		{"source down", "10.0.0.99", "/v2/credentials/id-alice", 500, body("InternalServerError", "Internal server error", 500)},
		{"other path", "10.0.0.1", "/v2/credentials", 404, "404 page not found\n"},
		{"other version", "10.0.0.1", "/v3/credentials/id-alice", 404, "404 page not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.get(c.addr, c.path)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, c.status, c.body)
			}
			if c.status >= 500 && !strings.Contains(f.log.String(), `"level":"ERROR"`) {
				t.Errorf("nothing is logged: %s", &f.log)
			}
			if c.name == "role gone" && !strings.Contains(f.log.String(), "no role trust policy") {
				t.Errorf("the log does not say why: %s", &f.log)
			}
		})
	}
	for name, cfg := range map[string]Config{"source": {}, "issuer": {Source: tasks{"10.0.0.1": {ARN: aliceARN, RoleARN: "r", CredentialsID: "x"}}}} {
		f := &fixture{Handler: NewHandler(cfg)}
		if w := f.get("10.0.0.1", "/v2/credentials/x"); w.Code == http.StatusOK {
			t.Errorf("without a %s: %d %s", name, w.Code, w.Body)
		}
	}
}

// TestForgedCaller: only the address counts.
func TestForgedCaller(t *testing.T) {
	f := newFixture(t)
	r := httptest.NewRequest(http.MethodGet, "/v2/credentials/id-bob", nil)
	r.RemoteAddr = "10.0.0.1:7"
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Host"} {
		r.Header.Set(name, "10.0.0.2")
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	r.RemoteAddr = "no address"
	w = httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("without an address: got %d %s", w.Code, w.Body)
	}
}

func TestRefreshed(t *testing.T) {
	f := newFixture(t)
	key := func() string {
		var a answer
		if err := json.Unmarshal(f.get("10.0.0.1", "/v2/credentials/id-alice").Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a.AccessKeyID
	}
	first := key()
	f.now = f.now.Add(5 * time.Hour)
	if key() != first {
		t.Error("renewed an hour before the end")
	}
	f.now = f.now.Add(45 * time.Minute)
	second := key()
	if second == first {
		t.Error("not renewed a quarter of an hour before the end")
	}
	if err := f.service.RevokeSessions("alice", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if key() == second {
		t.Error("revoked credentials are given")
	}
}

// TestRate: sixty at once, then forty a second, for each task.
func TestRate(t *testing.T) {
	f := newFixture(t)
	passed := func(addr string, n int) (ok int) {
		for range n {
			switch w := f.get(addr, "/v1/credentials"); w.Code {
			case http.StatusBadRequest:
				ok++
			case http.StatusTooManyRequests:
				if got := w.Body.String(); got != tooMany+"\n" {
					t.Fatalf("got %q", got)
				}
			default:
				t.Fatalf("got %d", w.Code)
			}
		}
		return ok
	}
	for _, step := range []struct {
		after time.Duration
		addr  string
		want  int // of 100
	}{
		{0, "10.0.0.1", 60},
		{0, "fd00::1", 0},   // the same task
		{0, "10.0.0.2", 60}, // and another is not hindered
		{time.Second, "10.0.0.1", 40},
		{time.Hour, "10.0.0.1", 60},
		{-time.Hour, "10.0.0.1", 0}, // the clock was set back
	} {
		f.now = f.now.Add(step.after)
		if got := passed(step.addr, 100); got != step.want {
			t.Errorf("%s after %s: %d of 100 passed, want %d", step.addr, step.after, got, step.want)
		}
	}
}
