package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/sigv4"
)

// key is one access key, and a Keys that knows only it.
type key struct{ id, secret, token string }

// unknown is an error such as those of AWS's SDKs.
type unknown struct{ code string }

func (e *unknown) Error() string        { return e.code }
func (e *unknown) ErrorCode() string    { return e.code }
func (e *unknown) ErrorMessage() string { return "" }

// Key implements sigv4.Keys.
func (k key) Key(id, token string) (string, policy.Caller, error) {
	switch {
	case id != k.id || token != k.token && token != "old":
		return "", policy.Caller{}, &unknown{"InvalidClientTokenId"}
	case token == "old":
		return "", policy.Caller{}, &unknown{"ExpiredToken"}
	}
	p, err := policy.ParsePrincipal("arn:aws:iam::123456789012:user/ann")
	return k.secret, policy.Caller{Principal: p, Context: map[string][]string{"aws:userid": {"AIDA"}}}, err
}

var ann = key{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

func at(stamp string) func() time.Time {
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return time.Now // no test expects the present
	}
	return func() time.Time { return t }
}

func verifier(t testing.TB, cfg sigv4.Config) *sigv4.Verifier {
	t.Helper()
	v, err := sigv4.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// suiteRequest makes the request of a file of the suite. Its paths and queries are not percent-encoded, as a client's would be.
func suiteRequest(t *testing.T, text string) *http.Request {
	t.Helper()
	line, rest, _ := strings.Cut(text, "\n")
	method, target, _ := strings.Cut(line, " ")
	target = strings.TrimSuffix(target, " HTTP/1.1")
	path, query, _ := strings.Cut(target, "?")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " / HTTP/1.1\n" + rest)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.RequestURI = target
	r.URL = &url.URL{Path: path, RawPath: path, RawQuery: query, Host: r.Host}
	return r
}

// TestSuite verifies every request of AWS's own test suite, signed in a header and presigned, and none that was changed.
func TestSuite(t *testing.T) {
	f, err := os.Open("testdata/suite.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var c struct{ Name, Secret, Token, Region, Service, Timestamp, Header, Query string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		v := verifier(t, sigv4.Config{Keys: key{ann.id, c.Secret, c.Token}, Region: c.Region, Service: c.Service, Now: at(c.Timestamp)})
		for form, text := range map[string]string{"header": c.Header, "query": c.Query} {
			cases++
			r := suiteRequest(t, text)
			// The path has white space and letters that no client sends as they are. Verification takes them from RequestURI;
			// the URL that it may rewrite has to agree.
			if u, err := url.Parse(strings.ReplaceAll(r.RequestURI, " ", "%20")); err == nil && !strings.HasPrefix(r.RequestURI, "//") {
				r.URL.Path = u.Path
			}
			if _, err := v.Verify(r); err != nil {
				t.Errorf("%s, %s: %v", c.Name, form, err)
			}
			tampered := suiteRequest(t, strings.Replace(text, "Host:example", "Host:examples", 1))
			if _, err := v.Verify(tampered); !errors.Is(err, sigv4.ErrSignature) {
				t.Errorf("%s, %s with another host: %v, want ErrSignature", c.Name, form, err)
			}
		}
	}
	if cases < 70 {
		t.Errorf("%d cases, want those of the whole suite", cases)
	}
}

// signed makes a request as the AWS SDK does, received by a server.
type signed struct {
	method, target, body string
	service, region      string
	header               http.Header
	hash                 string // "" is the body's
	token                string
	presign              time.Duration
}

