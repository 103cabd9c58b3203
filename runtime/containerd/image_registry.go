package containerd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"sync"
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

	// Mirrors are registries to ask first, in this order; they may have entries of their own. Credentials are never sent
	// to a mirror but those of its own entry.
	Mirrors []string
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

	mu    sync.Mutex
	conns []*http.Transport
}

func (r *registries) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.conns {
		t.CloseIdleConnections()
	}
}

func (r *registries) resolver() remotes.Resolver {
	return docker.NewResolver(docker.ResolverOptions{Hosts: r.hosts})
}

// hosts are the mirrors of a registry and the registry itself.
func (r *registries) hosts(host string) ([]docker.RegistryHost, error) {
	var hosts []docker.RegistryHost
	for _, mirror := range r.cfg[host].Mirrors {
		h, err := r.endpoint(mirror, nil)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	var auth *runtime.Credentials
	if host == r.host {
		auth = r.auth
	}
	h, err := r.endpoint(host, auth)
	return append(hosts, h), err
}

// endpoint is how to reach one host.
func (r *registries) endpoint(host string, auth *runtime.Credentials) (docker.RegistryHost, error) {
	cfg, configured := r.cfg[host]
	if auth == nil {
		auth = cfg.Auth
	}
	transport, err := cfg.transport(host)
	if err != nil {
		return docker.RegistryHost{}, err
	}
	r.mu.Lock()
	r.conns = append(r.conns, transport)
	r.mu.Unlock()
	client := &http.Client{Transport: transport}
	h := docker.RegistryHost{
		Client: client, Host: host, Scheme: "https", Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
		Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthCreds(func(string) (string, string, error) {
			if auth == nil {
				return "", "", nil
			}
			return auth.Username, auth.Password, nil
		})),
	}
	if host == dockerHub {
		h.Host = dockerHubHost
	}
	if local, err := docker.MatchLocalhost(host); cfg.PlainHTTP || err == nil && local && !configured {
		h.Scheme = "http"
	}
	return h, nil
}

// transport makes connections for one pull; they end with it. Bodies have no time limit, as layers may be large.
func (r Registry) transport(host string) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       10 * time.Second,
		ForceAttemptHTTP2:     true,
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
