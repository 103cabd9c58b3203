package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/metadata"
)

// loopback is a fabric whose endpoints are at addresses of this machine's loopback, which stand for tasks.
type loopback struct {
	network.Fabric
	network.Listener
	at chan string
}

func (f loopback) Listen(ctx context.Context, _ string, _ netip.AddrPort) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err == nil {
		f.at <- l.Addr().String()
	}
	return l, err
}

const (
	aliceAddr, bobAddr = "127.0.0.1", "127.0.0.2"
	aliceTask, bobTask = "0123456789abcdef0123456789abcdea", "0123456789abcdef0123456789abcdeb"

	endpointPatience = 30 * time.Second
)

// hostileEndpoint is the endpoint of a VPC with two tasks, as the engine serves it.
func hostileEndpoint(t *testing.T) (addr string) {
	t.Helper()
	fabric := loopback{at: make(chan string, 1)}
	secrets := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := CallerFrom(r.Context())
		if !ok || strings.TrimPrefix(r.URL.Path, credentialsPath) != caller.CredentialsID && r.URL.Query().Get("id") != caller.CredentialsID {
			http.Error(w, "not found", http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintln(w, "secret of", caller.TaskARN)
	})
	e, err := New(Config{Driver: noDriver{}, Fabric: fabric, Journal: noJournal{}, TaskCredentials: secrets})
	if err != nil {
		t.Fatal(err)
	}
	for at, id := range map[string]string{aliceAddr: aliceTask, bobAddr: bobTask} {
		def := &task.TaskDefinition{Family: id, TaskRoleARN: "arn:aws:iam::123456789012:role/" + id, ContainerDefinitions: []task.ContainerDefinition{{Name: "app"}}}
		it := task.Task{TaskARN: "arn:aws:ecs:eu-central-1:123456789012:task/default/" + id, Containers: []task.Container{{Name: "app", RuntimeID: id + "-1"}}}
		w := newWorker(e, Assignment{
			Task: &it, Definition: def, ENI: network.ENI{PrivateIPv4: netip.MustParseAddr(at)}, Subnet: network.Subnet{VPC: "vpc-1"},
		})
		w.shown.Store(&metadata.Snapshot{Task: it, Definition: def, Containers: map[string]metadata.Container{}})
		if err := e.endpoints.join(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(e.endpoints.closeAll)
	return <-fabric.at
}

// call connects from the address of a task.
func call(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: endpointPatience}
	c, err := d.Dial("tcp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(endpointPatience))
	return c
}

// say sends bytes, ends its side of the connection, and returns all that comes back.
func say(t *testing.T, from, to, text string) string {
	t.Helper()
	c := call(t, from, to)
	_, _ = io.WriteString(c, text) // it may be answered before it is read to the end
	_ = c.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(c)
	return string(got)
}

func get(path string, headers ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: 169.254.170.2\r\n" + strings.Join(append(headers, "Connection: close"), "\r\n") + "\r\n\r\n"
}

// TestHostileEndpoint has a task ask for what is another's, which it knows all IDs of, in each way that a server might take
// for the other's. Only the address that the connection comes from counts.
func TestHostileEndpoint(t *testing.T) {
	at := hostileEndpoint(t)
	id, endpoint := CredentialsID(aliceTask), metadata.EndpointID(aliceTask, "app")
	if got := say(t, aliceAddr, at, get("/v2/credentials/"+id)); !strings.Contains(got, "secret of") || !strings.Contains(got, aliceTask) {
		t.Fatalf("a task does not get its own credentials: %s", got)
	}
	if got := say(t, aliceAddr, at, get("/v4/"+endpoint+"/task")); !strings.Contains(got, `"Family":"`+aliceTask) {
		t.Fatalf("a task does not get its own metadata: %s", got)
	}
	smuggled := get("/v2/credentials/" + id)
	length := fmt.Sprint(len(smuggled))
	attempts := map[string]string{}
	for _, p := range []string{
		"/v2/credentials/" + id, "//v2/credentials/" + id, "/v2//credentials/" + id, "/v2/credentials//" + id, "/v2/credentials/./" + id,
		"/v2/credentials/x/../" + id, "/v2/%63redentials/" + id, "/v2/credentials%2f" + id, "/v2/credentials/" + id + "%00", "/v2/credentials/" + id + "/",
		"/v1/credentials?id=" + id, "/v1/credentials?id=x&id=" + id, "/v1/credentials;id=" + id, "/v2/credentials?id=" + id, "/v4/../v2/credentials/" + id,
		"/v2/credentials/" + CredentialsID(bobTask) + "?id=" + id, "http://169.254.170.2/v2/credentials/" + id, "http://" + aliceAddr + "/v2/credentials/" + id, "*",
		"/v4/" + endpoint, "/v4/" + endpoint + "/task", "/v4/" + endpoint + "/stats", "/v3/" + endpoint + "/task", "/v3/" + endpoint + "/taskWithTags",
		"/v2/metadata/" + aliceTask + "-1", "/v2/metadata?" + aliceTask, "/api/" + endpoint + "/task-protection/v1/state", "/v4/" + metadata.EndpointID(bobTask, "app") + "/../" + endpoint + "/task",
	} {
		attempts["the path "+p] = get(p)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Host", "Authorization"} {
		attempts["the header "+name] = get("/v2/credentials/"+id, name+": "+aliceAddr, name+": for="+aliceAddr)
	}
	attempts["another host"] = "GET /v2/credentials/" + id + " HTTP/1.1\r\nHost: " + aliceAddr + "\r\nConnection: close\r\n\r\n"
	attempts["two hosts"] = "GET /v2/credentials/" + id + " HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"
	attempts["HTTP/1.0"] = "GET /v2/credentials/" + id + " HTTP/1.0\r\n\r\n"
	attempts["HTTP/0.9"] = "GET /v2/credentials/" + id + "\r\n"
	attempts["HTTP/2"] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(make([]byte, 9)) + smuggled
	attempts["an upgrade to HTTP/2"] = get("/v2/credentials/"+id, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
	attempts["the PROXY protocol"] = "PROXY TCP4 " + aliceAddr + " " + aliceAddr + " 1 80\r\n" + smuggled
	attempts["a body that is a request, by its length"] = "GET /v2/metadata HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: " + length + "\r\n\r\n" + smuggled
	attempts["a body that is a request, by chunks"] = "POST /v2/metadata HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: " + length + "\r\n\r\n0\r\n\r\n" + smuggled
	attempts["a body that is a request, by an encoding that is none"] = "POST /v2/metadata HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n" + smuggled
	attempts["a request behind another"] = "GET /v2/metadata HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled
	attempts["a line end in a header"] = get("/v2/metadata", "X: y\nX-Forwarded-For: "+aliceAddr+"\n\n"+smuggled)
	for _, method := range []string{"PUT", "POST", "DELETE", "CONNECT", "TRACE", "OPTIONS", "PROPFIND"} {
		attempts["the method "+method] = strings.Replace(smuggled, "GET", method, 1)
	}
	for name, text := range attempts {
		got := say(t, bobAddr, at, text)
		for strings.Contains(got, "429 Too Many Requests") { // a task asks so often in a second
			<-time.After(100 * time.Millisecond)
			got = say(t, bobAddr, at, text)
		}
		// What was asked may be repeated; what only the other's answer has may not.
		leaked := strings.Contains(got, "secret of arn:aws:ecs:eu-central-1:123456789012:task/default/"+aliceTask) || strings.Contains(got, `"Family":"`+aliceTask)
		first, _, _ := strings.Cut(got, "\r\n")
		away := strings.Contains(got, "\r\nLocation: ") && !strings.Contains(got, "\r\nLocation: /")
		hostiletest.Report(t, "a task asks for another's by "+name, leaked || away, first)
	}
}

// TestHostileEndpointExhaustion has a task take what the endpoint has for all: connections that say nothing, or say it
// slowly, and requests without end. Another task is served meanwhile.
func TestHostileEndpointExhaustion(t *testing.T) {
	at := hostileEndpoint(t)
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("needs /proc")
		}
		return len(list)
	}
	other := func() bool {
		return strings.Contains(say(t, aliceAddr, at, get("/v4/"+metadata.EndpointID(aliceTask, "app")+"/task")), "200 OK")
	}
	before := files()
	const tries = 300
	var conns []net.Conn
	for range tries {
		c := call(t, bobAddr, at)
		_, _ = io.WriteString(c, "GET /v4/x HTTP/1.1\r\nX: ")
		conns = append(conns, c)
	}
	ok := other()
	held := files() - before - tries // this process has the task's ends, too
	hostiletest.Report(t, "a task takes the host program's descriptors", held > endpointMaxConns+8 || !ok,
		fmt.Sprintf("%d connections, %d descriptors of the endpoint's; another task is served: %t", tries, held, ok))
	start := time.Now()
	for _, c := range conns {
		_ = c.SetDeadline(start.Add(endpointPatience))
		_, err := io.Copy(io.Discard, c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			hostiletest.Report(t, "a task never ends a request", true, "the connection is open after "+time.Since(start).String())
			return
		}
	}
	hostiletest.Report(t, "a task never ends a request", false, "closed after "+time.Since(start).Round(time.Second).String())
	for name, text := range map[string]string{
		"a path of a megabyte":     get("/v4/" + strings.Repeat("x", 1<<20)),
		"a header of a megabyte":   get("/v4/x", "X: "+strings.Repeat("x", 1<<20)),
		"a hundred thousand of it": get("/v4/x", strings.Repeat("X: y\r\n", 100000)+"Y: z"),
		"a body of ten megabytes": "PUT /api/" + metadata.EndpointID(bobTask, "app") + "/task-protection/v1/state HTTP/1.1\r\nHost: a\r\nContent-Length: 10485760\r\nConnection: close\r\n\r\n" +
			strings.Repeat("[", 10<<20),
		"a chunk without an end": "PUT /api/" + metadata.EndpointID(bobTask, "app") + "/task-protection/v1/state HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	} {
		got := say(t, bobAddr, at, text)
		status, _, _ := strings.Cut(got, "\r\n")
		hostiletest.Report(t, name, strings.Contains(status, " 200 ") || !other(), status)
	}
	c := call(t, bobAddr, at)
	go func() { _, _ = c.Write(bytes.Repeat([]byte("GET /v4/x HTTP/1.1\r\nHost: a\r\n\r\n"), 20000)) }()
	answers := make([]byte, 1<<20)
	n, _ := io.ReadFull(c, answers)
	refused := bytes.Count(answers[:n], []byte(" 429 "))
	_ = c.Close()
	hostiletest.Report(t, "requests without end", refused == 0 || !other(), fmt.Sprintf("%d of the first are refused", refused))
}