const signedAt = "2030-01-02T12:00:00Z"

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (s signed) wire(t testing.TB) []byte {
	t.Helper()
	r, err := http.NewRequest(s.method, "https://vault.example.com"+s.target, strings.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range s.header {
		r.Header[name] = values
	}
	hash := s.hash
	if hash == "" {
		hash = digest(s.body)
	}
	creds := aws.Credentials{AccessKeyID: ann.id, SecretAccessKey: ann.secret, SessionToken: s.token}
	plain := func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s.service == "s3" }
	when := at(signedAt)()
	if s.presign > 0 {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", fmt.Sprint(int(s.presign.Seconds())))
		r.URL.RawQuery = q.Encode()
		uri, header, err := v4.NewSigner().PresignHTTP(context.Background(), creds, r, hash, s.service, s.region, when, plain)
		if err != nil {
			t.Fatal(err)
		}
		if r.URL, err = url.Parse(uri); err != nil {
			t.Fatal(err)
		}
		header.Del("Host")
		header.Del("Content-Length")
		r.Header = header
	} else {
		if s.hash != "" || s.service == "s3" {
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hash, s.service, s.region, when, plain); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func received(t testing.TB, wire []byte) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "192.0.2.7:4711"
	return r, nil
}

// verify verifies a request and reads its body.
func verify(t testing.TB, v *sigv4.Verifier, wire []byte) (caller *policy.Caller, body string, err error) {
	r, err := received(t, wire)
	if err != nil {
		return nil, "", err
	}
	if caller, err = v.Verify(r); err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(r.Body)
	return caller, string(b), err
}

var requests = map[string]signed{
	"get":          {method: "GET", target: "/", service: "vault", region: "us-east-1"},
	"post":         {method: "POST", target: "/a/b?x=1&y=%2F&y=b+c&z", body: `{"a": 1}`, service: "vault", region: "us-east-1", header: http.Header{"X-Amz-Target": {"Vault.Read"}, "Content-Type": {"application/x-amz-json-1.1"}, "X-Extra": {"a  b", "c"}}},
	"hash":         {method: "PUT", target: "/k%20%C3%A4/%2B~", body: "hello", service: "vault", region: "us-east-1", hash: digest("hello")},
	"token":        {method: "GET", target: "/", service: "vault", region: "us-east-1", token: "to/ken+=="},
	"s3":           {method: "PUT", target: "/bucket//k%20%C3%A4/../%2B~", body: "hello", service: "s3", region: "us-east-1"},
	"presign":      {method: "GET", target: "/a?b=c", service: "vault", region: "us-east-1", presign: time.Hour, token: "to/ken+=="},
	"unnormal":     {method: "GET", target: "/a//b/./c/../d", service: "vault", region: "us-east-1"},
	"presigned s3": {method: "GET", target: "/bucket/a%20b", service: "s3", region: "us-east-1", presign: time.Hour, hash: "UNSIGNED-PAYLOAD"},
}

func TestSDK(t *testing.T) {
	for name, s := range requests {
		v := verifier(t, sigv4.Config{Keys: key{ann.id, ann.secret, s.token}, Region: s.region, Service: s.service, Now: at(signedAt)})
		caller, body, err := verify(t, v, s.wire(t))
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, s.wire(t))
			continue
		}
		if body != s.body {
			t.Errorf("%s: body %q, want %q", name, body, s.body)
		}
		if caller.AccessKeyID != ann.id || caller.Principal.Name != "arn:aws:iam::123456789012:user/ann" {
			t.Errorf("%s: caller %+v", name, caller)
		}
		for key, want := range map[string]string{"aws:SourceIp": "192.0.2.7", "aws:SecureTransport": "false", "aws:userid": "AIDA"} {
			if got := caller.Context[key]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %s", name, key, got, want)
			}
		}
	}
}

// TestTampering changes every byte of signed requests, and takes none of them unless the change is one that means
// nothing: to a header that is not signed, or in how HTTP is spelled.
func TestTampering(t *testing.T) {
	for name, s := range requests {
		v := verifier(t, sigv4.Config{Keys: key{ann.id, ann.secret, s.token}, Region: s.region, Service: s.service, Now: at(signedAt)})
		wire := s.wire(t)
		original, err := received(t, wire)
		if err != nil {
			t.Fatal(err)
		}
		want := meaning(t, original)
		refused := 0
		for i := range wire {
			for _, flip := range []byte{1, 32} {
				changed := bytes.Clone(wire)
				changed[i] ^= flip
				r, err := received(t, changed)
				if err != nil {
					refused++
					continue // the server's business
				}
				same := meaning(t, r) == want
				r, _ = received(t, changed)
				_, err = v.Verify(r)
				if err == nil {
					_, err = io.ReadAll(r.Body)
				}
				if err == nil && !same {
					t.Errorf("%s: byte %d, %q for %q, is taken in\n%s", name, i, changed[i], wire[i], changed)
				}
				if err != nil {
					refused++
				}
			}
		}
		if refused < len(wire) {
			t.Errorf("%s: only %d of %d changes are refused", name, refused, 2*len(wire))
		}
	}
}

