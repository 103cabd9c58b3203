package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// Keys finds whose an access key is.
type Keys interface {
	// Key returns the secret of an access key and who signs with it. token is the session token that came with the
	// request, "" for none: whether it belongs to the key and is still good is for Key to say. Its error may have
	// methods ErrorCode and ErrorMessage, as the errors of AWS's SDKs: of the codes, ExpiredToken and
	// ExpiredTokenException are reported as [ErrTokenExpiry], all else as [ErrUnknownKey]. It must not block for long.
	Key(accessKeyID, token string) (secret string, caller policy.Caller, err error)
}

// Config says which signatures a [Verifier] takes. Keys is required.
type Config struct {
	Keys Keys

	// Service and Region are what a signature must be made for. "" takes any, which only a proxy wants: a signature for
	// another service is a request of somebody else.
	Service string
	Region  string

	Protocol Protocol // of errors

	Skew    time.Duration // how far a request's time may be off; 0 is 5 minutes
	Replays int           // how many signatures to remember, so that none is taken twice; 0 is none

	// MaxBody is the most bytes that a body may have which is read into memory to be verified; 0 is 16 MiB.
	MaxBody int64
	// MaxStream is the most bytes that a body may have which is verified as it is read; 0 is 5 GiB, as in S3.
	MaxStream int64
	// MaxChunk is the most bytes that one signed chunk of it may have, which is kept in memory; 0 is 1 MiB.
	MaxChunk int

	// UnsignedPayload takes bodies that no signature covers. Whoever is on the way can change them unless TLS is there.
	UnsignedPayload bool

	Now func() time.Time // nil is time.Now
}

// Defaults of Config.
const (
	DefaultSkew      = 5 * time.Minute
	DefaultMaxBody   = 16 << 20
	DefaultMaxStream = 5 << 30
	DefaultMaxChunk  = 1 << 20
)

// Verifier verifies requests. It is safe for concurrent use.
type Verifier struct {
	cfg     Config
	replays *replays // nil when none are remembered
}

// New returns a verifier. It checks cfg and touches nothing.
func New(cfg Config) (*Verifier, error) {
	if cfg.Keys == nil {
		return nil, errors.New("sigv4: Config.Keys is required")
	}
	if cfg.Skew < 0 || cfg.Replays < 0 || cfg.MaxBody < 0 || cfg.MaxStream < 0 || cfg.MaxChunk < 0 || cfg.Protocol > S3 {
		return nil, errors.New("sigv4: Config.Skew, Replays, MaxBody, MaxStream and MaxChunk must not be negative, and Protocol one of Query, JSON, S3")
	}
	cfg.Skew = cmp.Or(cfg.Skew, DefaultSkew)
	cfg.MaxBody = cmp.Or(cfg.MaxBody, DefaultMaxBody)
	cfg.MaxStream = cmp.Or(cfg.MaxStream, DefaultMaxStream)
	cfg.MaxChunk = cmp.Or(cfg.MaxChunk, DefaultMaxChunk)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Verifier{cfg: cfg}
	if cfg.Replays > 0 {
		v.replays = newReplays(cfg.Replays)
	}
	return v, nil
}

// Verify finds who signed a request. On success the request's body is one that was or will be verified while it is read,
// and the caller's context has, beside what [Keys] said, aws:SourceIp, aws:UserAgent and aws:SecureTransport as this
// process sees them. On an error, an *[Error] as a rule, the request must not be served.
func (v *Verifier) Verify(r *http.Request) (*policy.Caller, error) {
	a, query, err := v.parse(r)
	if err != nil {
		return nil, err
	}
	if err := v.checkTime(a); err != nil {
		return nil, err
	}
	secret, caller, err := v.cfg.Keys.Key(a.accessKeyID, a.token)
	if err != nil {
		return nil, v.unknown(err)
	}
	p, err := v.payload(r, a)
	if err != nil {
		return nil, err
	}
	s := signer{key: signingKey(secret, a), auth: a}
	if err := v.match(r, &s, query, p.hash); err != nil {
		return nil, err
	}
	if v.replays != nil && !a.presigned {
		if problem := v.replays.first(a.signature, v.cfg.Now(), a.time.Add(v.cfg.Skew)); problem != "" {
			return nil, v.cfg.Protocol.refuse(ErrReplay, "", problem)
		}
	}
	if err := v.openBody(r, &s, p); err != nil {
		return nil, err
	}
	caller.AccessKeyID = a.accessKeyID
	caller.Context = connection(r, caller.Context)
	return &caller, nil
}

// parse reads what the request says about its signature and holds it against the scope.
func (v *Verifier) parse(r *http.Request) (*authorization, url.Values, error) {
	malformed := func(m *mistake) error { return v.cfg.Protocol.refuse(ErrMalformed, m.text, m.detail) }
	query, m := parseRawQuery(rawQuery(r))
	if m != nil {
		return nil, nil, malformed(m)
	}
	a := &authorization{}
	inHeader, inQuery := len(r.Header["Authorization"]) > 0, query.Has("X-Amz-Signature") || query.Has("X-Amz-Algorithm")
	switch {
	case inHeader && inQuery:
		m = &mistake{"", "only one way of signing is allowed: the Authorization header or the query"}
	case inHeader:
		m = parseHeader(r, a)
	case inQuery:
		m = parseQuery(query, a)
	default:
		return nil, nil, v.cfg.Protocol.refuse(ErrUnsigned, "", "")
	}
	if m != nil {
		return nil, nil, malformed(m)
	}
	if name := unsignedHeader(r, a.signedHeaders); name != "" {
		return nil, nil, v.cfg.Protocol.refuse(ErrSignature, "", "the header "+name+" must be signed")
	}
	if v.cfg.Region != "" && a.region != v.cfg.Region {
		return nil, nil, v.cfg.Protocol.refuse(ErrSignature, "Credential should be scoped to a valid region. ", "want "+v.cfg.Region+", got "+a.region)
	}
	if v.cfg.Service != "" && a.service != v.cfg.Service {
		return nil, nil, v.cfg.Protocol.refuse(ErrSignature, "Credential should be scoped to correct service: '"+v.cfg.Service+"'. ", "got "+a.service)
	}
	return a, query, nil
}

