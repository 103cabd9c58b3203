package sigv4

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// What x-amz-content-sha256 holds beside a hash.
const (
	unsignedPayload    = "UNSIGNED-PAYLOAD"
	unsignedTrailer    = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks       = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	signedChunkTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
)

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// payload is how the body is signed.
type payload struct {
	hash    string // as it stands in the canonical request
	body    []byte // what was read to know the hash
	read    bool
	decoded int64 // of a body in chunks, the length without them
}

// payload finds how the body is signed, and reads it where the signature covers its hash.
func (v *Verifier) payload(r *http.Request, a *authorization) (*payload, error) {
	claims := r.Header["X-Amz-Content-Sha256"]
	if len(claims) > 1 {
		return nil, v.cfg.Protocol.refuse(ErrMalformed, "", "more than one X-Amz-Content-Sha256 header")
	}
	p := &payload{}
	switch {
	case len(claims) == 1:
		p.hash = claims[0]
	case isS3(a.service) && !a.presigned:
		return nil, v.cfg.Protocol.refuse(ErrMalformed, "Missing required header for this request: x-amz-content-sha256", "")
	case isS3(a.service):
		p.hash = unsignedPayload
	default:
		if err := v.readBody(r, p); err != nil {
			return nil, err
		}
		p.hash = hashOf(p.body)
		return p, nil
	}
	switch p.hash {
	case unsignedPayload:
		if r.ContentLength != 0 && !v.cfg.UnsignedPayload {
			return nil, v.refuseUnsigned()
		}
	case unsignedTrailer:
		if !v.cfg.UnsignedPayload {
			return nil, v.refuseUnsigned()
		}
		return p, v.checkDecoded(r, p)
	case signedChunks, signedChunkTrailer:
		return p, v.checkDecoded(r, p)
	default:
		if !isDigest(p.hash) {
			return nil, v.cfg.Protocol.refuse(ErrMalformed, "", "X-Amz-Content-Sha256 is neither a SHA-256 in lower case nor one of the words for a body that has none: "+p.hash)
		}
	}
	return p, nil
}

func (v *Verifier) refuseUnsigned() error {
	return v.cfg.Protocol.refuse(ErrPayload, "", "bodies have to be signed here")
}

// checkDecoded reads the length that a body in chunks has without them.
func (v *Verifier) checkDecoded(r *http.Request, p *payload) error {
	n, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return v.cfg.Protocol.refuse(ErrMalformed, "", "X-Amz-Decoded-Content-Length is no number of bytes")
	}
	if n > v.cfg.MaxStream {
		return v.cfg.Protocol.refuse(ErrTooLarge, "", "at most "+strconv.FormatInt(v.cfg.MaxStream, 10)+" bytes")
	}
	p.decoded = n
	return nil
}

// readBody reads the whole body.
func (v *Verifier) readBody(r *http.Request, p *payload) error {
	p.read = true
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	tooLarge := func() error {
		return v.cfg.Protocol.refuse(ErrTooLarge, "", "at most "+strconv.FormatInt(v.cfg.MaxBody, 10)+" bytes")
	}
	if r.ContentLength > v.cfg.MaxBody {
		return tooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, v.cfg.MaxBody+1))
	if err != nil {
		e := v.cfg.Protocol.refuse(ErrPayload, "", "the body ended early")
		e.err = err
		return e
	}
	if int64(len(body)) > v.cfg.MaxBody {
		return tooLarge()
	}
	p.body = body
	return nil
}

// openBody makes the request's body what was signed, now that the signature over the headers is known to be good.
func (v *Verifier) openBody(r *http.Request, s *signer, p *payload) error {
	switch p.hash {
	case unsignedPayload:
		if r.ContentLength == 0 {
			r.Body = http.NoBody
			return nil
		}
		if r.ContentLength > v.cfg.MaxStream {
			return v.cfg.Protocol.refuse(ErrTooLarge, "", "at most "+strconv.FormatInt(v.cfg.MaxStream, 10)+" bytes")
		}
		r.Body = &limitedBody{r: r.Body, left: v.cfg.MaxStream, tooLarge: v.cfg.Protocol.refuse(ErrTooLarge, "", "")}
		return nil
	case unsignedTrailer, signedChunks, signedChunkTrailer:
		return v.openChunks(r, s, p)
	}
	if !p.read {
		if err := v.readBody(r, p); err != nil {
			return err
		}
	}
	if subtle.ConstantTimeCompare([]byte(hashOf(p.body)), []byte(p.hash)) != 1 {
		return v.cfg.Protocol.refuse(ErrPayload, "", "")
	}
	r.ContentLength = int64(len(p.body))
	r.Body = io.NopCloser(bytes.NewReader(p.body)) // a server closes its own body by itself
	if len(p.body) == 0 {
		r.Body = http.NoBody
	}
	return nil
}

// openChunks puts a reader over a body in chunks.
func (v *Verifier) openChunks(r *http.Request, s *signer, p *payload) error {
	trailers, err := v.announced(r, p.hash)
	if err != nil {
		return err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	c := newChunkReader(r.Body, p.decoded)
	c.refuse = func(kind error, detail string) error { return v.cfg.Protocol.refuse(kind, "", detail) }
	c.trailers = trailers
	if p.hash != unsignedTrailer {
		c.signer, c.previous, c.maxChunk = s, s.auth.signature, v.cfg.MaxChunk
	}
	c.hasTrailer = p.hash != signedChunks
	r.Trailer = http.Header{}
	c.trailer = r.Trailer
	r.Body, r.ContentLength, r.TransferEncoding = c, p.decoded, nil
	removeCoding(r.Header)
	return nil
}

// announced are the names of the trailer's headers.
func (v *Verifier) announced(r *http.Request, hash string) ([]string, error) {
	var names []string
	for _, value := range r.Header["X-Amz-Trailer"] {
		for name := range strings.SplitSeq(value, ",") {
			names = append(names, strings.ToLower(strings.TrimSpace(name)))
		}
	}
	if hash == signedChunks && len(names) > 0 {
		return nil, v.cfg.Protocol.refuse(ErrMalformed, "", "X-Amz-Trailer announces a trailer and X-Amz-Content-Sha256 none")
	}
	return names, nil
}

// removeCoding takes aws-chunked from the content's codings: what is read is without it.
func removeCoding(h http.Header) {
	var rest []string
	for _, value := range h["Content-Encoding"] {
		for coding := range strings.SplitSeq(value, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "aws-chunked") {
				rest = append(rest, coding)
			}
		}
	}
	h.Del("Content-Encoding")
	if len(rest) > 0 {
		h.Set("Content-Encoding", strings.Join(rest, ", "))
	}
}

// limitedBody fails when a body is longer than it may be.
type limitedBody struct {
	r        io.ReadCloser
	left     int64
	tooLarge error
}

// Read implements io.Reader.
func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return max(0, n-1), b.tooLarge
	}
	return n, err
}

// Close implements io.Closer.
func (b *limitedBody) Close() error { return b.r.Close() }

var errEarly = errors.New("the body ended early")
