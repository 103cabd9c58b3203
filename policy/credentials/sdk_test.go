package credentials

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
)

// serveLoopback serves the fixture to this process, which is the task at 10.0.0.1.
func (f *fixture) serveLoopback(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = net.JoinHostPort("10.0.0.1", "40000")
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestEndpointProvider: the SDK's own reader of this endpoint understands answers and errors.
func TestEndpointProvider(t *testing.T) {
	f := newFixture(t)
	url := f.serveLoopback(t)
	got, err := endpointcreds.New(url + "/v2/credentials/id-alice").Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := f.service.Authenticate(got.AccessKeyID, got.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	if got.SecretAccessKey != id.SecretAccessKey().Reveal() || !got.CanExpire || !got.Expires.Equal(id.Expiration) {
		t.Errorf("got key %s until %s, want %s until %s", got.AccessKeyID, got.Expires, id.AccessKeyID, id.Expiration)
	}
	_, err = endpointcreds.New(url + "/v2/credentials/id-bob").Retrieve(t.Context())
	var e interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if !errors.As(err, &e) || e.ErrorCode() != "InvalidIdInRequest" || e.ErrorMessage() != "CredentialsV2Request: Credentials not found" {
		t.Errorf("got %v", err)
	}
}

// TestDefaultChain: a program that configures nothing finds them by the variables of its container.
func TestDefaultChain(t *testing.T) {
	f := newFixture(t)
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_REGION", "eu-central-1")
	// The relative variable stands for 169.254.170.2, which this process cannot have.
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f.serveLoopback(t)+"/v2/credentials/id-alice")
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := f.service.Authenticate(got.AccessKeyID, got.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	if got.SecretAccessKey != id.SecretAccessKey().Reveal() || got.Source != endpointcreds.ProviderName {
		t.Errorf("got key %s of %s", got.AccessKeyID, got.Source)
	}
}
