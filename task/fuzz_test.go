package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeDefinition wants no input to make the package panic, every error to
// be a *DecodeError, and what was decoded to be the same after encoding it and
// decoding it again.
func FuzzDecodeDefinition(f *testing.F) {
	for _, file := range corpus(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := DecodeDefinition(bytes.NewReader(data))
		if err != nil {
			var bad *DecodeError
			if !errors.As(err, &bad) {
				t.Fatalf("got %T, want *DecodeError: %v", err, err)
			}
			return
		}
		if !json.Valid(bytes.TrimPrefix(data, []byte("\ufeff"))) {
			t.Fatalf("decoded what is not JSON: %q", data)
		}
		checkRoundTrip(t, data, d)
		for _, lt := range launchTypes {
			_ = d.Validate(lt)
		}
		_ = d.Unknown()
		if diff := cmp.Diff(d, d.Clone()); diff != "" {
			t.Errorf("the copy differs (-want +got):\n%s", diff)
		}
	})
}

func FuzzParseARN(f *testing.F) {
	for _, s := range []string{
		"arn:aws:ecs:us-east-1:111122223333:cluster/default", "arn:aws:ecs:r:a:task/c/0123", "arn:aws:ecs:r:a:task/0123",
		"arn:aws-cn:ecs:cn-north-1:a:task-definition/web:3", "arn:aws:ecs:r:a:container/c/t/u", "arn:aws:iam::1:role/a/b",
		"arn:aws:secretsmanager:r:a:secret:n:k:s:i", "arn::::::", "arn:aws:ecs:r:a:task-set/c/s/1", "web:3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseARN(s); err == nil {
			if got := a.String(); got != s {
				t.Errorf("ParseARN(%q) comes back as %q", s, got)
			}
		}
		if r, err := ParseResource(s); err == nil {
			if got := r.String(); got != s {
				t.Errorf("ParseResource(%q) comes back as %q", s, got)
			}
		}
		family, revision, err := ParseFamilyRevision(s)
		if err != nil {
			return
		}
		again, n, err := ParseFamilyRevision(FamilyRevision(family, revision))
		if err != nil || again != family || n != revision {
			t.Errorf("%q is %q, %d, which comes back as %q, %d, %v", s, family, revision, again, n, err)
		}
	})
}

func FuzzParseMemory(f *testing.F) {
	for _, s := range []string{"512", "0.5 GB", ".5gb", "244 GB", "1.", "1. GB", "0", "9999999999999", "1e9", "-1", "0.0009765625 GB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMemory(s)
		if err != nil {
			return
		}
		if m < 1 {
			t.Errorf("ParseMemory(%q) = %d, want a positive amount", s, m)
		}
		if again, err := ParseMemory(m.String()); len(m.String()) <= 12 && (err != nil || again != m) {
			t.Errorf("ParseMemory(%q) = %d, which comes back as %d, %v", s, m, again, err)
		}
		if c, err := ParseCPU(s); err == nil && int64(c) != int64(m) {
			t.Errorf("%q is %d as memory and %d as CPU", s, m, c)
		}
	})
}
