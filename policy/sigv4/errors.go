package sigv4

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/http"
)

// Errors a caller tests for with errors.Is: why a request is refused.
var (
	ErrUnsigned    = errors.New("sigv4: the request is not signed")
	ErrMalformed   = errors.New("sigv4: the signature is malformed or incomplete")
	ErrSignature   = errors.New("sigv4: the signature does not match")
	ErrUnknownKey  = errors.New("sigv4: the access key or session token is unknown")
	ErrTokenExpiry = errors.New("sigv4: the session token has expired")
	ErrTime        = errors.New("sigv4: the request was made too long ago, or is not to be made yet")
	ErrReplay      = errors.New("sigv4: the request was made before")
	ErrPayload     = errors.New("sigv4: the body is not what was signed")
	ErrTooLarge    = errors.New("sigv4: the body is too large")
)

// Protocol says whose codes errors have: AWS's services have three families.
type Protocol uint8

const (
	// Query is the protocol of IAM, STS, EC2 and SQS of old: SignatureDoesNotMatch.
	Query Protocol = iota
	// JSON is the protocol of ECS, DynamoDB and most later services: InvalidSignatureException.
	JSON
	// S3 has codes and texts of its own.
	S3
)

// answer is how one protocol reports a kind of error. An empty text is left to the place that finds it.
type answer struct {
	code   string
	status int
	text   string
}

const (
	textMismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key " +
		"and signing method. Consult the service documentation for details."
	textMalformed    = "The request signature does not conform to AWS standards."
	textInvalidToken = "The security token included in the request is invalid."
	textExpiredToken = "The security token included in the request is expired"
	textReplay       = "The request has been made before with this signature."
	textTooLarge     = "Your request body exceeds the maximum allowed size."
)

var answers = map[error][3]answer{
	ErrUnsigned: {
		{"MissingAuthenticationToken", http.StatusForbidden, "Request is missing Authentication Token"},
		{"MissingAuthenticationTokenException", http.StatusBadRequest, "Missing Authentication Token"},
		{"AccessDenied", http.StatusForbidden, "Access Denied"},
	},
	ErrMalformed: {
		{"IncompleteSignature", http.StatusBadRequest, ""},
		{"IncompleteSignatureException", http.StatusBadRequest, ""},
		{"AuthorizationHeaderMalformed", http.StatusBadRequest, ""},
	},
	ErrSignature: {
		{"SignatureDoesNotMatch", http.StatusForbidden, textMismatch},
		{"InvalidSignatureException", http.StatusBadRequest, textMismatch},
		{"SignatureDoesNotMatch", http.StatusForbidden,
			"The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	},
	ErrUnknownKey: {
		{"InvalidClientTokenId", http.StatusForbidden, textInvalidToken},
		{"UnrecognizedClientException", http.StatusBadRequest, textInvalidToken},
		{"InvalidAccessKeyId", http.StatusForbidden, "The AWS Access Key Id you provided does not exist in our records."},
	},
	ErrTokenExpiry: {
		{"ExpiredToken", http.StatusForbidden, textExpiredToken},
		{"ExpiredTokenException", http.StatusBadRequest, textExpiredToken},
		{"ExpiredToken", http.StatusBadRequest, "The provided token has expired."},
	},
	ErrTime: {
		{"SignatureDoesNotMatch", http.StatusForbidden, ""},
		{"InvalidSignatureException", http.StatusBadRequest, ""},
		{"RequestTimeTooSkewed", http.StatusForbidden, "The difference between the request time and the current time is too large."},
	},
	errPresignedExpired: {
		{"RequestExpired", http.StatusBadRequest, "Request has expired."},
		{"RequestExpired", http.StatusBadRequest, "Request has expired."},
		{"AccessDenied", http.StatusForbidden, "Request has expired"},
	},
	ErrReplay: {
		{"SignatureDoesNotMatch", http.StatusForbidden, textReplay},
		{"InvalidSignatureException", http.StatusBadRequest, textReplay},
		{"SignatureDoesNotMatch", http.StatusForbidden, textReplay},
	},
	ErrPayload: {
		{"SignatureDoesNotMatch", http.StatusForbidden, textMismatch},
		{"InvalidSignatureException", http.StatusBadRequest, textMismatch},
		{"XAmzContentSHA256Mismatch", http.StatusBadRequest, "The provided 'x-amz-content-sha256' header does not match what was computed."},
	},
	ErrTooLarge: {
		{"RequestEntityTooLarge", http.StatusRequestEntityTooLarge, textTooLarge},
		{"RequestEntityTooLargeException", http.StatusRequestEntityTooLarge, textTooLarge},
		{"EntityTooLarge", http.StatusBadRequest, "Your proposed upload exceeds the maximum allowed size"},
	},
}

// errPresignedExpired is an ErrTime with codes of its own.
var errPresignedExpired = errors.New("sigv4: the presigned request has expired")

// Error says why a request is refused, as AWS does.
type Error struct {
	Code    string // such as SignatureDoesNotMatch
	Message string // AWS's text where that is known
	Status  int    // of the HTTP response
	Detail  string // what exactly is wrong, in words of ours; may be empty

	kind     error
	err      error
	protocol Protocol
}

// Error is the code, AWS's text, and the detail.
func (e *Error) Error() string {
	s := "sigv4: " + e.Code + ": " + e.Message
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Is matches the sentinel that says why.
func (e *Error) Is(target error) bool {
	return target == e.kind || target == ErrTime && e.kind == errPresignedExpired
}

// Unwrap is what [Keys] said, or an error of reading the body.
func (e *Error) Unwrap() error { return e.err }

// refuse makes an error of a kind. text is AWS's, "" for the kind's own.
func (p Protocol) refuse(kind error, text, detail string) *Error {
	a := answers[kind][p]
	if a.text != "" && (text == "" || p == S3) {
		text = a.text
	}
	if text == "" {
		text = textMalformed
	}
	return &Error{Code: a.code, Message: text, Status: a.status, Detail: detail, kind: kind, protocol: p}
}

// Respond writes an error as AWS's services do: with its status, and as XML or JSON with its code and text, without the
// detail. An error that is none of this package's becomes a 500 without its text.
func Respond(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: "InternalFailure", Message: "The request processing has failed because of an unknown error.", Status: http.StatusInternalServerError}
	}
	var body []byte
	switch e.protocol {
	case JSON:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Errortype", e.Code)
		body, _ = json.Marshal(map[string]string{"__type": e.Code, "message": e.Message}) // strings always encode
	case S3:
		w.Header().Set("Content-Type", "application/xml")
		body, _ = xml.Marshal(xmlError{XMLName: xml.Name{Local: "Error"}, Code: e.Code, Message: e.Message})
	default:
		w.Header().Set("Content-Type", "text/xml")
		body, _ = xml.Marshal(xmlResponse{Error: xmlError{XMLName: xml.Name{Local: "Error"}, Type: "Sender", Code: e.Code, Message: e.Message}})
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

type xmlError struct {
	XMLName xml.Name
	Type    string `xml:",omitempty"`
	Code    string
	Message string
}

type xmlResponse struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Error   xmlError
}
