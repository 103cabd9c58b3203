package containerd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/auth"

	"github.com/fardel-io/fardel/runtime"
)

const (
	maxRedirects = 5         // a registry needs one, to where its blobs are
	maxHeader    = 256 << 10 // of a response
	maxToken     = 256 << 10 // what a token server may answer; tokens have a few KiB
	maxErrorBody = 64 << 10  // containerd reads no more, either
)

// bodyLimit is how much a request may bring, in its context.
type bodyLimit struct {
	bytes int64
	what  string // "manifest"
	kind  error  // of more than that
}

type bodyLimitKey struct{}

func withBodyLimit(ctx context.Context, limit bodyLimit) context.Context {
	return context.WithValue(ctx, bodyLimitKey{}, limit)
}

// guard sends the requests to one registry and to whom it sends them on. It is the last to see them, so that nothing that a
// registry answers can lead around its rules.
type guard struct {
	rules     rules
	next      http.RoundTripper
	strangers docker.Authorizer // of hosts that the registry sends to, without any credentials
}

// RoundTrip implements [http.RoundTripper].
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.allow(req.URL); err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Accept-Encoding", "identity")
	if !g.rules.own(req.URL) {
		withoutCredentials(req.Header)
		if err := g.strangers.Authorize(req.Context(), req); err != nil {
			return nil, err
		}
	}
	limit, ok := req.Context().Value(bodyLimitKey{}).(bodyLimit)
	if !ok {
		limit = bodyLimit{maxErrorBody, "answer", runtime.ErrImageLimit}
	}
	return g.send(req, limit)
}

func (g guard) allow(u *url.URL) error {
	if err := g.rules.scheme(u); err != nil {
		return err
	}
	return g.rules.target(u)
}

func (g guard) send(req *http.Request, limit bodyLimit) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err := checkEncoding(resp.Header); err != nil {
		return nil, errorsWithClose(err, resp.Body)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		resp.Body = readCloser{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
		return resp, nil
	}
	if resp.ContentLength > limit.bytes {
		return nil, errorsWithClose(tooLarge(limit), resp.Body)
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: limit.bytes, limit: limit}
	return resp, nil
}

// errorsWithClose closes a body that nobody reads. What that fails with says nothing.
func errorsWithClose(err error, body io.Closer) error {
	_ = body.Close()
	return err
}

// checkEncoding refuses encodings that let a few bytes take much memory: Zstandard's windows, and several over each other.
func checkEncoding(h http.Header) error {
	switch e := strings.ToLower(strings.Join(h.Values("Content-Encoding"), ",")); e {
	case "", "identity", "gzip", "deflate":
		return nil
	default:
		return fmt.Errorf("content encoding %.40q: %w", e, runtime.ErrRegistryNotAllowed)
	}
}

func tooLarge(l bodyLimit) error {
	return fmt.Errorf("the %s has more than %d bytes: %w", l.what, l.bytes, l.kind)
}

type readCloser struct {
	io.Reader
	io.Closer
}

// limitedBody fails when there is more than there may be.
type limitedBody struct {
	io.ReadCloser
	left  int64
	limit bodyLimit
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.left = 0
		return 0, tooLarge(b.limit)
	}
	return n, err
}

func withoutCredentials(h http.Header) {
	for _, field := range []string{"Authorization", "Cookie", "Referer"} {
		h.Del(field)
	}
}

// redirects is what an [http.Client] does when the registry sends it on. Authorization is not inherited, as net/http would
// have it for subdomains: the registry's own host is authorized anew, and any other is not.
func (g guard) redirects(authorizer docker.Authorizer) func(req *http.Request, via []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("registry %s: more than %d redirects: %w", g.rules.name, maxRedirects, runtime.ErrRegistryNotAllowed)
		}
		if err := g.rules.sent(req.URL); err != nil {
			return err
		}
		withoutCredentials(req.Header)
		if !g.rules.own(req.URL) {
			return nil
		}
		return authorizer.Authorize(req.Context(), req)
	}
}