// meaning is what a handler that believes signed parts only sees of a request.
func meaning(t *testing.T, r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	signedHeaders := r.Header.Get("Authorization")
	if q := r.URL.Query(); q.Has("X-Amz-SignedHeaders") {
		signedHeaders = q.Get("X-Amz-SignedHeaders")
	}
	var b strings.Builder
	fmt.Fprintln(&b, r.Method, r.URL.Path, r.URL.Query(), r.Host, string(body))
	for _, name := range []string{"X-Amz-Date", "X-Amz-Target", "Content-Type", "X-Extra", "X-Amz-Security-Token", "X-Amz-Content-Sha256"} {
		if strings.Contains(signedHeaders, strings.ToLower(name)) || strings.HasPrefix(name, "X-Amz-") {
			for _, value := range r.Header[name] {
				fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(strings.Fields(value), " "))
			}
		}
	}
	return b.String()
}

func TestAddedHeaders(t *testing.T) {
	s := requests["post"]
	v := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt)})
	for header, want := range map[string]error{
		"X-Amz-Acl: public":               sigv4.ErrSignature, // not signed
		"X-Amz-Date: 20300102T120000Z":    sigv4.ErrMalformed, // twice
		"X-Extra: d":                      sigv4.ErrSignature, // one value more
		"Authorization: AWS4-HMAC-SHA256": sigv4.ErrMalformed,
		"X-Amz-Security-Token: x":         sigv4.ErrUnknownKey,
		"X-Amzn-Trace-Id: 1":              nil, // a load balancer's
	} {
		wire := bytes.Replace(s.wire(t), []byte("\r\n\r\n"), []byte("\r\n"+header+"\r\n\r\n"), 1)
		if _, _, err := verify(t, v, wire); !errors.Is(err, want) {
			t.Errorf("with %s: %v, want %v", header, err, want)
		}
	}
}

