//go:build linux

package local_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// relayPort is where containers relay requests.
const relayPort = "8080"

// relayed is a request that a container makes for the test. $NAME in the URL is a variable of the container. The method
// ENV returns its environment, DIAL says 200 when a connection to the URL is made, and TRY is a GET that may be refused.
type relayed struct{ Method, URL, Body string }

// answered is what came of it.
type answered struct {
	Code int
	Body string
	Err  string
}

// relay makes the requests of others from inside this container.
func relay(port string) error {
	client := &http.Client{Timeout: 30 * time.Second}
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	fmt.Println("relaying")
	var program sdk
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in relayed
		var out answered
		err := json.NewDecoder(r.Body).Decode(&in)
		switch {
		case err != nil:
		case in.Method == "SDK":
			out.Body, err = program.credentials(r.Context())
		default:
			out, err = in.do(client)
		}
		if err != nil {
			out.Err = err.Error()
		}
		_ = json.NewEncoder(w).Encode(out)
	}))
}

func (in relayed) do(client *http.Client) (out answered, err error) {
	url := os.Expand(in.URL, os.Getenv)
	switch in.Method {
	case "ENV":
		return answered{Body: strings.Join(os.Environ(), "\n")}, nil
	case "DIAL":
		conn, err := net.DialTimeout("tcp", in.URL, 2*time.Second)
		if err != nil {
			return answered{Body: err.Error()}, nil
		}
		return answered{Code: 200}, conn.Close()
	case "TRY":
		in.Method = http.MethodGet
		if out, err = in.do(client); err != nil {
			return answered{Body: err.Error()}, nil
		}
		return out, nil
	}
	req, err := http.NewRequest(in.Method, url, strings.NewReader(in.Body))
	if err != nil {
		return out, err
	}
	res, err := client.Do(req)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answered{Code: res.StatusCode, Body: string(body)}, err
}

// inside makes a request from inside a task whose container relays, and fails the test if it gets no answer.
func inside(t *testing.T, run *scheduler.Run, method, url, body string) answered {
	t.Helper()
	out := ask(t, run, method, url, body)
	if out.Err != "" {
		t.Fatalf("%s %s from inside: %s", method, url, out.Err)
	}
	return out
}

// ask makes a request from inside a task whose container relays. That it gets no answer is an answer.
func ask(t *testing.T, run *scheduler.Run, method, url, body string) answered {
	t.Helper()
	rec, err := run.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort(rec.Attachments[0].Detail("privateIPv4Address"), relayPort)
	sent, err := json.Marshal(relayed{method, url, body})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out answered
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// startRelay starts a task of a container that relays, and waits until it does.
func startRelay(t *testing.T, c *local.Cluster, def *task.TaskDefinition, o scheduler.RunOptions) *scheduler.Run {
	t.Helper()
	run := start(t, c, def, o)
	running(t, run)
	awaitOutput(t, run, "app", "relaying")
	return run
}

// TestTaskCredentialsHandler checks the way to the credentials of a role from inside a task, and that only a task with a
// role is told of it.
func TestTaskCredentialsHandler(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := engine.CallerFrom(r.Context())
		fmt.Fprintf(w, "%v %s %s %s %s", ok, r.URL.Path, caller.TaskARN, caller.TaskRoleARN, caller.CredentialsID)
	})
	c := open(t, func(cfg *local.Config) { cfg.TaskCredentials = handler })
	const role = "arn:aws:iam::000000000000:role/app"
	def := define([]string{"app", "relay " + relayPort})
	plain := startRelay(t, c, def, scheduler.RunOptions{})
	withRole := startRelay(t, c, def, scheduler.RunOptions{Overrides: &task.TaskOverride{TaskRoleARN: role}})

	path := "/v2/credentials/" + engine.CredentialsID(withRole.ID())
	got := inside(t, withRole, "GET", "http://169.254.170.2${AWS_CONTAINER_CREDENTIALS_RELATIVE_URI}", "")
	want := fmt.Sprintf("true %s %s %s %s", path, withRole.ARN(), role, engine.CredentialsID(withRole.ID()))
	if got.Code != 200 || got.Body != want {
		t.Errorf("credentials: %+v, want %q", got, want)
	}
	if got := inside(t, withRole, "GET", "http://169.254.170.2/v1/credentials?id=x", ""); !strings.HasPrefix(got.Body, "true /v1/credentials ") {
		t.Errorf("version 1: %+v", got)
	}
	// The handler is told who asks, so that it can refuse what is another task's.
	if got := inside(t, plain, "GET", "http://169.254.170.2"+path, ""); !strings.Contains(got.Body, plain.ARN()+"  ") {
		t.Errorf("another task's credentials: %+v", got)
	}
	if env := inside(t, plain, "ENV", "", "").Body; strings.Contains(env, "AWS_CONTAINER_CREDENTIALS") {
		t.Errorf("a task without a role has %s", env)
	}
}
