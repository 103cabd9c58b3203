package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestSuffixes holds an index of patterns that begin with wildcards against looking at every statement.
func TestSuffixes(t *testing.T) {
	g := rand.New(rand.NewPCG(7, 7))
	alphabet := []string{"a", "b", "ä", "*", "?", "-", strings.Repeat("long", 9)}
	word := func(letters []string) string {
		var b strings.Builder
		for range 1 + g.IntN(4) {
			b.WriteString(letters[g.IntN(len(letters))])
		}
		return b.String()
	}
	for range 30 {
		var statements []*statement
		var policies []*Policy
		for i := range 60 {
			value := "*" + word(alphabet)
			if i%5 == 0 {
				value = "?" + word(alphabet) + "${k}" + word(alphabet)
			}
			p, err := Parse(fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":{"Sid":"S%d","Effect":"Allow","Action":"s3:Get","Resource":"*",
				"Condition":{"StringLike":{"v":[%q,%q]}}}}`, i, value, word(alphabet)+"z"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			policies, statements = append(policies, p), append(statements, p.statements...)
		}
		set := NewSet(policies...)
		for range 200 {
			v := word([]string{"a", "b", "ä", "-", "z", strings.Repeat("long", 9)})
			r, err := NewRequest("arn:aws:iam::123456789012:user/ann", "s3:Get", "*", map[string][]string{"v": {v}, "k": {"b"}})
			if err != nil {
				t.Fatal(err)
			}
			got := Evaluate(&Layers{Identity: []*Set{set}}, r).Allowed()
			want := false
			for _, st := range statements {
				want = want || st.conditions[0].holds(&r.Context)
			}
			if got != want {
				t.Fatalf("v = %q: %t, want %t", v, got, want)
			}
		}
	}
}