// TestPathIsWhatWasSigned: a signer that normalizes paths signs the clean one, so that is what is served.
func TestPathIsWhatWasSigned(t *testing.T) {
	v := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt)})
	wire := signed{method: "GET", target: "/a/secret", service: "vault", region: "us-east-1"}.wire(t)
	for target, want := range map[string]string{"/a/secret": "/a/secret", "/a/x/..//./secret": "/a/secret", "/a/secret/x": ""} {
		r, err := received(t, bytes.Replace(wire, []byte("/a/secret"), []byte(target), 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(r)
		if got := r.URL.Path; (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%s: path %s, %v, want %q", target, got, err, want)
		}
	}
	s3 := signed{method: "GET", target: "/a/secret", service: "s3", region: "us-east-1"}.wire(t)
	if _, _, err := verify(t, v, bytes.Replace(s3, []byte("/a/secret"), []byte("/a//secret"), 1)); !errors.Is(err, sigv4.ErrSignature) {
		t.Errorf("S3 with another path: %v, want ErrSignature", err)
	}
}

// TestErrors holds codes and texts against AWS's.
func TestErrors(t *testing.T) {
	base := signed{method: "GET", target: "/", service: "vault", region: "us-east-1"}
	presigned := base
	presigned.presign = time.Minute
	with := func(old, now string) []byte { return bytes.Replace(base.wire(t), []byte(old), []byte(now), 1) }
	old := base
	old.token = "old"
	body := base
	body.method, body.body = "POST", "hello"
	tampered := body
	tampered.hash = digest("other")
	s3 := base
	s3.service = "s3"
	withS3 := func(old, now string) []byte { return bytes.Replace(s3.wire(t), []byte(old), []byte(now), 1) }
	for _, tt := range []struct {
		name     string
		wire     []byte
		now      string
		protocol sigv4.Protocol
		want     error
		code     string
		text     string
	}{
		{"unsigned", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "", sigv4.Query, sigv4.ErrUnsigned, "MissingAuthenticationToken", "Request is missing Authentication Token"},
		{"unsigned", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "", sigv4.JSON, sigv4.ErrUnsigned, "MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"basic", with("AWS4-HMAC-SHA256 ", "Basic "), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature", "Unsupported AWS 'algorithm'."},
		{"no credential", with("Credential=", "Credentials="), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature", "Authorization header requires 'Credential' parameter."},
		{"no date", with("X-Amz-Date: ", "X-Other: "), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."},
		{"bad date", with("X-Amz-Date: 2030", "X-Amz-Date: 203O"), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"Date must be in ISO-8601 'basic format'. Got '203O0102T120000Z'. See http://en.wikipedia.org/wiki/ISO_8601"},
		{"other day", with("AKIDEXAMPLE/20300102", "AKIDEXAMPLE/20300103"), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20300103' != '20300102', from '20300102T120000Z'."},
		{"terminator", with("aws4_request", "aws5_request"), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},
		{"host not signed", with("SignedHeaders=host;", "SignedHeaders="), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		{"region", with("us-east-1", "us-east-2"), "", sigv4.Query, sigv4.ErrSignature, "SignatureDoesNotMatch", "Credential should be scoped to a valid region. "},
		{"service", with("/vault/", "/other/"), "", sigv4.JSON, sigv4.ErrSignature, "InvalidSignatureException", "Credential should be scoped to correct service: 'vault'. "},
		{"key", with("AKIDEXAMPLE", "AKIDOTHER"), "", sigv4.Query, sigv4.ErrUnknownKey, "InvalidClientTokenId", "The security token included in the request is invalid."},
		{"key", with("AKIDEXAMPLE", "AKIDOTHER"), "", sigv4.JSON, sigv4.ErrUnknownKey, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{"token", old.wire(t), "", sigv4.Query, sigv4.ErrTokenExpiry, "ExpiredToken", "The security token included in the request is expired"},
		{"token", old.wire(t), "", sigv4.JSON, sigv4.ErrTokenExpiry, "ExpiredTokenException", "The security token included in the request is expired"},
		{"late", base.wire(t), "2030-01-02T12:05:01Z", sigv4.Query, sigv4.ErrTime, "SignatureDoesNotMatch",
			"Signature expired: 20300102T120000Z is now earlier than 20300102T120001Z (20300102T120501Z - 5 min.)"},
		{"early", base.wire(t), "2030-01-02T11:54:59Z", sigv4.Query, sigv4.ErrTime, "SignatureDoesNotMatch",
			"Signature not yet current: 20300102T120000Z is still later than 20300102T115959Z (20300102T115459Z + 5 min.)"},
		{"just in time", base.wire(t), "2030-01-02T12:05:00Z", sigv4.Query, nil, "", ""},
		{"late", s3.wire(t), "2030-01-02T12:05:01Z", sigv4.S3, sigv4.ErrTime, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."},
		{"presigned", presigned.wire(t), "2030-01-02T12:01:00Z", sigv4.Query, nil, "", ""},
		{"presigned, late", presigned.wire(t), "2030-01-02T12:01:01Z", sigv4.Query, sigv4.ErrTime, "RequestExpired", "Request has expired."},
		{"presigned, late", presigned.wire(t), "2030-01-02T12:01:01Z", sigv4.S3, sigv4.ErrTime, "AccessDenied", "Request has expired"},
		{"presigned, too long", bytes.Replace(presigned.wire(t), []byte("Expires=60"), []byte("Expires=604801"), 1), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"X-Amz-Expires must be a number between 1 and 604800."},
		{"presigned, longer", bytes.Replace(presigned.wire(t), []byte("Expires=60"), []byte("Expires=61"), 1), "", sigv4.Query, sigv4.ErrSignature, "SignatureDoesNotMatch", ""},
		{"both ways", bytes.Replace(presigned.wire(t), []byte("\r\n\r\n"), []byte("\r\nAuthorization: AWS4-HMAC-SHA256 x=y\r\n\r\n"), 1), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature",
			"The request signature does not conform to AWS standards."},
		{"semicolon", with("GET / ", "GET /?a;b "), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature", ""},
		{"signature", with("GET", "PUT"), "", sigv4.Query, sigv4.ErrSignature, "SignatureDoesNotMatch",
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."},
		{"body", tampered.wire(t), "", sigv4.Query, sigv4.ErrPayload, "SignatureDoesNotMatch", ""},
		{"too large", body.wire(t), "", sigv4.Query, nil, "", ""},
		{"no hash", withS3("X-Amz-Content-Sha256", "X-Other"), "", sigv4.Query, sigv4.ErrMalformed, "IncompleteSignature", "Missing required header for this request: x-amz-content-sha256"},
	} {
		now := tt.now
		if now == "" {
			now = signedAt
		}
		cfg := sigv4.Config{Keys: ann, Region: "us-east-1", Now: at(now), Protocol: tt.protocol}
		if !bytes.Contains(tt.wire, []byte("/s3/")) {
			cfg.Service = "vault"
		}
		_, _, err := verify(t, verifier(t, cfg), tt.wire)
		var e *sigv4.Error
		switch {
		case tt.want == nil:
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		case !errors.Is(err, tt.want) || !errors.As(err, &e):
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		case e.Code != tt.code || tt.text != "" && e.Message != tt.text:
			t.Errorf("%s:\n got %s: %s\nwant %s: %s", tt.name, e.Code, e.Message, tt.code, tt.text)
		case strings.Contains(err.Error(), ann.secret):
			t.Errorf("%s: the error tells the secret", tt.name)
		}
	}
}

func TestBodies(t *testing.T) {
	large := signed{method: "POST", target: "/", body: strings.Repeat("x", 101), service: "vault", region: "us-east-1"}
	v := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), MaxBody: 100})
	if _, _, err := verify(t, v, large.wire(t)); !errors.Is(err, sigv4.ErrTooLarge) {
		t.Errorf("101 bytes of 100: %v, want ErrTooLarge", err)
	}
	chunked := bytes.Replace(large.wire(t), []byte("Content-Length: 101\r\n"), []byte("Transfer-Encoding: chunked\r\n"), 1)
	chunked = bytes.Replace(chunked, []byte(large.body), []byte("65\r\n"+large.body+"\r\n0\r\n\r\n"), 1)
	if _, _, err := verify(t, v, chunked); !errors.Is(err, sigv4.ErrTooLarge) {
		t.Errorf("101 bytes of 100, of unknown length: %v, want ErrTooLarge", err)
	}
	unsigned := signed{method: "PUT", target: "/k", body: "hello", service: "s3", region: "us-east-1", hash: "UNSIGNED-PAYLOAD"}
	if _, _, err := verify(t, v, unsigned.wire(t)); !errors.Is(err, sigv4.ErrPayload) {
		t.Errorf("an unsigned body: %v, want ErrPayload", err)
	}
	v = verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), UnsignedPayload: true, MaxStream: 5})
	if _, body, err := verify(t, v, unsigned.wire(t)); err != nil || body != "hello" {
		t.Errorf("an unsigned body, allowed: %q, %v", body, err)
	}
	v = verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), UnsignedPayload: true, MaxStream: 4})
	if _, _, err := verify(t, v, unsigned.wire(t)); !errors.Is(err, sigv4.ErrTooLarge) {
		t.Errorf("an unsigned body of 5 bytes of 4: %v, want ErrTooLarge", err)
	}
}

