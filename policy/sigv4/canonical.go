package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// wirePath is the path as it came: percent-encoded as the client chose.
func wirePath(r *http.Request) string {
	path := r.RequestURI
	if path == "" { // not a server's request
		path = r.URL.EscapedPath()
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if !strings.HasPrefix(path, "/") { // absolute form: http://host/path
		if _, rest, ok := strings.Cut(path, "://"); ok {
			slash := strings.IndexByte(rest, '/')
			if slash < 0 {
				return "/"
			}
			path = rest[slash:]
		}
	}
	if path == "" {
		return "/"
	}
	return path
}

// normalized removes empty and "." and ".." parts of a path, as RFC 3986 has it.
func normalized(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	out := "/" + strings.Join(parts, "/")
	if len(parts) > 0 && (strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")) {
		out += "/"
	}
	return out
}

const upperHex = "0123456789ABCDEF"

// appendEncoded appends s with everything but unreserved characters percent-encoded, and slashes on request.
func appendEncoded(b []byte, s string, keepSlash bool) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// encodePath is the canonical path: for S3 the decoded path encoded once, for others the path as it came encoded again.
func encodePath(path string, s3 bool) (string, bool) {
	if s3 {
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return "", false
		}
		path = decoded
	}
	return string(appendEncoded(make([]byte, 0, len(path)+16), path, true)), true
}

// rawQuery is the query as it came.
func rawQuery(r *http.Request) string {
	if _, q, ok := strings.Cut(r.RequestURI, "?"); ok {
		return q
	}
	if r.RequestURI != "" {
		return ""
	}
	return r.URL.RawQuery
}

// parseRawQuery decodes a query as handlers do. It refuses what handlers would drop silently: a change of the request
// that the signature would not notice.
func parseRawQuery(raw string) (url.Values, *mistake) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &mistake{"", "the query is malformed: " + err.Error()}
	}
	return values, nil
}

// canonicalQuery encodes and sorts the parameters, without the signature and without another.
func canonicalQuery(values url.Values, without string) string {
	type pair struct{ name, value string }
	pairs := make([]pair, 0, len(values))
	for name, list := range values {
		if name == "X-Amz-Signature" || name == without {
			continue
		}
		encoded := string(appendEncoded(nil, name, false))
		for _, v := range list {
			pairs = append(pairs, pair{encoded, string(appendEncoded(nil, v, false))})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// headerValues are a signed header's values. The server keeps two of them elsewhere.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		return []string{r.Host}
	case "content-length":
		if r.ContentLength < 0 {
			return nil
		}
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case "transfer-encoding":
		return r.TransferEncoding
	}
	return r.Header[http.CanonicalHeaderKey(name)]
}

// canonicalHeaders spells the signed headers. A signed header that is not there is one that was taken away.
func canonicalHeaders(r *http.Request, names []string) (string, *mistake) {
	var b strings.Builder
	for _, name := range names {
		values := headerValues(r, name)
		if len(values) == 0 {
			return "", &mistake{"", "the signed header " + name + " is missing"}
		}
		b.WriteString(name + ":")
		for i, v := range values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(folded(v))
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// folded is a header's value without blanks around it and without sequences of spaces.
func folded(v string) string {
	v = strings.Trim(v, " \t\r\n")
	if !strings.Contains(v, "  ") {
		return v
	}
	b := make([]byte, 0, len(v))
	for i := range len(v) {
		if v[i] != ' ' || v[i-1] != ' ' { // never the first: it is trimmed
			b = append(b, v[i])
		}
	}
	return string(b)
}

// unsignedHeader finds a header that must be signed and is not, "" when there is none.
func unsignedHeader(r *http.Request, signed []string) string {
	for name := range r.Header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "x-amz-") || lower == "x-amz-security-token" {
			continue
		}
		if _, found := slices.BinarySearch(signed, lower); !found {
			return name
		}
	}
	return ""
}
