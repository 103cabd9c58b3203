package policy

import (
	"errors"
	"strconv"
	"strings"
)

// Errors a caller tests for with errors.Is.
var (
	// ErrMalformed is matched by every [*DocumentError] of a document that breaks a rule of the language.
	ErrMalformed = errors.New("policy: malformed document")

	// ErrTooLarge is matched by a [*DocumentError] of a document that is over its quota.
	ErrTooLarge = errors.New("policy: document too large")

	// ErrDenied is matched by every [*DeniedError].
	ErrDenied = errors.New("policy: access denied")

	// ErrPrincipal is returned for a name that no principal can have.
	ErrPrincipal = errors.New("policy: not a principal")

	// ErrNotFound is returned by a [Directory] asked for a policy that it does not hold.
	ErrNotFound = errors.New("policy: not found")

	// ErrInUse is returned when a policy to be removed from a [Directory] is still attached.
	ErrInUse = errors.New("policy: in use")
)

// DocumentError says why a document was refused: in AWS's words, and where and what exactly in ours.
type DocumentError struct {
	Policy  string // Options.Name of the document, may be empty
	Code    string // AWS's error code: MalformedPolicyDocument, MalformedPolicy (S3) or LimitExceeded
	Message string // AWS's text, word for word where AWS's is known
	Path    string // the element, such as Statement[1].Condition.Bool; "" is the document
	Line    int    // from 1
	Column  int    // from 1, in bytes
	Offset  int    // from 0, in bytes
	Detail  string // what is wrong there, may be empty
}

// Error gives AWS's text first, then the place and the detail.
func (e *DocumentError) Error() string {
	var b strings.Builder
	b.WriteString("policy: ")
	if e.Policy != "" {
		b.WriteString(e.Policy + ": ")
	}
	b.WriteString(e.Message + " (")
	if e.Path != "" {
		b.WriteString(e.Path + ", ")
	}
	b.WriteString("line " + strconv.Itoa(e.Line) + " column " + strconv.Itoa(e.Column))
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String() + ")"
}

// Is matches [ErrTooLarge] or [ErrMalformed].
func (e *DocumentError) Is(target error) bool {
	if e.Code == codeLimit {
		return target == ErrTooLarge
	}
	return target == ErrMalformed
}

const (
	codeMalformed = "MalformedPolicyDocument"
	codeS3        = "MalformedPolicy"
	codeLimit     = "LimitExceeded"
)

// AWS's texts. Those of IAM are known from its answers to CreatePolicy and CreateRole, those of S3 from PutBucketPolicy,
// the last from Organizations.
const (
	msgSyntax         = "Syntax errors in policy."
	msgLegacy         = "The policy failed legacy parsing"
	msgVersion        = "Policy document must be version 2012-10-17 or greater."
	msgNoActions      = "Policy statement must contain actions."
	msgNoResources    = "Policy statement must contain resources."
	msgVendorPrefix   = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	msgOneColon       = "Actions/Condition can contain only one colon."
	msgVendorRegex    = "Resource vendor must be fully qualified and cannot contain regexes."
	msgUniqueSid      = "Statement IDs (SID) in a single policy must be unique."
	msgNoPrincipal    = "Policy document should not specify a principal."
	msgCharacters     = `Value at 'policyDocument' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`
	msgTrustJSON      = "This policy contains invalid Json"
	msgTrustResource  = "Has prohibited field Resource"
	msgTrustNot       = "Has prohibited field NotPrincipal"
	msgTrustPrincipal = "Missing required field Principal"
	msgTrustAction    = "AssumeRole policy may only specify STS AssumeRole actions."
	msgS3JSON         = "Policies must be valid JSON and the first byte must be '{'"
	msgS3Missing      = "Missing required field "
	msgS3Syntax       = "Invalid policy syntax."
	msgInvalidWho     = "Invalid principal in policy"
	msgOrganizations  = "The provided policy document does not meet the requirements of the specified policy type."
)
