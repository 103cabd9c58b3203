package sts

import (
	"fmt"
	"log/slog"
)

// Secret is text that is not to be seen: the secret half of a key, a session token. However it is printed, logged or
// encoded, as a part of whatever, what shows is "[redacted]" or an address in memory. The zero value is empty.
type Secret struct {
	text *string // behind a pointer, because package fmt does not ask the types of unexported fields how to print
}

const redacted = "[redacted]"

// NewSecret returns a secret.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// Format prints "[redacted]", whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]": secrets are written out by hand where they have to be.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
