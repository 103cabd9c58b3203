//go:build linux

package containerd

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/internal/hostiletest"
	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/runtime"
)

const (
	hostileUser     = "operator"
	hostilePassword = "password-of-the-operator"
	hostileToken    = "token-of-the-registry"
)

// hostileSecrets are what nobody but the registry may see, in all forms that are sent.
var hostileSecrets = []string{hostilePassword, hostileToken, base64.StdEncoding.EncodeToString([]byte(hostileUser + ":" + hostilePassword))}

// witness is a server on loopback that notes all that it is sent.
type witness struct {
	*httptest.Server
	host string

	connections atomic.Int64

	mu      sync.Mutex
	seen    []string
	handler http.HandlerFunc
}

func newWitness(t testing.TB, network string, secure bool) *witness {
	t.Helper()
	s := &witness{}
	address := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("no %s on loopback: %v", network, err)
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		dump, err := httputil.DumpRequest(req, true)
		if err != nil {
			dump = []byte(err.Error())
		}
		s.mu.Lock()
		s.seen = append(s.seen, string(dump))
		handler := s.handler
		s.mu.Unlock()
		if handler != nil {
			handler(w, req)
		}
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	_ = s.Listener.Close()
	if s.Listener = l; secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	s.host = l.Addr().String()
	return s
}

func (s *witness) answer(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = handler
}

// asked returns and forgets the requests.
func (s *witness) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// leaks are the requests with a secret in them.
func (s *witness) leaks() (found []string) {
	for _, request := range s.asked() {
		for _, secret := range hostileSecrets {
			if strings.Contains(request, secret) {
				found = append(found, request)
			}
		}
	}
	return found
}

func (s *witness) port() string { return s.host[strings.LastIndexByte(s.host, ':')+1:] }

func unauthorized(w http.ResponseWriter, challenges ...string) {
	for _, c := range challenges {
		w.Header().Add("WWW-Authenticate", c)
	}
	w.WriteHeader(http.StatusUnauthorized)
}

func bearer(realm string) string { return fmt.Sprintf(`Bearer realm="%s",service="s"`, realm) }

// loggedIn lets in who has the password or the token, and says how to get it.
func loggedIn(w http.ResponseWriter, req *http.Request, scheme, origin string) bool {
	_, password, _ := req.BasicAuth()
	switch {
	case req.URL.Path == "/token":
		_, _ = fmt.Fprintf(w, `{"token":%q,"access_token":%q}`, hostileToken, hostileToken)
		return false
	case scheme == "Basic" && password == hostilePassword, scheme == "Bearer" && req.Header.Get("Authorization") == "Bearer "+hostileToken:
		return true
	case scheme == "Basic":
		unauthorized(w, `Basic realm="r"`)
	default:
		unauthorized(w, bearer(origin+"/token"))
	}
	return false
}

// resolverOf answers each question with the next of the host's addresses, and with the last from then on.
func resolverOf(t testing.TB, hosts map[string][]string) *net.Resolver {
	t.Helper()
	var mu sync.Mutex
	next := func(name string) (netip.Addr, bool) {
		mu.Lock()
		defer mu.Unlock()
		list := hosts[strings.TrimSuffix(name, ".")]
		if len(list) == 0 {
			return netip.Addr{}, false
		}
		addr := netip.MustParseAddr(list[0])
		if len(list) > 1 {
			hosts[strings.TrimSuffix(name, ".")] = list[1:]
		}
		return addr, true
	}
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go answerNames(there, next)
		return here, nil
	}}
}

