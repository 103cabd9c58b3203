package sigv4

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of what surrounds chunks.
const (
	maxChunkLine   = 256 // the size in hexadecimal digits, and a signature
	maxTrailerLine = 1024
	maxTrailers    = 16
)

// chunkReader reads a body of aws-chunked coding:
//
//	<size in hexadecimal digits>[;chunk-signature=<signature>] CR LF <data> CR LF … 0[;chunk-signature=<signature>] CR LF
//	[<name>:<value> CR LF … [x-amz-trailer-signature:<signature> CR LF]] CR LF
//
// Every signature covers the one before, beginning with that of the request.
type chunkReader struct {
	src     io.ReadCloser
	in      *bufio.Reader
	refuse  func(kind error, detail string) error
	left    int64 // of the decoded length
	sums    []*checksum
	trailer http.Header // filled in at the end

	// Of signed chunks.
	signer   *signer // nil for unsigned ones
	previous string
	maxChunk int

	hasTrailer bool
	trailers   []string // names announced

	buffer []byte // of a signed chunk, what is verified and not yet read
	chunk  int64  // of an unsigned chunk, what is left of it
	err    error  // how it ended, io.EOF included
}

func newChunkReader(src io.ReadCloser, decoded int64) *chunkReader {
	return &chunkReader{src: src, in: bufio.NewReaderSize(src, 4096), left: decoded}
}

// Close implements io.Closer.
func (c *chunkReader) Close() error { return c.src.Close() }

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.buffer) == 0 && c.chunk == 0 {
		if c.err == nil {
			c.err = c.next()
		}
		if c.err != nil {
			return 0, c.err
		}
	}
	if c.signer != nil {
		n := copy(p, c.buffer)
		c.buffer = c.buffer[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.chunk)])
	if c.chunk -= int64(n); err != nil {
		c.chunk, c.err = 0, c.failed(err)
		return n, c.err
	}
	c.sum(p[:n])
	if c.chunk == 0 {
		c.err = c.lineEnd()
	}
	return n, nil
}

// failed is the error of a body that could not be read.
func (c *chunkReader) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return c.refuse(ErrPayload, errEarly.Error())
	}
	return err
}

// next reads the head of a chunk, and all of one that is signed. After the last chunk it returns io.EOF.
func (c *chunkReader) next() error {
	if c.sums == nil {
		c.sums = checksums(c.trailers)
	}
	line, err := c.line(maxChunkLine)
	if err != nil {
		return err
	}
	digits, extension, _ := strings.Cut(line, ";")
	size, err := strconv.ParseUint(digits, 16, 63)
	if err != nil || len(digits) > 16 {
		return c.refuse(ErrPayload, "a chunk does not begin with its size")
	}
	if int64(size) > c.left {
		return c.refuse(ErrPayload, "the chunks have more bytes than X-Amz-Decoded-Content-Length says")
	}
	c.left -= int64(size)
	if c.signer != nil {
		if err := c.readSigned(size, extension); err != nil {
			return err
		}
	}
	if size == 0 {
		return c.end()
	}
	if c.signer == nil {
		c.chunk = int64(size)
	}
	return nil
}

// readSigned reads a chunk and verifies it.
func (c *chunkReader) readSigned(size uint64, extension string) error {
	signature, ok := strings.CutPrefix(extension, "chunk-signature=")
	if !ok || !isDigest(signature) {
		return c.refuse(ErrPayload, "a chunk has no signature")
	}
	if size > uint64(c.maxChunk) {
		return c.refuse(ErrTooLarge, "a chunk has more than "+strconv.Itoa(c.maxChunk)+" bytes")
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(c.in, data); err != nil {
		return c.failed(err)
	}
	if !c.signer.isSignature(signature, "AWS4-HMAC-SHA256-PAYLOAD", c.previous, emptyHash, hashOf(data)) {
		return c.refuse(ErrSignature, "of a chunk")
	}
	c.previous = signature
	c.sum(data)
	if size > 0 {
		if err := c.lineEnd(); err != nil {
			return err
		}
	}
	c.buffer = data
	return nil
}

// end reads what follows the last chunk.
func (c *chunkReader) end() error {
	if c.left != 0 {
		return c.refuse(ErrPayload, "the chunks have fewer bytes than X-Amz-Decoded-Content-Length says")
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	if _, err := c.in.ReadByte(); err == nil {
		return c.refuse(ErrPayload, "more follows the last chunk")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}

// readTrailer reads headers up to an empty line, and verifies them. Some signers leave out the empty line.
func (c *chunkReader) readTrailer() error {
	var canonical strings.Builder
	signature := ""
	for n := 0; ; n++ {
		if _, err := c.in.Peek(1); errors.Is(err, io.EOF) {
			break
		}
		line, err := c.line(maxTrailerLine)
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		switch {
		case !ok || strings.ContainsFunc(line, unicode.IsControl) || !c.hasTrailer || signature != "" || n >= maxTrailers:
			return c.refuse(ErrPayload, "what follows the last chunk is no trailer")
		case name == "x-amz-trailer-signature":
			signature = value
		case !slices.Contains(c.trailers, name) || len(c.trailer.Values(name)) > 0:
			return c.refuse(ErrPayload, "X-Amz-Trailer does not announce one "+name)
		default:
			canonical.WriteString(name + ":" + value + "\n")
			c.trailer.Set(name, value)
		}
	}
	for _, name := range c.trailers {
		if c.trailer.Get(name) == "" {
			return c.refuse(ErrPayload, "the trailer has no "+name)
		}
	}
	if c.signer != nil && c.hasTrailer {
		if !c.signer.isSignature(signature, "AWS4-HMAC-SHA256-TRAILER", c.previous, hashOf([]byte(canonical.String()))) {
			return c.refuse(ErrSignature, "of the trailer")
		}
	} else if signature != "" {
		return c.refuse(ErrPayload, "an unsigned trailer has a signature")
	}
	return c.checkSums()
}

func (c *chunkReader) checkSums() error {
	for _, s := range c.sums {
		if got := c.trailer.Get(s.name); got != s.value() {
			return c.refuse(ErrPayload, "the body's "+s.name+" is "+s.value()+", the trailer says "+got)
		}
	}
	return nil
}

func (c *chunkReader) sum(data []byte) {
	for _, s := range c.sums {
		s.hash.Write(data)
	}
}

// lineEnd reads the end of a chunk's data.
func (c *chunkReader) lineEnd() error {
	line, err := c.line(0)
	if err == nil && line != "" {
		err = c.refuse(ErrPayload, "a chunk does not end where its size says")
	}
	return err
}

// line reads up to CR LF, at most so many bytes before.
func (c *chunkReader) line(most int) (string, error) {
	var line []byte
	for {
		b, err := c.in.ReadByte()
		if err != nil {
			return "", c.failed(err)
		}
		if line = append(line, b); b == '\n' {
			break
		}
		if len(line) > most+2 {
			return "", c.refuse(ErrPayload, "a line between chunks is too long")
		}
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", c.refuse(ErrPayload, "a line between chunks does not end in CR LF")
	}
	return text, nil
}