// tokenGuard sends the requests for tokens.
type tokenGuard struct{ guard }

// RoundTrip implements [http.RoundTripper]. Credentials are in the body, or in a header.
func (g tokenGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.allow(req.URL); err != nil {
		return nil, err
	}
	if (req.Method != http.MethodGet || req.Header.Get("Authorization") != "") && !g.rules.trusted(req.URL) {
		return nil, fmt.Errorf("registry %s: credentials for %s: %w", g.rules.name, webOriginOf(req.URL), runtime.ErrRegistryNotAllowed)
	}
	return g.send(req, bodyLimit{maxToken, "answer of the token server", runtime.ErrRegistryNotAllowed})
}

// redirects lets a token server send on only to itself, as the request holds the credentials.
func (g tokenGuard) redirects(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("token server of %s: more than %d redirects: %w", g.rules.name, maxRedirects, runtime.ErrRegistryNotAllowed)
	case webOriginOf(req.URL) != webOriginOf(via[0].URL), req.URL.User != nil:
		return fmt.Errorf("token server %s of %s sends to %s: %w", webOriginOf(via[0].URL), g.rules.name, webOriginOf(req.URL), runtime.ErrRegistryNotAllowed)
	}
	return nil
}

// authorizer is containerd's, twice: for the registry, and without credentials for whom it sends to. Some registries are no
// more than a redirect to another that gives tokens to everybody.
type authorizer struct {
	rules       rules
	registry    docker.Authorizer
	strangers   docker.Authorizer
	credentials bool // the registry's has some
}

// Authorize implements [docker.Authorizer]. Strangers are authorized last, see [guard].
func (a authorizer) Authorize(ctx context.Context, req *http.Request) error {
	if !a.rules.own(req.URL) {
		return nil
	}
	return a.registry.Authorize(ctx, req)
}

// AddResponses implements [docker.Authorizer]. The last response is a 401, maybe of whom the registry has sent us to.
func (a authorizer) AddResponses(ctx context.Context, responses []*http.Response) error {
	last := responses[len(responses)-1]
	own := a.rules.own(last.Request.URL)
	bearer := false
	for _, c := range auth.ParseAuthHeader(last.Header) {
		if c.Scheme != auth.BearerAuth {
			continue
		}
		bearer = true
		if err := a.rules.realm(c.Parameters["realm"], own && a.credentials); err != nil {
			return err
		}
	}
	switch {
	case own:
		return a.registry.AddResponses(ctx, responses)
	case bearer:
		return a.strangers.AddResponses(ctx, responses)
	}
	return fmt.Errorf("registry %s sends to %s, which wants credentials: %w", a.rules.name, webOriginOf(last.Request.URL), runtime.ErrRegistryNotAllowed)
}

// dialer makes connections, and looks at the address right before, when no name server has a say any more.
type dialer struct {
	rules    rules
	resolver *net.Resolver // nil is the machine's
	proxy    func(*http.Request) (*url.URL, error)
	proxies  sync.Map // host and port of proxies that a request goes through: the operator's, wherever they are
}

// throughProxy is for [http.Transport].
func (d *dialer) throughProxy(req *http.Request) (*url.URL, error) {
	u, err := d.proxy(req)
	if u != nil {
		d.proxies.Store(webOriginOf(u).hostPort(), true)
	}
	return u, err
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	hostPort := strings.ToLower(address)
	nd := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Resolver: d.resolver}
	if _, isProxy := d.proxies.Load(hostPort); !isProxy {
		nd.ControlContext = func(_ context.Context, _, to string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(to)
			if err != nil {
				return fmt.Errorf("address %q: %w: %w", to, err, runtime.ErrRegistryNotAllowed)
			}
			return d.rules.address(hostPort, addr.Addr())
		}
	}
	return nd.DialContext(ctx, network, address)
}