// checkTime refuses what is too old, or of the future.
func (v *Verifier) checkTime(a *authorization) error {
	now := v.cfg.Now().UTC()
	format := func(t time.Time) string { return t.Format(timeFormat) }
	minutes := strconv.FormatFloat(v.cfg.Skew.Minutes(), 'f', -1, 64) + " min."
	switch early, late := now.Add(-v.cfg.Skew), now.Add(v.cfg.Skew); {
	case a.time.After(late):
		return v.cfg.Protocol.refuse(ErrTime, "Signature not yet current: "+a.stamp+" is still later than "+format(late)+
			" ("+format(now)+" + "+minutes+")", "")
	case a.presigned && now.After(a.time.Add(a.expires)):
		return v.cfg.Protocol.refuse(errPresignedExpired, "", "")
	case !a.presigned && a.time.Before(early):
		return v.cfg.Protocol.refuse(ErrTime, "Signature expired: "+a.stamp+" is now earlier than "+format(early)+
			" ("+format(now)+" - "+minutes+")", "")
	}
	return nil
}

// unknown is the error of a key that is not known, or known no more.
func (v *Verifier) unknown(err error) error {
	kind := ErrUnknownKey
	var api interface {
		ErrorCode() string
		ErrorMessage() string
	}
	if errors.As(err, &api) && (api.ErrorCode() == "ExpiredToken" || api.ErrorCode() == "ExpiredTokenException") {
		kind = ErrTokenExpiry
	}
	e := v.cfg.Protocol.refuse(kind, "", "")
	e.err = err
	return e
}

// match compares the signature with those of what the request may have been when it was signed: as it is or, but for
// S3, with its path normalized; and with a presigned session token, or with one that was added afterwards.
func (v *Verifier) match(r *http.Request, s *signer, query url.Values, payloadHash string) error {
	headers, m := canonicalHeaders(r, s.auth.signedHeaders)
	if m != nil {
		return v.cfg.Protocol.refuse(ErrSignature, "", m.detail)
	}
	s3 := isS3(s.auth.service)
	wire := wirePath(r)
	paths := []string{wire}
	if clean := normalized(wire); !s3 && clean != wire && r.URL.EscapedPath() == wire {
		paths = append(paths, clean)
	}
	queries := []string{canonicalQuery(query, "")}
	if s.auth.presigned && s.auth.token != "" {
		queries = append(queries, canonicalQuery(query, "X-Amz-Security-Token"))
	}
	for i, path := range paths {
		encoded, ok := encodePath(path, s3)
		if !ok {
			return v.cfg.Protocol.refuse(ErrMalformed, "", "the path is not percent-encoded")
		}
		for _, q := range queries {
			canonical := strings.Join([]string{r.Method, encoded, q, headers, strings.Join(s.auth.signedHeaders, ";"), payloadHash}, "\n")
			if !s.isSignature(s.auth.signature, algorithm, hashOf([]byte(canonical))) {
				continue
			}
			if i > 0 {
				return v.adopt(r, path)
			}
			return nil
		}
	}
	return v.cfg.Protocol.refuse(ErrSignature, "", "")
}

// adopt makes the path that was signed the request's.
func (v *Verifier) adopt(r *http.Request, path string) error {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return v.cfg.Protocol.refuse(ErrMalformed, "", "the path is not percent-encoded")
	}
	u := *r.URL
	u.Path, u.RawPath = decoded, path
	r.URL = &u
	return nil
}

// isS3 reports whether a service is of S3's family, which encodes paths once and does not normalize them.
func isS3(service string) bool {
	return service == "s3" || service == "s3express" || strings.HasPrefix(service, "s3-")
}

// signer makes the signatures of one request.
type signer struct {
	key  []byte
	auth *authorization
}

// sign signs what the parts say, under a scope.
func (s *signer) sign(what string, parts ...string) string {
	text := what + "\n" + s.auth.stamp + "\n" + s.auth.scope() + "\n" + strings.Join(parts, "\n")
	return hex.EncodeToString(mac(s.key, text))
}

// isSignature compares in constant time.
func (s *signer) isSignature(got, what string, parts ...string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(s.sign(what, parts...))) == 1
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signingKey derives the key of one day, region and service.
func signingKey(secret string, a *authorization) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, a.service, terminator} {
		key = mac(key, part)
	}
	return key
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// connection adds the condition keys that the connection tells.
func connection(r *http.Request, keys map[string][]string) map[string][]string {
	keys = maps.Clone(keys)
	if keys == nil {
		keys = map[string][]string{}
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		keys["aws:SourceIp"] = []string{from.Addr().Unmap().WithZone("").String()}
	}
	if agent := r.UserAgent(); agent != "" {
		keys["aws:UserAgent"] = []string{agent}
	}
	keys["aws:SecureTransport"] = []string{strconv.FormatBool(r.TLS != nil)}
	return keys
}
