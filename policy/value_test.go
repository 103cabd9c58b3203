package policy

import (
	"cmp"
	"testing"
	"time"
)

func TestParseInstant(t *testing.T) {
	at := func(s string) instant {
		u, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return instant{u.Unix(), int32(u.Nanosecond())}
	}
	for text, want := range map[string]instant{
		"2026-11-23T10:00:00Z":             at("2026-11-23T10:00:00Z"),
		"2026-11-23t10:00:00z":             at("2026-11-23T10:00:00Z"),
		"2026-11-23T10:00Z":                at("2026-11-23T10:00:00Z"),
		"2026-11-23T10":                    at("2026-11-23T10:00:00Z"),
		"2026-11-23T10:00:00.25-05:30":     at("2026-11-23T15:30:00.25Z"),
		"2016-12-13t2:00:00.593194+23":     at("2016-12-12T03:00:00.593194Z"),
		"2024-02-29":                       at("2024-02-29T00:00:00Z"),
		"2024-02":                          at("2024-02-01T00:00:00Z"),
		"0001-01-01T00:00:00Z":             at("0001-01-01T00:00:00Z"),
		"01T":                              at("0001-01-01T00:00:00Z"),
		"1970-01-01":                       {},
		"0":                                {},
		"9223372036854775807":              {seconds: 1<<63 - 1},
		"1795428000.5":                     {seconds: 1795428000, nanos: 500_000_000},
		"-1-01-01":                         at("0000-01-01T00:00:00Z").minusDays(365),
		"2026-11-23T10:00:00.123456789+00": at("2026-11-23T10:00:00.123456789Z"),
	} {
		if got, ok := parseInstant(text); !ok || got != want {
			t.Errorf("%s: got %+v %v, want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "x", "9223372036854775808", "2026-13", "2026-00", "2026-01-32", "2026-01-01-01", "292278994-01", "-292275055",
		"2026-01-01T24", "2026-01-01T10:60", "2026-01-01T10:00:60Z", "2026-01-01T10:00:00+1", "2026-01-01T10:00:00+24:00",
		"2026-01-01T10:00:00+01:0", "2026-01-01T10:00:00.1234567890Z", "2026-01-01T10Z", "2026-01-01T10:00:00ZZ", "2026-01-01T:",
		"2026-01-01T10:00:00:00Z", "1e9", "+5",
	} {
		if got, ok := parseInstant(text); ok {
			t.Errorf("%s: got %+v, want an error", text, got)
		}
	}
}

func (t instant) minusDays(n int64) instant {
	t.seconds -= n * 86400
	return t
}

// TestNumber holds the order of numbers to their place in a list; numbers in one row are equal.
func TestNumber(t *testing.T) {
	rows := [][]string{
		{"-1e30"}, {"-100000000000000000002"}, {"-100000000000000000001"}, {"-10.5", "-10.50"}, {"-2"}, {"-1", "-1.0", "-01"},
		{"-0.5", "-.5"}, {"0", "-0", "0.0", "+0", ".0", "0.", "0e5"}, {"0.05"}, {"0.5", ".5", "5e-1"}, {"9"}, {"10", "10.0", "010", "+10", "1e1"},
		{"100"}, {"100000000000000000001"}, {"100000000000000000002"}, {"1e30"},
	}
	for i, row := range rows {
		for j, other := range rows {
			for _, a := range row {
				for _, b := range other {
					n, okN := parseNumber(a)
					m, okM := parseNumber(b)
					if got, want := n.compare(&m), cmp.Compare(i, j); !okN || !okM || got != want {
						t.Errorf("%s and %s: got %d, want %d", a, b, got, want)
					}
				}
			}
		}
	}
	for _, text := range []string{"", ".", "-", "+", "1.2.3", "0x10", "1_000", "Inf", "NaN", "1e", "e5", " 1", "1 ", "--1", "1e999"} {
		if _, ok := parseNumber(text); ok {
			t.Errorf("%q: want an error", text)
		}
	}
}

func TestEqualBase64(t *testing.T) {
	for _, c := range []struct {
		text string
		data string
		want bool
	}{
		{"", "", true}, {"QQ==", "A", true}, {"QUI=", "AB", true}, {"QUJD", "ABC", true}, {"QUJDRA==", "ABCD", true},
		{"QQ==", "AB", false}, {"QUJD", "AB", false}, {"QQ==QQ==", "AA", false}, {"QQ", "A", false}, {"????", "ABC", false},
		{"QUJD\n", "ABC", false}, {"QUJE", "ABC", false}, {"", "A", false},
	} {
		if got := equalBase64(c.text, []byte(c.data)); got != c.want {
			t.Errorf("%q and %q: got %v", c.text, c.data, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	var ctx Context
	ctx.Set("team", "r*d")
	ctx.Set("Empty", "")
	ctx.Set("many", "a", "b")
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"*", "", true}, {"?", "", false}, {"?", "é", true}, {"??", "é", false}, {"*??", "世", false},
		{"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-b-b-d", false}, {"*a", "aaa", true}, {"a**", "a", true}, {"*?*?", "ab", true},
		{"${team}", "r*d", true}, {"${TEAM}", "r*d", true}, {"${team}", "rxd", false}, {"x${team}*", "xr*d/1", true},
		{"${many}", "a", false}, {"${none}", "", false}, {"${none, 'd?'}", "d?", true}, {"${none, 'd?'}", "dx", false}, {"${none, ''}", "", true},
		{"*${Empty}", "abc", true}, {"${*}", "*", true}, {"${*}", "x", false}, {"${?}${$}", "?$", true}, {"${$}{team}", "${team}", true},
		{"$x", "$x", true}, {"a$", "a$", true}, {"*${?}??", "é?世é", true},
	} {
		p, problem := newPattern(c.pattern, how{wildcards: true, variables: true})
		if problem != "" {
			t.Errorf("%s: %s", c.pattern, problem)
		}
		if got := p.match(&ctx, c.text); got != c.want {
			t.Errorf("%s and %s: got %v", c.pattern, c.text, got)
		}
	}
	for _, text := range []string{"${", "${}", "${a", "${a, b}", "${a, 'b}", "${a, 'b'c}", "${, 'a'}"} {
		if _, problem := newPattern(text, how{variables: true}); problem == "" {
			t.Errorf("%s: want an error", text)
		}
		if p, problem := newPattern(text, how{}); problem != "" || !p.match(&ctx, text) {
			t.Errorf("%s without variables: %s", text, problem)
		}
	}
}