func TestReplays(t *testing.T) {
	now := at(signedAt)()
	v := verifier(t, sigv4.Config{Keys: ann, Now: func() time.Time { return now }, Replays: 2})
	make := func(target string) []byte {
		return signed{method: "GET", target: target, service: "vault", region: "us-east-1"}.wire(t)
	}
	for _, step := range []struct {
		target string
		want   error
	}{{"/1", nil}, {"/1", sigv4.ErrReplay}, {"/2", nil}, {"/3", sigv4.ErrReplay}} { // the third is not remembered
		if _, _, err := verify(t, v, make(step.target)); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.target, err, step.want)
		}
	}
	now = now.Add(sigv4.DefaultSkew + time.Second)
	if _, _, err := verify(t, v, make("/1")); !errors.Is(err, sigv4.ErrTime) {
		t.Errorf("when it is old: %v, want ErrTime", err)
	}
	url := signed{method: "GET", target: "/", service: "vault", region: "us-east-1", presign: time.Hour}.wire(t)
	for range 3 {
		if _, _, err := verify(t, v, url); err != nil {
			t.Errorf("a presigned request again: %v", err)
		}
	}
}

func TestRespond(t *testing.T) {
	for _, tt := range []struct {
		protocol sigv4.Protocol
		status   int
		want     string
	}{
		{sigv4.Query, 403, "<ErrorResponse><Error><Type>Sender</Type><Code>MissingAuthenticationToken</Code><Message>Request is missing Authentication Token</Message></Error></ErrorResponse>"},
		{sigv4.JSON, 400, `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		{sigv4.S3, 403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"},
	} {
		v := verifier(t, sigv4.Config{Keys: ann, Protocol: tt.protocol})
		_, err := v.Verify(httptest.NewRequest("GET", "/", nil))
		w := httptest.NewRecorder()
		sigv4.Respond(w, err)
		if w.Code != tt.status || w.Body.String() != tt.want {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.want)
		}
	}
	w := httptest.NewRecorder()
	sigv4.Respond(w, errors.New("a secret"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("a foreign error: %d %s", w.Code, w.Body)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []sigv4.Config{{}, {Keys: ann, Skew: -1}, {Keys: ann, Replays: -1}, {Keys: ann, Protocol: 3}} {
		if _, err := sigv4.New(cfg); err == nil {
			t.Errorf("New(%+v) succeeds", cfg)
		}
	}
}
