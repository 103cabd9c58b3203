package policy_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/policytest"
)

// TestCases runs every case under testdata. The counts keep a file from shrinking unseen.
func TestCases(t *testing.T) {
	for name, want := range map[string]int{"generated.jsonl": 3389, "awsdocs.jsonl": 144, "validation.jsonl": 136} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Open(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			got := 0
			err = policytest.Run(file, func(r policytest.Result) {
				got++
				if !r.Passed() {
					t.Error(r)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%d cases, want %d", got, want)
			}
		})
	}
}

// decisionCases calls f with every decision case under testdata.
func decisionCases(tb testing.TB, f func(*policytest.Case)) {
	tb.Helper()
	for _, name := range []string{"generated.jsonl", "awsdocs.jsonl"} {
		file, err := os.Open(filepath.Join("testdata", name))
		if err != nil {
			tb.Fatal(err)
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			var c policytest.Case
			if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
				tb.Fatal(err)
			}
			f(&c)
		}
		if err := lines.Err(); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestOracle keeps the oracle honest: it must decide the cases as AWS does.
func TestOracle(t *testing.T) {
	decisionCases(t, func(c *policytest.Case) {
		if got := oracleDecide(c); got != c.Expected {
			t.Errorf("%s: oracle says %s, want %s", c.ID, got, c.Expected)
		}
	})
}

// TestReasons: every decision names a statement that has the effect and lies in a policy of the layer.
func TestReasons(t *testing.T) {
	layerOf := map[policy.Kind][]policy.Layer{
		policy.Identity: {policy.LayerIdentity}, policy.Boundary: {policy.LayerBoundary},
		policy.Session: {policy.LayerSession}, policy.Trust: {policy.LayerTrust},
		policy.Resource:        {policy.LayerResource, policy.LayerTrust},
		policy.ServiceControl:  {policy.LayerServiceControl},
		policy.ResourceControl: {policy.LayerResourceControl},
	}
	decisionCases(t, func(c *policytest.Case) {
		r, err := c.Request.Build()
		if err != nil {
			t.Fatal(err)
		}
		layers, err := c.Layers()
		if err != nil {
			t.Fatal(err)
		}
		d := policy.Evaluate(layers, r)
		message := d.Message(r)
		st, ok := d.Statement()
		switch {
		case d.Outcome == policy.ImplicitlyDenied:
			if ok || d.Layer == policy.LayerNone || !strings.Contains(message, " because no ") {
				t.Errorf("%s: %v: %s", c.ID, d, message)
			}
		case !ok:
			if r.Principal.Type != policy.Root {
				t.Errorf("%s: %v names no policy", c.ID, d)
			}
		default:
			fits := false
			for _, l := range layerOf[st.Policy.Kind()] {
				fits = fits || l == d.Layer
			}
			if st.Deny != (d.Outcome == policy.ExplicitlyDenied) || !fits {
				t.Errorf("%s: %v names %s", c.ID, d, st.Source)
			}
			if st.Deny != strings.Contains(message, " with an explicit deny in ") || d.Allowed() != (message == "") {
				t.Errorf("%s: %v: message %q", c.ID, d, message)
			}
		}
	})
}

// forEachDecision calls f with every decision case, compiled.
func forEachDecision(tb testing.TB, f func(*policy.Layers, *policy.Request)) {
	tb.Helper()
	decisionCases(tb, func(c *policytest.Case) {
		r, err := c.Request.Build()
		if err != nil {
			tb.Fatal(err)
		}
		layers, err := c.Layers()
		if err != nil {
			tb.Fatal(err)
		}
		f(layers, r)
	})
}

// TestExplain: an explanation lists a statement that applies for every decision that a statement made, and none that
// denies for one that allows.
func TestExplain(t *testing.T) {
	forEachDecision(t, func(layers *policy.Layers, r *policy.Request) {
		x := policy.Explain(layers, r)
		if want := policy.Evaluate(layers, r); x.Decision != want {
			t.Fatalf("explained %v, decided %v", x.Decision, want)
		}
		denies, decided := false, false
		st, byStatement := x.Decision.Statement()
		for _, f := range x.Findings {
			denies = denies || f.Applies && f.Statement.Deny
			decided = decided || f.Applies && f.Statement == st
			if f.Applies != (f.Reason == "") {
				t.Errorf("finding %+v", f)
			}
		}
		if denies != (x.Decision.Outcome == policy.ExplicitlyDenied) || byStatement && !decided {
			t.Errorf("%v", x)
		}
	})
}
