package containerd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/fardel-io/fardel/runtime"
)

// Registry says how to reach one registry. Proxies are those of the environment, HTTPS_PROXY and NO_PROXY.
type Registry struct {
	PlainHTTP bool   // HTTP instead of HTTPS
	Insecure  bool   // HTTPS without a look at the certificate
	RootCAs   []byte // PEM certificates of authorities to trust besides the machine's

	// Auth is used when ImageSpec.Auth is nil; nil is anonymous. An empty Username makes the password a refresh token.
	Auth *runtime.Credentials

	// Mirrors are registries to ask first, in this order: "mirror.local:5000", or with a path for what lies below it
	// there, "harbor.local/docker-hub". Whatever goes wrong with one, the next is asked, and the registry itself last.
	// They may have entries of their own in Config.Registries, by host. Credentials are never sent to a mirror but those
	// of its own entry.
	Mirrors []string

	// TokenServers are the hosts, with port if it is not the scheme's, that the registry's credentials may be sent to in
	// exchange for a token, besides the registry's own host and port: "auth.registry.example". A registry that names
	// another in its answers does not get it to see them: the pull fails. Without credentials any token server of the
	// public Internet may be asked. Those of docker.io and registry.gitlab.com are known.
	TokenServers []string
}

// dockerHub is the host that image names of Docker Hub have, and dockerHubHost the one that answers for it.
const (
	dockerHub     = "docker.io"
	dockerHubHost = "registry-1.docker.io"
)

// registries are the connections of one pull.
type registries struct {
	cfg  map[string]Registry
	host string               // of the image
	auth *runtime.Credentials // for that host

	logger   *slog.Logger
	resolver *net.Resolver // nil is the machine's
	proxy    func(*http.Request) (*url.URL, error)

	places []place // mirrors, and last the registry itself
	conns  []*http.Transport
}

// place is where an image can be had.
type place struct {
	name     string // host, and path of a mirror that has one
	resolver remotes.Resolver
}

func (r *registries) close() {
	for _, t := range r.conns {
		t.CloseIdleConnections()
	}
}

// open finds out how to reach the mirrors of the registry and the registry itself.
func (r *registries) open() error {
	for _, mirror := range r.cfg[r.host].Mirrors {
		host, path, _ := strings.Cut(mirror, "/")
		if err := r.add(mirror, host, path, nil); err != nil {
			return err
		}
	}
	return r.add(r.host, r.host, "", r.auth)
}

func (r *registries) add(name, host, path string, auth *runtime.Credentials) error {
	h, err := r.endpoint(host, auth)
	if err != nil {
		return err
	}
	if path = strings.Trim(path, "/"); path != "" {
		h.Path += "/" + path
	}
	r.places = append(r.places, place{name, docker.NewResolver(docker.ResolverOptions{
		Hosts: func(string) ([]docker.RegistryHost, error) { return []docker.RegistryHost{h}, nil },
	})})
	return nil
}

// ask asks one place after the other until one has an answer. If none has, the error is that of the registry itself, whose
// word counts. What a full disk is to blame for ends it.
func (r *registries) ask(ctx context.Context, f func(p place) error) error {
	for i, p := range r.places {
		err := f(p)
		if err == nil || ctx.Err() != nil || diskFull(err) {
			return err
		}
		if i == len(r.places)-1 {
			return fmt.Errorf("registry %s: %w", p.name, err)
		}
		r.logger.Warn("mirror has no answer, the next one is asked", "mirror", p.name, "registry", r.host, "error", err)
	}
	return nil
}

// endpoint is how to reach one host.
func (r *registries) endpoint(host string, auth *runtime.Credentials) (docker.RegistryHost, error) {
	cfg := r.cfg[host]
	if auth == nil {
		auth = cfg.Auth
	}
	rules, err := newRules(r.cfg, host)
	if err != nil {
		return docker.RegistryHost{}, err
	}
	transport, err := cfg.transport(host, &dialer{rules: rules, resolver: r.resolver, proxy: r.proxy})
	if err != nil {
		return docker.RegistryHost{}, err
	}
	r.conns = append(r.conns, transport)
	tokens := tokenGuard{guard{rules: rules, next: transport}}
	client := docker.WithAuthClient(&http.Client{Transport: tokens, CheckRedirect: tokens.redirects})
	a := authorizer{
		rules: rules, credentials: auth != nil && *auth != (runtime.Credentials{}), strangers: docker.NewDockerAuthorizer(client),
		registry: docker.NewDockerAuthorizer(client, docker.WithAuthCreds(func(string) (string, string, error) {
			if auth == nil {
				return "", "", nil
			}
			return auth.Username, auth.Password, nil
		})),
	}
	g := guard{rules, transport, a.strangers}
	return docker.RegistryHost{
		Client: &http.Client{Transport: g, CheckRedirect: g.redirects(a)}, Authorizer: a,
		Scheme: rules.registry.scheme, Host: endpointHost(host), Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}, nil
}

// endpointHost is the host that answers for a registry.
func endpointHost(host string) string {
	if host == dockerHub {
		return dockerHubHost
	}
	return host
}

// transport makes connections for one pull; they end with it. Bodies have no time limit here, as layers may be large.
func (r Registry) transport(host string, d *dialer) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                  d.throughProxy,
		DialContext:            d.dial,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		MaxResponseHeaderBytes: maxHeader,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // what comes is counted as it comes
	}
	if r.Insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		return t, nil
	}
	if len(r.RootCAs) == 0 {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(r.RootCAs) {
		return nil, fmt.Errorf("Config.Registries[%q].RootCAs holds no PEM certificate", host)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool}
	return t, nil
}

// diskFull recognises ENOSPC and EDQUOT, also as words.
func diskFull(err error) bool {
	return strings.Contains(err.Error(), "no space left on device") || strings.Contains(err.Error(), "quota exceeded")
}
