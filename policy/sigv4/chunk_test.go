package sigv4_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/fardel-io/fardel/policy/sigv4"
)

// The two examples of aws-chunked uploads in the S3 API reference ("Signature calculations for the Authorization header:
// transferring payload in multiple chunks", without and with trailing headers): 66,560 letters a in chunks of 64 KiB.
const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleTime   = "2013-05-24T00:00:00Z"
)

func example(header, signedHeaders, seed string, chunks [3]string, trailer string) []byte {
	const first, second = 65536, 1024
	var body bytes.Buffer
	for i, n := range []int{first, second, 0} {
		fmt.Fprintf(&body, "%x;chunk-signature=%s\r\n%s", n, chunks[i], strings.Repeat("a", n))
		if n > 0 {
			body.WriteString("\r\n")
		}
	}
	body.WriteString(trailer + "\r\n")
	head := "PUT /examplebucket/chunkObject.txt HTTP/1.1\r\nHost: s3.amazonaws.com\r\nx-amz-date: 20130524T000000Z\r\n" +
		"x-amz-storage-class: REDUCED_REDUNDANCY\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + exampleID +
		"/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + signedHeaders + ",Signature=" + seed + "\r\n" +
		"Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 66560\r\n" + header +
		fmt.Sprintf("Content-Length: %d\r\n\r\n", max(66824, body.Len()))
	return append([]byte(head), body.Bytes()...)
}

func TestDocumentedChunks(t *testing.T) {
	v := verifier(t, sigv4.Config{Keys: key{exampleID, exampleSecret, ""}, Now: at(exampleTime), Service: "s3", Region: "us-east-1"})
	plain := example("x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\n",
		"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
		[3]string{
			"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
		}, "")
	if _, body, err := verify(t, v, plain); err != nil || body != strings.Repeat("a", 66560) {
		t.Errorf("the example without a trailer: %d bytes, %v", len(body), err)
	}
	trailer := example("x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER\r\nx-amz-trailer: x-amz-checksum-crc32c\r\n",
		"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
		"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
		[3]string{
			"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
		},
		"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n")
	r, err := received(t, trailer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(r); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != strings.Repeat("a", 66560) {
		t.Errorf("the example with a trailer: %d bytes, %v", len(body), err)
	}
	if got := r.Trailer.Get("x-amz-checksum-crc32c"); got != "sOO8/Q==" {
		t.Errorf("trailer %v", r.Trailer)
	}
	if r.ContentLength != 66560 || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("length %d, coding %q: want the content's own", r.ContentLength, r.Header.Get("Content-Encoding"))
	}
}