// answerNames is a name server with A and AAAA records, over a stream.
func answerNames(c net.Conn, next func(name string) (netip.Addr, bool)) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		var labels []string
		at := 12
		for question[at] != 0 {
			labels = append(labels, string(question[at+1:at+1+int(question[at])]))
			at += 1 + int(question[at])
		}
		kind := binary.BigEndian.Uint16(question[at+1:])
		reply := append([]byte(nil), question[:at+5]...)
		copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
		if kind == 1 || kind == 28 {
			addr, ok := next(strings.Join(labels, "."))
			switch {
			case !ok:
				reply[3] |= 3 // no such name
			case addr.Is4() == (kind == 1):
				reply[7] = 1
				reply = append(reply, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(addr.BitLen()/8))
				reply = append(reply, addr.AsSlice()...)
			}
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// hostileRegistry is a registry with an image, and a stranger that it sends to.
type hostileRegistry struct {
	*testRegistry
	stranger *witness
}

// credentialAttacks are what a registry answers whose credentials the operator has given us.
var credentialAttacks = []struct {
	name    string
	secure  bool // the registry has HTTPS
	guard   func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool
	answers func(h hostileRegistry, w http.ResponseWriter, req *http.Request) // of the stranger
}{
	{
		name: "a manifest is at a stranger with a Basic challenge",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			http.Redirect(w, req, h.stranger.URL+"/x", http.StatusTemporaryRedirect)
			return false
		},
		answers: func(_ hostileRegistry, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Basic realm="x"`) },
	},
	{
		name: "a manifest is at a stranger with a Bearer challenge",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			http.Redirect(w, req, h.stranger.URL+"/x", http.StatusTemporaryRedirect)
			return false
		},
		answers: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/token" {
				_, _ = io.WriteString(w, `{"token":"its-own"}`)
				return
			}
			unauthorized(w, bearer(h.stranger.URL+"/token"))
		},
	},
	{
		name: "blobs are at a stranger after a Basic login",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			if !loggedIn(w, req, "Basic", "") {
				return false
			}
			if strings.Contains(req.URL.Path, "/blobs/") {
				http.Redirect(w, req, h.stranger.URL+req.URL.Path, http.StatusTemporaryRedirect)
				return false
			}
			return true
		},
		answers: func(_ hostileRegistry, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Basic realm="x"`) },
	},
	{
		name: "blobs are at a stranger after a Bearer login",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			if !loggedIn(w, req, "Bearer", h.URL) {
				return false
			}
			if strings.Contains(req.URL.Path, "/blobs/") {
				http.Redirect(w, req, h.stranger.URL+req.URL.Path, http.StatusTemporaryRedirect)
				return false
			}
			return true
		},
		answers: func(_ hostileRegistry, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Basic realm="x"`) },
	},
	{
		name: "the realm is on another port",
		guard: func(h hostileRegistry, w http.ResponseWriter, _ *http.Request) bool {
			unauthorized(w, bearer(h.stranger.URL+"/token"))
			return false
		},
	},
	{
		name: "the realm is one of two, and the second on another port",
		guard: func(h hostileRegistry, w http.ResponseWriter, _ *http.Request) bool {
			unauthorized(w, bearer(h.URL+"/token"), bearer(h.stranger.URL+"/token"))
			return false
		},
	},
	{
		name: "the realm changes to a stranger after a login",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, "/blobs/") {
				unauthorized(w, bearer(h.stranger.URL+"/token")+`,error="invalid_token"`)
				return false
			}
			return loggedIn(w, req, "Bearer", h.URL)
		},
	},
	{
		name: "the token server sends a POST on to a stranger",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == "/token" && req.Method == http.MethodPost {
				http.Redirect(w, req, h.stranger.URL+"/token", http.StatusPermanentRedirect)
				return false
			}
			return loggedIn(w, req, "Bearer", h.URL)
		},
	},
	{
		name: "the token server sends a GET on to a stranger",
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			switch {
			case req.URL.Path == "/token" && req.Method == http.MethodPost:
				http.NotFound(w, req)
				return false
			case req.URL.Path == "/token":
				http.Redirect(w, req, h.stranger.URL+"/token", http.StatusFound)
				return false
			}
			return loggedIn(w, req, "Bearer", h.URL)
		},
	},
	{
		name: "HTTPS sends to HTTP", secure: true,
		guard: func(h hostileRegistry, w http.ResponseWriter, req *http.Request) bool {
			if loggedIn(w, req, "Basic", "") {
				http.Redirect(w, req, h.stranger.URL+req.URL.Path, http.StatusTemporaryRedirect)
			}
			return false
		},
		answers: func(_ hostileRegistry, w http.ResponseWriter, _ *http.Request) { unauthorized(w, `Basic realm="x"`) },
	},
	{
		name: "HTTPS with a realm of HTTP", secure: true,
		guard: func(h hostileRegistry, w http.ResponseWriter, _ *http.Request) bool {
			unauthorized(w, bearer(h.stranger.URL+"/token"))
			return false
		},
	},
	{
		name: "a realm with the registry's host as user",
		guard: func(h hostileRegistry, w http.ResponseWriter, _ *http.Request) bool {
			unauthorized(w, bearer("http://"+h.host+"@"+h.stranger.host+"/token"))
			return false
		},
	},
}

// TestHostileRegistryCredentials has registries lead us to send what is theirs to a server on another port.
func TestHostileRegistryCredentials(t *testing.T) {
	lane.Root(t)
	secret := &runtime.Credentials{Username: hostileUser, Password: hostilePassword}
	for _, tt := range credentialAttacks {
		for _, from := range []string{"Config.Registries", "the task"} {
			h := hostileRegistry{newRegistry(t, tt.secure), newWitness(t, "tcp4", false)}
			h.push(t, "app:1", randomImage(t, "linux/amd64", 1))
			h.setGuard(func(w http.ResponseWriter, req *http.Request) bool { return tt.guard(h, w, req) })
			if tt.answers != nil {
				h.stranger.answer(func(w http.ResponseWriter, req *http.Request) { tt.answers(h, w, req) })
			}
			entry, spec := Registry{PlainHTTP: !tt.secure}, amd64(h.host+"/app:1")
			if tt.secure {
				entry.RootCAs = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
			}
			if from == "the task" {
				spec.Auth = secret
			} else {
				entry.Auth = secret
			}
			d := embedForImages(t, func(c *Config) {
				c.Registries, c.PullAttempts = map[string]Registry{h.host: entry, h.stranger.host: {PlainHTTP: true}}, 2
			})
			_, err := d.Pull(t.Context(), spec)
			leaks := h.stranger.leaks()
			hostiletest.Report(t, tt.name+", credentials of "+from, len(leaks) > 0, fmt.Sprintf("%d requests with a secret, %v", len(leaks), err))
			for _, s := range hostileSecrets {
				if err == nil || strings.Contains(err.Error(), s) {
					t.Errorf("%s: got %v, want an error without secrets", tt.name, err)
				}
			}
		}
	}
}

// TestHostileRegistryNames does the same with names, of which one is below the other, as net/http would have it inherit.
func TestHostileRegistryNames(t *testing.T) {
	lane.Root(t)
	secret := &runtime.Credentials{Username: hostileUser, Password: hostilePassword}
	for _, scheme := range []string{"Basic", "Bearer"} {
		for _, sub := range []string{"cdn.registry.test", "registry.test", "other.test"} { // "registry.test" is on another port
			r, stranger := newRegistry(t, false), newWitness(t, "tcp4", false)
			r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
			_, port, _ := strings.Cut(r.host, ":")
			host, to := "registry.test:"+port, sub+":"+stranger.port()
			r.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
				if loggedIn(w, req, scheme, "http://"+host) {
					http.Redirect(w, req, "http://"+to+req.URL.Path, http.StatusTemporaryRedirect)
				}
				return false
			})
			d := embedForImages(t, func(c *Config) {
				c.Registries = map[string]Registry{host: {PlainHTTP: true, Auth: secret}, to: {PlainHTTP: true}}
				c.PullAttempts = 1
				c.resolver = resolverOf(t, map[string][]string{"registry.test": {"127.0.0.1"}, sub: {"127.0.0.1"}})
			})
			_, err := d.Pull(t.Context(), amd64(host+"/app:1"))
			requests := stranger.asked()
			leaked := 0
			for _, request := range requests {
				for _, s := range hostileSecrets {
					if strings.Contains(request, s) {
						leaked++
					}
				}
			}
			hostiletest.Report(t, scheme+" login, redirect to "+sub, leaked > 0, fmt.Sprintf("%d of %d requests with a secret, %v", leaked, len(requests), err))
			if len(requests) == 0 || err == nil {
				t.Errorf("redirect to %s: %d requests, %v: want to be asked", sub, len(requests), err)
			}
		}
	}
}

// TestHostileMirror has a mirror ask for what is its origin's.
func TestHostileMirror(t *testing.T) {
	lane.Root(t)
	for name, challenge := range map[string]func(s *witness) string{
		"Basic":                   func(*witness) string { return `Basic realm="x"` },
		"Bearer with its realm":   func(s *witness) string { return bearer(s.URL + "/token") },
		"Bearer and a bad answer": func(s *witness) string { return bearer(s.URL + "/v2/") },
	} {
		r, mirror := newRegistry(t, false), newWitness(t, "tcp4", false)
		r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
		r.setGuard(func(w http.ResponseWriter, req *http.Request) bool { return loggedIn(w, req, "Basic", "") })
		mirror.answer(func(w http.ResponseWriter, _ *http.Request) { unauthorized(w, challenge(mirror)) })
		d := embedForImages(t, func(c *Config) {
			c.Registries = map[string]Registry{
				r.host:      {PlainHTTP: true, Mirrors: []string{mirror.host}, Auth: &runtime.Credentials{Username: hostileUser, Password: hostilePassword}},
				mirror.host: {PlainHTTP: true},
			}
		})
		_, err := d.Pull(t.Context(), amd64(r.host+"/app:1"))
		leaks := mirror.leaks()
		hostiletest.Report(t, "a mirror wants "+name, len(leaks) > 0, fmt.Sprintf("%d requests with a secret, %v", len(leaks), err))
		if err != nil {
			t.Errorf("the registry itself: %v", err)
		}
	}
}

// TestPullTokenServer has a token server on another port get the credentials when it is named, and a redirect to a registry that
// gives tokens to everybody get none.
func TestPullTokenServer(t *testing.T) {
	lane.Root(t)
	r, tokens := newRegistry(t, false), newWitness(t, "tcp4", false)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
	tokens.answer(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost || strings.Contains(fmt.Sprint(req.Header), "Basic") {
			loggedIn(w, req, "Bearer", "")
			return
		}
		http.Error(w, "who?", http.StatusUnauthorized)
	})
	r.setGuard(func(w http.ResponseWriter, req *http.Request) bool { return loggedIn(w, req, "Bearer", tokens.URL) })
	secret := &runtime.Credentials{Username: hostileUser, Password: hostilePassword}
	entry := Registry{PlainHTTP: true, Auth: secret}
	open := func() *Driver {
		return embedForImages(t, func(c *Config) {
			c.Registries, c.PullAttempts = map[string]Registry{r.host: entry, tokens.host: {PlainHTTP: true}}, 3
		})
	}
	_, err := open().Pull(t.Context(), amd64(r.host+"/app:1"))
	var said *runtime.PullError
	if !errors.Is(err, runtime.ErrRegistryNotAllowed) || !strings.Contains(err.Error(), fmt.Sprintf("name %q in Config.Registries[%q].TokenServers", tokens.host, r.host)) ||
		!errors.As(err, &said) || said.Attempts != 1 {
		t.Errorf("a token server that is not named: %v", err)
	}
	entry.TokenServers = []string{tokens.host}
	if _, err := open().Pull(t.Context(), amd64(r.host+"/app:1")); err != nil {
		t.Errorf("a token server that is named: %v", err)
	}
	front := newWitness(t, "tcp4", false)
	front.answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, r.URL+req.URL.Path, http.StatusTemporaryRedirect)
	})
	r.setGuard(func(w http.ResponseWriter, req *http.Request) bool { return loggedIn(w, req, "Bearer", r.URL) })
	d := embedForImages(t, func(c *Config) {
		c.Registries = map[string]Registry{r.host: {PlainHTTP: true}, front.host: {PlainHTTP: true, Auth: secret}}
	})
	if _, err := d.Pull(t.Context(), amd64(front.host+"/app:1")); err != nil {
		t.Errorf("a registry that is a redirect: %v", err)
	}
	if leaks := front.leaks(); len(leaks) > 0 {
		t.Errorf("the redirect got a token: %q", leaks)
	}
}

// TestHostileRegistryAddresses has images and registries lead us to a service of this machine that nobody named.
func TestHostileRegistryAddresses(t *testing.T) {
	lane.Root(t)
	service, six := newWitness(t, "tcp4", false), newWitness(t, "tcp6", false)
	names := map[string][]string{"evil.test": {"127.0.0.1"}, "evil6.test": {"::1"}, "mapped.test": {"::ffff:127.0.0.1"}}
	ask := func(name, ref string, hosts map[string]Registry) {
		t.Helper()
		d := embedForImages(t, func(c *Config) {
			c.Registries, c.resolver, c.PullAttempts = hosts, resolverOf(t, names), 3
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := d.Pull(ctx, amd64(ref))
		asked := service.connections.Swap(0) + six.connections.Swap(0)
		hostiletest.Report(t, name, asked > 0, fmt.Sprintf("%d connections, %v", asked, err))
		var said *runtime.PullError
		if !errors.Is(err, runtime.ErrRegistryNotAllowed) || !errors.As(err, &said) || said.Attempts != 1 || !strings.Contains(err.Error(), "Config.Registries[") {
			t.Errorf("%s: got %v (%+v), want ErrRegistryNotAllowed of the first attempt that names the setting", name, err, said)
		}
	}
	targets := []string{
		service.host, "localhost:" + service.port(), six.host, "[::ffff:7f00:1]:" + service.port(), "127.0.0.2:" + service.port(),
		"evil.test:" + service.port(), "evil6.test:" + six.port(), "mapped.test:" + service.port(), "0.0.0.0:" + service.port(),
	}
	for _, target := range targets {
		ask("an image's registry is "+target, target+"/app:1", nil)
	}
	targets = append(targets, "[::ffff:127.0.0.1]:"+service.port(), "2130706433:"+service.port(), "127.1:"+service.port(),
		"0x7f.0.0.1:"+service.port(), "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "[fe80::1]", "[64:ff9b::a9fe:a9fe]")
	for _, target := range targets {
		for _, way := range []string{"manifest", "realm", "token"} {
			r := newRegistry(t, false)
			r.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
				switch {
				case way == "realm":
					unauthorized(w, bearer("http://"+target+"/token"))
				case way == "token" && req.URL.Path != "/token":
					unauthorized(w, bearer(r.URL+"/token"))
				default:
					http.Redirect(w, req, "http://"+target+"/chosen?by=them", http.StatusFound)
				}
				return false
			})
			if way != "token" { // which may not be sent on at all, and names no setting
				ask("the "+way+" is at "+target, r.host+"/app:1", map[string]Registry{r.host: {PlainHTTP: true}})
				continue
			}
			d := embedForImages(t, func(c *Config) {
				c.Registries, c.resolver = map[string]Registry{r.host: {PlainHTTP: true}}, resolverOf(t, names)
			})
			_, err := d.Pull(t.Context(), amd64(r.host+"/app:1"))
			asked := service.connections.Swap(0) + six.connections.Swap(0)
			hostiletest.Report(t, "the token is at "+target, asked > 0 || !errors.Is(err, runtime.ErrRegistryNotAllowed), fmt.Sprintf("%d connections, %v", asked, err))
		}
	}
}

// TestHostileRebinding has a name lead to the Internet when it is looked at, and to this machine when it is dialed.
func TestHostileRebinding(t *testing.T) {
	service := newWitness(t, "tcp4", false)
	resolver := resolverOf(t, map[string][]string{"evil.test": {"1.1.1.1", "127.0.0.1"}})
	r, err := newRules(nil, "evil.test:"+service.port())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := resolver.LookupNetIP(t.Context(), "ip4", "evil.test")
	if err != nil || len(seen) != 1 || r.address(r.registry.hostPort(), seen[0]) != nil {
		t.Fatalf("first it is %v, %v", seen, err)
	}
	d := &dialer{rules: r, resolver: resolver}
	conn, err := d.dial(t.Context(), "tcp", "evil.test:"+service.port())
	if err == nil {
		_ = conn.Close()
	}
	hostiletest.Report(t, "rebinding", !errors.Is(err, runtime.ErrRegistryNotAllowed), fmt.Sprint(err))
}

// TestHostileThroughProxy has a proxy on loopback, which is the operator's, asked only for what may be asked.
func TestHostileThroughProxy(t *testing.T) {
	lane.Root(t)
	r, proxy := newRegistry(t, false), newWitness(t, "tcp4", false)
	r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
	proxy.answer(func(w http.ResponseWriter, req *http.Request) {
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", r.host
		}}).ServeHTTP(w, req)
	})
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *Driver {
		return embedForImages(t, func(c *Config) {
			c.Registries = map[string]Registry{"registry.test": {PlainHTTP: true}}
			c.proxy = func(*http.Request) (*url.URL, error) { return through, nil }
		})
	}
	if _, err := open().Pull(t.Context(), amd64("registry.test/app:1")); err != nil {
		t.Errorf("through a proxy: %v", err)
	}
	proxy.asked()
	for _, target := range []string{"169.254.169.254", "127.0.0.1:1", "localhost", "2130706433", "[::ffff:10.0.0.1]"} {
		r.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
			http.Redirect(w, req, "http://"+target+"/chosen", http.StatusFound)
			return false
		})
		_, err := open().Pull(t.Context(), amd64("registry.test/app:1"))
		asked := 0
		for _, request := range proxy.asked() {
			if strings.Contains(request, "/chosen") {
				asked++
			}
		}
		hostiletest.Report(t, "through a proxy to "+target, asked > 0 || !errors.Is(err, runtime.ErrRegistryNotAllowed), fmt.Sprintf("%d requests, %v", asked, err))
	}
}

// endless writes for as long as somebody reads, and counts.
func endless(w http.ResponseWriter, req *http.Request, sent *atomic.Int64, piece []byte, pause time.Duration) {
	for req.Method != http.MethodHead && req.Context().Err() == nil {
		n, err := w.Write(piece)
		sent.Add(int64(n))
		if err != nil {
			return
		}
		if pause > 0 {
			w.(http.Flusher).Flush()
			select {
			case <-time.After(pause):
			case <-req.Context().Done():
				return
			}
		}
	}
}

// endlessAttacks are answers that do not end, or that are larger than anything may be.
var endlessAttacks = []struct {
	name  string
	want  error
	guard func(r *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool
}{
	{"a manifest that does not end", runtime.ErrImageLimit, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		if req.Method == http.MethodGet {
			endless(w, req, sent, make([]byte, 64<<10), 0)
		}
		return false
	}},
	{"a manifest of a terabyte", runtime.ErrImageLimit, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Content-Length", "1099511627776")
		if req.Method == http.MethodGet {
			endless(w, req, sent, make([]byte, 64<<10), 0)
		}
		return false
	}},
	{"a manifest that is said to be small", runtime.ErrImageCorrupt, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if req.Method == http.MethodHead {
			return answer(w, req, "small")
		}
		endless(w, req, sent, make([]byte, 64<<10), 0)
		return false
	}},
	{"a manifest that comes byte by byte", runtime.ErrRegistryUnavailable, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		if req.Method == http.MethodGet {
			endless(w, req, sent, []byte{' '}, 5*time.Millisecond)
		}
		return false
	}},
	{"a configuration that does not end", runtime.ErrImageCorrupt, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if strings.Contains(req.URL.Path, "/blobs/") {
			endless(w, req, sent, make([]byte, 64<<10), 0)
			return false
		}
		return true
	}},
	{"a configuration that comes byte by byte", runtime.ErrRegistryUnavailable, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if strings.Contains(req.URL.Path, "/blobs/") {
			endless(w, req, sent, []byte{' '}, 50*time.Millisecond)
			return false
		}
		return true
	}},
	{"a token that does not end", runtime.ErrRegistryNotAllowed, func(r *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if req.URL.Path != "/token" {
			unauthorized(w, bearer(r.URL+"/token"))
			return false
		}
		_, _ = io.WriteString(w, `{"token":"`)
		endless(w, req, sent, []byte(strings.Repeat("t", 64<<10)), 0)
		return false
	}},
	{"a token that comes byte by byte", runtime.ErrRegistryUnavailable, func(r *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if req.URL.Path != "/token" {
			unauthorized(w, bearer(r.URL+"/token"))
			return false
		}
		_, _ = io.WriteString(w, `{"token":"`)
		endless(w, req, sent, []byte("t"), 5*time.Millisecond)
		return false
	}},
	{"an error that does not end", runtime.ErrRegistryUnavailable, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if req.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		endless(w, req, sent, make([]byte, 64<<10), 0)
		return false
	}},
	{"an error that comes byte by byte", runtime.ErrRegistryUnavailable, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		if req.Method == http.MethodHead {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		endless(w, req, sent, []byte{' '}, 5*time.Millisecond)
		return false
	}},
	{"a refusal of credentials that does not end", runtime.ErrUnauthorized, func(_ *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		unauthorized(w, `Digest realm="x"`)
		endless(w, req, sent, make([]byte, 64<<10), 0)
		return false
	}},
	{"redirects in a circle", runtime.ErrRegistryNotAllowed, func(r *testRegistry, w http.ResponseWriter, req *http.Request, sent *atomic.Int64) bool {
		sent.Add(1 << 20)
		http.Redirect(w, req, r.URL+req.URL.Path, http.StatusTemporaryRedirect)
		return false
	}},
	{"a manifest encoded with Zstandard", runtime.ErrRegistryNotAllowed, func(_ *testRegistry, w http.ResponseWriter, _ *http.Request, _ *atomic.Int64) bool {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Content-Encoding", "zstd")
		return false
	}},
	{"headers that do not end", runtime.ErrRegistryUnavailable, func(_ *testRegistry, w http.ResponseWriter, _ *http.Request, sent *atomic.Int64) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
		for piece := make([]byte, 64<<10); err == nil; {
			var n int
			n, err = conn.Write([]byte(strings.ReplaceAll(string(piece), "\x00", "x")))
			sent.Add(int64(n))
		}
		return false
	}},
}

