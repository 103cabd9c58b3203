package sts

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits    = "0123456789"
	nameChars = letters + digits + "_+=,.@-" // [\w+=,.@-]
)

// Limits of names (IAM and STS API references).
const (
	maxEntityName  = 64 // of roles and users
	maxPolicyName  = 128
	maxPath        = 512
	maxDescription = 1000
	minSessionName = 2
	maxSessionName = 64
	minExternalID  = 2
	maxExternalID  = 1224
	minARN         = 20
	maxARN         = 2048
)

func consists(s, of string) bool { return strings.Trim(s, of) == "" }

// length holds a parameter to its bounds, in characters.
func length(value, parameter string, lowest, highest int) error {
	switch n := utf8.RuneCountInString(value); {
	case n < lowest:
		return violates(value, parameter, "have length greater than or equal to "+strconv.Itoa(lowest))
	case n > highest:
		return violates(value, parameter, "have length less than or equal to "+strconv.Itoa(highest))
	}
	return nil
}

// checkName is for names of roles, users and policies.
func checkName(value, parameter string, highest int) error {
	if err := length(value, parameter, 1, highest); err != nil {
		return err
	}
	if !consists(value, nameChars) {
		return fail(codeValidation, "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", parameter)
	}
	return nil
}

// checkPath is for the path of a role, user or policy.
func checkPath(path string) error {
	if err := length(path, "path", 1, maxPath); err != nil {
		return err
	}
	odd := strings.ContainsFunc(path, func(r rune) bool { return r < '!' || r > '~' || r == ':' || r == '*' || r == '?' })
	if odd || path[0] != '/' || path[len(path)-1] != '/' || strings.Contains(path, "//") {
		return fail(codeValidation, "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

// checkText is for parameters of STS with a length and a set of characters.
func checkText(value, parameter string, lowest, highest int, chars, pattern string) error {
	if err := length(value, parameter, lowest, highest); err != nil {
		return err
	}
	if !consists(value, chars) {
		return violates(value, parameter, "satisfy regular expression pattern: "+pattern)
	}
	return nil
}

func checkSessionName(name string) error {
	return checkText(name, "roleSessionName", minSessionName, maxSessionName, nameChars, `[\w+=,.@-]*`)
}

func checkExternalID(id string) error {
	return checkText(id, "externalId", minExternalID, maxExternalID, nameChars+":/", `[\w+=,.@:\/-]*`)
}

func checkSourceIdentity(id string) error {
	if err := checkText(id, "sourceIdentity", minSessionName, maxSessionName, nameChars, `[\w+=,.@-]*`); err != nil {
		return err
	}
	if strings.HasPrefix(strings.ToLower(id), "aws:") {
		return violates(id, "sourceIdentity", "not begin with aws:")
	}
	return nil
}

// tagText reports whether s has only characters that tags may have: [\p{L}\p{Z}\p{N}_.:/=+\-@].
func tagText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r)
	})
}
