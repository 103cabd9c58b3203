package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// maxExpires is the longest a presigned request may be good: a week.
const maxExpires = 7 * 24 * time.Hour

// authorization is what a request says about its signature.
type authorization struct {
	accessKeyID     string
	date            string // of the scope: eight digits
	region, service string
	signedHeaders   []string // in lower case, sorted, each once
	signature       string   // 64 digits
	token           string   // session token, "" for none
	time            time.Time
	stamp           string // time as it is signed
	presigned       bool
	expires         time.Duration // of a presigned request
}

// scope is the credential scope.
func (a *authorization) scope() string {
	return a.date + "/" + a.region + "/" + a.service + "/" + terminator
}

// mistake is what is wrong with a request: AWS's text, and what exactly.
type mistake struct{ text, detail string }

// parseHeader reads the Authorization header.
func parseHeader(r *http.Request, a *authorization) *mistake {
	h := r.Header["Authorization"]
	if len(h) != 1 {
		return &mistake{"", "more than one Authorization header"}
	}
	rest, ok := strings.CutPrefix(h[0], algorithm+" ")
	if !ok {
		return &mistake{"Unsupported AWS 'algorithm'.", "want " + algorithm}
	}
	values, m := parameters(rest)
	if m != nil {
		return m
	}
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if values[name] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	stamp := r.Header.Get("X-Amz-Date")
	if stamp == "" && r.Header.Get("Date") == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if len(missing) > 0 {
		return &mistake{strings.Join(missing, " "), ""}
	}
	if m := a.setCredential(values["Credential"]); m != nil {
		return m
	}
	if m := a.setSigned(values["SignedHeaders"], values["Signature"]); m != nil {
		return m
	}
	if n := len(r.Header["X-Amz-Date"]); n > 1 || len(r.Header["X-Amz-Security-Token"]) > 1 {
		return &mistake{"", "X-Amz-Date and X-Amz-Security-Token may stand in a request once"}
	}
	a.token = r.Header.Get("X-Amz-Security-Token")
	if stamp != "" {
		return a.setTime(stamp)
	}
	return a.setDate(r.Header["Date"])
}

// parameters reads "name=value, name=value".
func parameters(s string) (map[string]string, *mistake) {
	values := map[string]string{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		if !ok {
			return nil, &mistake{"'" + part + "' not a valid key=value pair (missing equal-sign) in Authorization header.", ""}
		}
		if _, twice := values[name]; twice {
			return nil, &mistake{"", name + " stands in the Authorization header twice"}
		}
		values[name] = value
	}
	return values, nil
}

// parseQuery reads the parameters of a presigned request.
func parseQuery(query url.Values, a *authorization) *mistake {
	a.presigned = true
	get := func(name string) string {
		if len(query[name]) == 1 {
			return query[name][0]
		}
		return ""
	}
	if get("X-Amz-Algorithm") != algorithm {
		return &mistake{"Unsupported AWS 'algorithm'.", "want one X-Amz-Algorithm, " + algorithm}
	}
	var missing []string
	for _, name := range []string{"X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature", "X-Amz-SignedHeaders"} {
		if get(name) == "" {
			missing = append(missing, "AWS query-string parameters must include '"+name+"'.")
		}
	}
	if len(missing) > 0 {
		return &mistake{strings.Join(missing, " ") + " Re-examine the query-string parameters.", "each has to be there once"}
	}
	if n := len(query["X-Amz-Security-Token"]); n > 1 {
		return &mistake{"", "X-Amz-Security-Token may stand in a request once"}
	}
	a.token = get("X-Amz-Security-Token")
	seconds, err := strconv.Atoi(get("X-Amz-Expires"))
	if a.expires = time.Duration(seconds) * time.Second; err != nil || seconds < 1 || a.expires > maxExpires {
		return &mistake{"X-Amz-Expires must be a number between 1 and 604800.", ""}
	}
	if m := a.setCredential(get("X-Amz-Credential")); m != nil {
		return m
	}
	if m := a.setSigned(get("X-Amz-SignedHeaders"), get("X-Amz-Signature")); m != nil {
		return m
	}
	return a.setTime(get("X-Amz-Date"))
}

func (a *authorization) setCredential(s string) *mistake {
	parts := strings.Split(s, "/")
	if len(parts) != 5 {
		return &mistake{"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + s + "'", ""}
	}
	if slices.Contains(parts, "") {
		return &mistake{"", "an element of Credential is empty"}
	}
	if parts[4] != terminator {
		return &mistake{"Credential should be scoped with a valid terminator: 'aws4_request', not '" + parts[4] + "'.", ""}
	}
	a.accessKeyID, a.date, a.region, a.service = parts[0], parts[1], parts[2], parts[3]
	return nil
}

// setSigned checks the list of signed headers, which has to be as signers write it: one list, one signature.
func (a *authorization) setSigned(headers, signature string) *mistake {
	if !isDigest(signature) {
		return &mistake{"", "Signature is not 64 hexadecimal digits in lower case"}
	}
	a.signature = signature
	a.signedHeaders = strings.Split(headers, ";")
	for i, h := range a.signedHeaders {
		if h == "" || h != strings.ToLower(h) || i > 0 && h <= a.signedHeaders[i-1] {
			return &mistake{"", "SignedHeaders is not a sorted list of names in lower case"}
		}
	}
	if !slices.Contains(a.signedHeaders, "host") {
		return &mistake{"'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.", ""}
	}
	return nil
}

// isDigest reports whether s is a SHA-256 as signers write it.
func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func (a *authorization) setTime(stamp string) *mistake {
	t, err := time.Parse(timeFormat, stamp)
	if err != nil {
		return &mistake{"Date must be in ISO-8601 'basic format'. Got '" + stamp + "'. See http://en.wikipedia.org/wiki/ISO_8601", ""}
	}
	a.time, a.stamp = t, stamp
	if a.date != stamp[:len(dateFormat)] {
		return &mistake{"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + a.date + "' != '" +
			stamp[:len(dateFormat)] + "', from '" + stamp + "'.", ""}
	}
	return nil
}

// setDate takes the time from the Date header, of which the signature covers the ISO 8601 form.
func (a *authorization) setDate(values []string) *mistake {
	if len(values) != 1 {
		return &mistake{"", "more than one Date header"}
	}
	if t, err := http.ParseTime(values[0]); err == nil {
		return a.setTime(t.UTC().Format(timeFormat))
	}
	return a.setTime(values[0])
}