// TestHostileRegistryEndless has what does not end cost neither time nor memory. Buffers of the kernel take a few MiB more than
// is read.
func TestHostileRegistryEndless(t *testing.T) {
	lane.Root(t)
	const most = 48 << 20
	for _, tt := range endlessAttacks {
		r := newRegistry(t, false)
		r.push(t, "app:1", randomImage(t, "linux/amd64", 1))
		var sent atomic.Int64
		r.setGuard(func(w http.ResponseWriter, req *http.Request) bool { return tt.guard(r, w, req, &sent) })
		d := embedForImages(t, named(r), func(c *Config) { c.PullAttempts, c.documentTime = 1, 500*time.Millisecond })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		_, err := d.Pull(ctx, amd64(r.host+"/app:1"))
		late := ctx.Err() != nil
		cancel()
		r.CloseClientConnections()
		hostiletest.Report(t, tt.name, late || sent.Load() > most || err == nil, fmt.Sprintf("%d bytes sent, %v", sent.Load(), err))
		if !errors.Is(err, tt.want) && !errors.Is(err, runtime.ErrRegistryUnavailable) { // a busy machine may be slower than the limit is small
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		nothingLeft(t, d)
	}
}

// TestHostileRegistrySlowLayer has a layer come, but never as a whole.
func TestHostileRegistrySlowLayer(t *testing.T) {
	lane.Root(t)
	r := newWeak(t, weakLayer)
	var sent atomic.Int64
	r.setGuard(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, r.digest) {
			w.Header().Set("Content-Length", fmt.Sprint(len(r.layer)))
			endless(w, req, &sent, []byte{'x'}, 10*time.Millisecond)
			return false
		}
		return true
	})
	d := embedForImages(t, named(r.testRegistry), func(c *Config) { c.PullAttempts, c.pullSilence = 1, time.Second })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := d.Pull(ctx, amd64(r.ref()))
	hostiletest.Report(t, "a layer that comes byte by byte", ctx.Err() != nil || !errors.Is(err, runtime.ErrRegistryUnavailable), fmt.Sprintf("%d bytes, %v", sent.Load(), err))
}