// stream is an upload in chunks.
type stream struct {
	kind    string // x-amz-content-sha256
	chunks  []string
	trailer []string // "name:value"
	names   string   // x-amz-trailer; "" is the trailer's own
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// wire signs the request as the SDK does, and its chunks by the book.
func (s stream) wire(t testing.TB) []byte {
	t.Helper()
	whole := strings.Join(s.chunks, "")
	header := http.Header{"X-Amz-Decoded-Content-Length": {fmt.Sprint(len(whole))}, "Content-Encoding": {"aws-chunked,gzip"}}
	names := s.names
	for _, h := range s.trailer {
		name, _, _ := strings.Cut(h, ":")
		if s.names == "" {
			names = strings.TrimPrefix(names+","+name, ",")
		}
	}
	if names != "" {
		header.Set("X-Amz-Trailer", names)
	}
	wire := signed{method: "PUT", target: "/bucket/key", service: "s3", region: "us-east-1", hash: s.kind, header: header}.wire(t)
	_, rest, _ := bytes.Cut(wire, []byte("Signature="))
	previous := string(rest[:64])
	key := []byte("AWS4" + ann.secret)
	for _, part := range []string{"20300102", "us-east-1", "s3", "aws4_request"} {
		key = sign(key, part)
	}
	next := func(what string, parts ...string) string {
		previous = hex.EncodeToString(sign(key, what+"\n20300102T120000Z\n20300102/us-east-1/s3/aws4_request\n"+previous+"\n"+strings.Join(parts, "\n")))
		return previous
	}
	isSigned := strings.HasPrefix(s.kind, "STREAMING-AWS4")
	var body strings.Builder
	for _, c := range append(s.chunks[:len(s.chunks):len(s.chunks)], "") {
		fmt.Fprintf(&body, "%x", len(c))
		if isSigned {
			body.WriteString(";chunk-signature=" + next("AWS4-HMAC-SHA256-PAYLOAD", digest(""), digest(c)))
		}
		body.WriteString("\r\n" + c)
		if c != "" {
			body.WriteString("\r\n")
		}
	}
	canonical := ""
	for _, h := range s.trailer {
		body.WriteString(h + "\r\n")
		canonical += h + "\n"
	}
	if isSigned && strings.HasSuffix(s.kind, "-TRAILER") {
		body.WriteString("x-amz-trailer-signature:" + next("AWS4-HMAC-SHA256-TRAILER", digest(canonical)) + "\r\n")
	}
	body.WriteString("\r\n")
	head, _, _ := bytes.Cut(wire, []byte("\r\n\r\n"))
	head = bytes.Replace(head, []byte("Content-Length: 0"), fmt.Appendf(nil, "Content-Length: %d", body.Len()), 1)
	return append(append(head, "\r\n\r\n"...), body.String()...)
}

func crc(s string) string {
	h := crc32.NewIEEE()
	io.WriteString(h, s)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

const (
	chunked         = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	chunkedTrailer  = chunked + "-TRAILER"
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

var streams = map[string]stream{
	"chunks":           {kind: chunked, chunks: []string{"hello ", "world"}},
	"nothing":          {kind: chunked},
	"trailer":          {kind: chunkedTrailer, chunks: []string{"hello ", "world"}, trailer: []string{"x-amz-checksum-crc32:" + crc("hello world"), "x-amz-meta-end:yes"}},
	"unsigned trailer": {kind: unsignedTrailer, chunks: []string{"hello ", "world"}, trailer: []string{"x-amz-checksum-crc32:" + crc("hello world")}},
	"crc64nvme":        {kind: unsignedTrailer, chunks: []string{"123456789"}, trailer: []string{"x-amz-checksum-crc64nvme:rosUhgp5mIg="}},
}

func TestChunks(t *testing.T) {
	v := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), UnsignedPayload: true})
	for name, s := range streams {
		wire := s.wire(t)
		if _, body, err := verify(t, v, wire); err != nil || body != strings.Join(s.chunks, "") {
			t.Errorf("%s: %q, %v\n%s", name, body, err, wire)
			continue
		}
		r, err := received(t, wire)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(r); err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r.Body, []byte(strings.Join(s.chunks, ""))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: content coding %q, want gzip", name, r.Header.Get("Content-Encoding"))
		}
	}
}

// TestTamperedChunks changes every byte of bodies in chunks. Of signed ones no changed byte may come out.
func TestTamperedChunks(t *testing.T) {
	v := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), UnsignedPayload: true})
	for name, s := range streams {
		wire, whole := s.wire(t), strings.Join(s.chunks, "")
		start := bytes.Index(wire, []byte("\r\n\r\n")) + 4
		for i := start; i < len(wire); i++ {
			for _, flip := range []byte{1, 32} {
				changed := bytes.Clone(wire)
				changed[i] ^= flip
				_, body, err := verify(t, v, changed)
				if !strings.HasPrefix(whole, body) && s.kind != unsignedTrailer {
					t.Errorf("%s: byte %d, %q for %q: %q came out", name, i, changed[i], wire[i], body)
				}
				if err == nil && body != whole {
					t.Errorf("%s: byte %d, %q for %q: taken with %q", name, i, changed[i], wire[i], body)
				}
				if spelling := bytes.EqualFold(changed[i:i+1], wire[i:i+1]); err == nil && !spelling { // of a size, of a trailer's name
					t.Errorf("%s: byte %d, %q for %q: taken", name, i, changed[i], wire[i])
				}
			}
		}
		for _, cut := range []int{1, 2, 3, 30, len(wire) - start} {
			body := wire[start : len(wire)-cut]
			head := bytes.Replace(wire[:start], fmt.Appendf(nil, "Content-Length: %d", len(wire)-start), fmt.Appendf(nil, "Content-Length: %d", len(body)), 1)
			_, _, err := verify(t, v, append(bytes.Clone(head), body...))
			if cut > 2 && !errors.Is(err, sigv4.ErrPayload) && !errors.Is(err, sigv4.ErrSignature) {
				t.Errorf("%s without the last %d bytes: %v", name, cut, err)
			}
		}
	}
}

