package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/policy/sigv4"
	"github.com/fardel-io/fardel/policy/sts"
)

const role = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}}`

// issued opens a service with a role for tasks, and credentials of one.
func issued(t *testing.T) (*sts.Service, sts.Credentials) {
	t.Helper()
	s, err := sts.Open(sts.Config{Account: "123456789012", Store: &sts.MemoryStore{}})
	if err != nil {
		t.Fatal(err)
	}
	created, err := s.CreateRole(sts.RoleInput{Name: "app", Path: "/team/", TrustPolicy: role, Inline: map[string]string{
		"read": `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "vault:Read", "Resource": "*"}}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	creds, err := s.TaskCredentials(created.ARN, "arn:aws:ecs:us-east-1:123456789012:task/default/0123456789abcdef0123456789abcdef", 0)
	if err != nil {
		t.Fatal(err)
	}
	return s, creds
}

// TestSessions goes all the way: a task's credentials sign, the signature tells the session, and its role's policy decides.
func TestSessions(t *testing.T) {
	service, creds := issued(t)
	v := verifier(t, sigv4.Config{Keys: service, Service: "vault"})
	auth, err := authz.New(authz.Config{Directory: service.Directory()})
	if err != nil {
		t.Fatal(err)
	}
	request := func(c aws.Credentials) *http.Request {
		r, err := http.NewRequest("GET", "https://vault.example.com/", nil)
		if err == nil {
			err = v4.NewSigner().SignHTTP(context.Background(), c, r, digest(""), "vault", "us-east-1", time.Now())
		}
		var b bytes.Buffer
		if err == nil {
			err = r.Write(&b)
		}
		if err == nil {
			r, err = http.ReadRequest(bufio.NewReader(&b))
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	good := aws.Credentials{AccessKeyID: creds.AccessKeyID, SecretAccessKey: creds.SecretAccessKey.Reveal(), SessionToken: creds.SessionToken.Reveal()}
	caller, err := v.Verify(request(good))
	if err != nil {
		t.Fatal(err)
	}
	if want := "arn:aws:sts::123456789012:assumed-role/app/0123456789abcdef0123456789abcdef"; caller.Principal.Name != want {
		t.Errorf("caller %s, want %s", caller.Principal.Name, want)
	}
	if err := auth.Authorize(t.Context(), authz.Request{Caller: caller, Action: "vault:Read", Resource: "*"}); err != nil {
		t.Error(err)
	}
	if err := auth.Authorize(t.Context(), authz.Request{Caller: caller, Action: "vault:Write", Resource: "*"}); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("vault:Write: %v, want ErrDenied", err)
	}
	otherSecret, otherToken, noToken := good, good, good
	otherSecret.SecretAccessKey += "x"
	otherToken.SessionToken = strings.ToLower(good.SessionToken)
	noToken.SessionToken = ""
	for name, c := range map[string]struct {
		creds aws.Credentials
		want  error
	}{"another secret": {otherSecret, sigv4.ErrSignature}, "another token": {otherToken, sigv4.ErrUnknownKey}, "no token": {noToken, sigv4.ErrUnknownKey}} {
		if _, err := v.Verify(request(c.creds)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := service.RevokeSessions("app", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(request(good)); !errors.Is(err, sigv4.ErrUnknownKey) || !errors.Is(err, sts.ErrRevoked) {
		t.Errorf("after it was revoked: %v, want ErrUnknownKey", err)
	}
}

// cloud is a server that verifies what awscli sends, and says what it got.
type cloud struct {
	mu   sync.Mutex // guards what follows
	got  []string
	errs []error
}

func (c *cloud) handler(v *sigv4.Verifier, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		form := r.Header.Get("X-Amz-Content-Sha256")
		caller, err := v.Verify(r)
		var body []byte
		if err == nil {
			body, err = io.ReadAll(r.Body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.errs = append(c.errs, err)
		if err != nil {
			sigv4.Respond(w, err)
			return
		}
		if !strings.HasPrefix(form, "STREAMING-") && form != "UNSIGNED-PAYLOAD" {
			form = ""
		}
		c.got = append(c.got, strings.Join([]string{r.Method, r.URL.Path, string(body), form, caller.AccessKeyID}, "|"))
		io.WriteString(w, answer)
	}
}

// TestAWSCLI has awscli sign what an operator would: calls of ECS and STS, uploads and presigned URLs of S3.
func TestAWSCLI(t *testing.T) {
	program := lane.Command(t, "aws")
	service, creds := issued(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("hello from awscli"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		cfg     sigv4.Config
		tls     bool
		args    []string
		answer  string
		want    string // of what the server got, without the key
		presign bool
	}{
		{name: "ecs", cfg: sigv4.Config{Service: "ecs", Protocol: sigv4.JSON}, args: []string{"ecs", "list-tasks", "--cluster", "default"}, answer: `{"taskArns": []}`,
			want: `POST|/|{"cluster": "default"}|`},
		{name: "sts", cfg: sigv4.Config{Service: "sts"}, args: []string{"sts", "get-caller-identity"},
			answer: `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`,
			want:   `POST|/|Action=GetCallerIdentity&Version=2011-06-15|`},
		{name: "s3 upload", cfg: sigv4.Config{Service: "s3", Protocol: sigv4.S3}, args: []string{"s3api", "put-object", "--bucket", "b", "--key", "a//b c+ä~", "--body", file}, answer: "",
			want: `PUT|/b/a//b c+ä~|hello from awscli|`},
		{name: "s3 upload over TLS", tls: true, cfg: sigv4.Config{Service: "s3", Protocol: sigv4.S3, UnsignedPayload: true},
			args: []string{"s3api", "put-object", "--bucket", "b", "--key", "k", "--body", file, "--checksum-algorithm", "CRC32"}, answer: "",
			want: `PUT|/b/k|hello from awscli|STREAMING-UNSIGNED-PAYLOAD-TRAILER`},
		{name: "s3 presign", cfg: sigv4.Config{Service: "s3", Protocol: sigv4.S3}, args: []string{"s3", "presign", "s3://b/a b", "--expires-in", "60"}, presign: true,
			want: `GET|/b/a b||`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tt.cfg
			cfg.Keys, cfg.Region, cfg.Replays = service, "eu-west-1", 100
			c := &cloud{}
			server := httptest.NewUnstartedServer(c.handler(verifier(t, cfg), tt.answer))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if tt.tls {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			env := []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_ACCESS_KEY_ID=" + creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + creds.SecretAccessKey.Reveal(),
				"AWS_SESSION_TOKEN=" + creds.SessionToken.Reveal(), "AWS_DEFAULT_REGION=eu-west-1", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=", "LC_ALL=C.UTF-8",
				"AWS_CONFIG_FILE=" + filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "none"), "AWS_CA_BUNDLE=" + certificate(t, server),
				"AWS_EC2_METADATA_DISABLED=true",
			}
			if err := os.WriteFile(filepath.Join(dir, "config"), []byte("[default]\ns3 =\n  addressing_style = path\n  signature_version = s3v4\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(args ...string) (string, error) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, program, append([]string{"--endpoint-url", server.URL}, args...)...)
				cmd.Env = env
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				return string(out) + stderr.String(), err
			}
			out, err := run(tt.args...)
			if err != nil {
				t.Fatalf("aws %s: %v\n%s\nserver: %v", strings.Join(tt.args, " "), err, out, c.errs)
			}
			if tt.presign {
				get(t, strings.TrimSpace(out))
			}
			if len(c.got) != 1 || c.got[0] != tt.want+"|"+creds.AccessKeyID {
				t.Errorf("the server got %q, want %q; errors %v", c.got, tt.want, c.errs)
			}
			if tt.presign {
				return
			}
			for i, v := range env {
				if strings.HasPrefix(v, "AWS_SECRET_ACCESS_KEY=") {
					env[i] = v + "x"
				}
			}
			if out, err := run(tt.args...); err == nil || !strings.Contains(out, "does not match the signature you provided") {
				t.Errorf("with another secret: %v\n%s", err, out)
			}
		})
	}
}

// get fetches a presigned URL.
func get(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s, %v", url, res.Status, err)
	}
}

// certificate writes the server's certificate for awscli to trust, "" for one without.
func certificate(t *testing.T, server *httptest.Server) string {
	if server.Certificate() == nil {
		return ""
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestErrorsDecode holds Respond's JSON to what a client reads.
func TestErrorsDecode(t *testing.T) {
	w := httptest.NewRecorder()
	_, err := verifier(t, sigv4.Config{Keys: ann, Protocol: sigv4.JSON}).Verify(httptest.NewRequest("GET", "/", nil))
	sigv4.Respond(w, err)
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["__type"] != w.Header().Get("X-Amzn-Errortype") {
		t.Errorf("%s, %v: %v", w.Body, w.Header(), err)
	}
}
