package sts

import (
	"errors"
	"fmt"

	"github.com/fardel-io/fardel/policy"
)

// Errors a caller tests for with errors.Is. Each stands for the error code of AWS in its text.
var (
	ErrNoSuchEntity    = errors.New("sts: NoSuchEntity")
	ErrExists          = errors.New("sts: EntityAlreadyExists")
	ErrMalformedPolicy = errors.New("sts: MalformedPolicyDocument")
	ErrPackedPolicy    = errors.New("sts: PackedPolicyTooLarge")
	ErrValidation      = errors.New("sts: ValidationError")
	ErrInvalidInput    = errors.New("sts: InvalidInput")
	ErrInvalidValue    = errors.New("sts: InvalidParameterValue")
	ErrAccessDenied    = errors.New("sts: AccessDenied")
	ErrConflict        = errors.New("sts: DeleteConflict")
	ErrLimit           = errors.New("sts: LimitExceeded")

	// ErrInvalidToken is for keys and tokens that were not issued here, are not right, or no longer count.
	ErrInvalidToken = errors.New("sts: InvalidClientTokenId")
	// ErrExpired is for tokens that were good.
	ErrExpired = errors.New("sts: ExpiredToken")

	// ErrRevoked is matched, beside [ErrInvalidToken], when a token was revoked.
	ErrRevoked = errors.New("sts: credentials were revoked")
	// ErrStore is matched when the store could not be read or written, or what it holds is not ours.
	ErrStore = errors.New("sts: store")
)

var sentinels = map[string]error{
	codeNoSuchEntity: ErrNoSuchEntity, codeExists: ErrExists, codeMalformed: ErrMalformedPolicy, codePacked: ErrPackedPolicy,
	codeValidation: ErrValidation, codeInvalidInput: ErrInvalidInput, codeInvalidValue: ErrInvalidValue,
	codeAccessDenied: ErrAccessDenied, codeConflict: ErrConflict, codeLimit: ErrLimit,
	codeInvalidToken: ErrInvalidToken, codeExpired: ErrExpired,
}

const (
	codeNoSuchEntity = "NoSuchEntity"
	codeExists       = "EntityAlreadyExists"
	codeMalformed    = "MalformedPolicyDocument"
	codePacked       = "PackedPolicyTooLarge"
	codeValidation   = "ValidationError"
	codeInvalidInput = "InvalidInput"
	codeInvalidValue = "InvalidParameterValue"
	codeAccessDenied = "AccessDenied"
	codeConflict     = "DeleteConflict"
	codeLimit        = "LimitExceeded"
	codeInvalidToken = "InvalidClientTokenId"
	codeExpired      = "ExpiredToken"
)

// statuses are the HTTP status codes of the query API's errors; those that are missing are 400.
var statuses = map[string]int{
	codeNoSuchEntity: 404, codeExists: 409, codeAccessDenied: 403, codeConflict: 409, codeLimit: 409,
	codeInvalidToken: 403, codeExpired: 403,
}

// Error is an error as AWS reports it.
type Error struct {
	Code    string // such as NoSuchEntity
	Message string // AWS's text where that is known
	Err     error  // what is behind it: a *policy.DocumentError, a *policy.DeniedError, ErrRevoked, or nil
}

// Error is the code and AWS's text, or for a wrong document also where it is wrong.
func (e *Error) Error() string {
	var document *policy.DocumentError
	if errors.As(e.Err, &document) {
		return "sts: " + e.Code + ": " + document.Error()
	}
	return "sts: " + e.Code + ": " + e.Message
}

// Unwrap returns what is behind the error.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the sentinel of the code.
func (e *Error) Is(target error) bool { return target != nil && sentinels[e.Code] == target }

// ErrorCode is Code, as AWS's SDKs and package sigv4 ask for it.
func (e *Error) ErrorCode() string { return e.Code }

// ErrorMessage is Message, as AWS's SDKs ask for it.
func (e *Error) ErrorMessage() string { return e.Message }

// StatusCode is the HTTP status that AWS answers with.
func (e *Error) StatusCode() int {
	if status, ok := statuses[e.Code]; ok {
		return status
	}
	return 400
}

func fail(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// violates is the error of a parameter that breaks a constraint of the API's model. AWS repeats the value.
func violates(value, parameter, constraint string) error {
	return fail(codeValidation, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must %s", value, parameter, constraint)
}

// document is the error of a policy that cannot be stored.
func documentError(err error) error {
	var d *policy.DocumentError
	if errors.As(err, &d) {
		return &Error{Code: d.Code, Message: d.Message, Err: err}
	}
	return &Error{Code: codeInvalidInput, Message: err.Error(), Err: err}
}

// Texts of STS.
const (
	msgInvalidToken = "The security token included in the request is invalid"
	msgExpired      = "The security token included in the request is expired"
)

func invalidToken(cause error) error {
	return &Error{Code: codeInvalidToken, Message: msgInvalidToken, Err: cause}
}