func TestChunksRefused(t *testing.T) {
	base := streams["trailer"]
	none := base
	none.trailer, none.names = nil, "x-amz-checksum-crc32"
	wrong := base
	wrong.trailer = []string{"x-amz-checksum-crc32:" + crc("something else")}
	unannounced := base
	unannounced.names = "x-amz-checksum-crc32"
	swapped := bytes.Replace(base.wire(t), []byte(chunkedTrailer), []byte(chunked), 1)
	big := stream{kind: chunked, chunks: []string{strings.Repeat("x", 101)}}
	limited := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), MaxChunk: 100})
	small := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt), MaxStream: 100})
	v := verifier(t, sigv4.Config{Keys: ann, Now: at(signedAt)})
	for _, tt := range []struct {
		name string
		v    *sigv4.Verifier
		wire []byte
		want error
	}{
		{"an announced trailer that is not there", v, none.wire(t), sigv4.ErrPayload},
		{"a wrong checksum, signed", v, wrong.wire(t), sigv4.ErrPayload},
		{"an unannounced trailer", v, unannounced.wire(t), sigv4.ErrPayload},
		{"another kind", v, swapped, sigv4.ErrSignature},
		{"a trailer announced by a kind that has none", v, stream{kind: chunked, names: "x-amz-meta-a"}.wire(t), sigv4.ErrMalformed},
		{"an unsigned body", v, streams["unsigned trailer"].wire(t), sigv4.ErrPayload},
		{"a large chunk", limited, big.wire(t), sigv4.ErrTooLarge},
		{"a large body", small, big.wire(t), sigv4.ErrTooLarge},
		{"more than was said", v, bytes.Replace(streams["chunks"].wire(t), []byte("Length: 11"), []byte("Length: 10"), 1), sigv4.ErrSignature},
		{"more behind it", v, append(bytes.Replace(streams["chunks"].wire(t), []byte("Content-Length: "), []byte("Content-Length: 1"), 1), make([]byte, 2000)...), sigv4.ErrPayload},
	} {
		if _, _, err := verify(t, tt.v, tt.wire); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// FuzzVerify feeds whole requests: whatever comes, nothing breaks, and nothing is taken but what the seeds are.
func FuzzVerify(f *testing.F) {
	for _, s := range requests {
		f.Add(s.wire(f))
	}
	for _, s := range streams {
		f.Add(s.wire(f))
	}
	v, err := sigv4.New(sigv4.Config{Keys: ann, Now: at(signedAt), MaxBody: 1 << 16, MaxStream: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := received(t, wire)
		if err != nil {
			return
		}
		if _, err := v.Verify(r); err != nil {
			var e *sigv4.Error
			if !errors.As(err, &e) || e.Code == "" || e.Message == "" || e.Status < 400 {
				t.Errorf("error %#v of no code", err)
			}
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil && strings.Contains(err.Error(), ann.secret) {
			t.Error("the error tells the secret")
		}
	})
}

// FuzzChunks feeds bodies behind a good signature: what comes out of signed chunks is a part of what was signed.
func FuzzChunks(f *testing.F) {
	wires := map[string][]byte{}
	for name, s := range streams {
		wire := s.wire(f)
		head, body, _ := bytes.Cut(wire, []byte("\r\n\r\n"))
		wires[name] = head
		f.Add(name, body)
	}
	v, err := sigv4.New(sigv4.Config{Keys: ann, Now: at(signedAt), UnsignedPayload: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		head, ok := wires[name]
		if !ok {
			return
		}
		r, err := received(t, append(bytes.Clone(head), "\r\n\r\n"...))
		if err != nil {
			t.Fatal(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if _, err := v.Verify(r); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r.Body)
		whole := strings.Join(streams[name].chunks, "")
		if streams[name].kind != unsignedTrailer && !strings.HasPrefix(whole, string(out)) || err == nil && len(out) != len(whole) {
			t.Errorf("%q came out of %q, %v", out, body, err)
		}
	})
}
