package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy/policytest"
)

// The oracle decides a case slowly and obviously: straight from the JSON, statement by statement, with text expanded in
// full before it is compared. It shares no code with the package.

type oracle struct {
	principal string // "" for anonymous
	action    string
	resource  string
	account   string
	context   map[string][]string // keys in lower case
	bounded   bool
}

const special = "\x00" // stands before a "*" or "?" that is text, in an expanded pattern

func oracleDecide(c *policytest.Case) string {
	o := &oracle{
		action: strings.ToLower(c.Request.Action), resource: c.Request.Resource,
		account: c.Request.ResourceAccount, context: map[string][]string{}, bounded: len(c.Boundaries) > 0,
	}
	_ = json.Unmarshal(c.Request.Principal, &o.principal)
	for key, value := range c.Request.Context {
		o.context[strings.ToLower(key)] = oracleList(value)
	}
	outsider := !strings.HasPrefix(o.principal, "arn:")
	var deny bool
	layer := func(documents []json.RawMessage) (allow string) {
		for _, d := range documents {
			denied, allowed := o.document(d)
			deny = deny || denied
			allow = max(allow, allowed)
		}
		return allow
	}
	for _, level := range c.RCPs {
		layer(level)
	}
	var resource string
	if c.ResourcePolicy != nil {
		resource = layer([]json.RawMessage{c.ResourcePolicy})
	}
	if outsider {
		return oracleOutcome(deny, resource != "")
	}
	scps := true
	for _, level := range c.SCPs {
		scps = layer(level) != "" && scps
	}
	identity := layer(c.IdentityPolicies) != ""
	boundary := layer(c.Boundaries) != "" || len(c.Boundaries) == 0
	session := c.SessionPolicy == nil
	if !session {
		session = layer([]json.RawMessage{c.SessionPolicy}) != ""
	} else if strings.Contains(o.principal, ":federated-user/") {
		identity = false
	}
	limits := boundary && session
	own := strings.Split(o.principal, ":")[4]
	trust := strings.HasPrefix(o.action, "sts:assumerole")
	root := strings.HasSuffix(o.principal, ":root")
	switch {
	case deny:
		return oracleOutcome(true, false)
	case !scps:
		return oracleOutcome(false, false)
	case own != o.account:
		return oracleOutcome(false, resource != "" && (root || identity && limits))
	case root && !trust, resource == "direct":
		return oracleOutcome(false, true)
	case trust && resource == "":
		return oracleOutcome(false, false)
	}
	return oracleOutcome(false, limits && (identity || resource == "by issuer"))
}

func oracleOutcome(deny, allow bool) string {
	switch {
	case deny:
		return "ExplicitlyDenied"
	case allow:
		return "Allowed"
	}
	return "ImplicitlyDenied"
}

func oracleList(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, x := range list {
		switch x := x.(type) {
		case string:
			out = append(out, x)
		case json.Number:
			out = append(out, x.String())
		case bool:
			out = append(out, map[bool]string{true: "true", false: "false"}[x])
		}
	}
	return out
}

// document says whether a statement denies, and the closest that one allows: "direct" sorts after "by issuer" after
// "account".
func (o *oracle) document(raw json.RawMessage) (deny bool, allow string) {
	var doc map[string]any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		panic(err)
	}
	statements, ok := doc["Statement"].([]any)
	if !ok {
		statements = []any{doc["Statement"]}
	}
	for _, s := range statements {
		st := s.(map[string]any)
		variables := doc["Version"] == "2012-10-17"
		if !o.actionFits(st) || !o.resourceFits(st, variables) || !o.conditionsHold(st, variables) {
			continue
		}
		who := o.whoFits(st)
		switch {
		case who == "":
		case st["Effect"] == "Deny":
			deny = true
		default:
			allow = max(allow, who)
		}
	}
	return deny, allow
}

func (o *oracle) actionFits(st map[string]any) bool {
	fits := func(v any) bool {
		return slices.ContainsFunc(oracleList(v), func(p string) bool {
			return oracleGlob(strings.ToLower(p), o.action)
		})
	}
	if v, ok := st["NotAction"]; ok {
		return !fits(v)
	}
	return fits(st["Action"])
}

func (o *oracle) resourceFits(st map[string]any, variables bool) bool {
	fits := func(v any) bool {
		return slices.ContainsFunc(oracleList(v), func(p string) bool {
			parts := strings.SplitN(p, ":", 6)
			if p == "*" || len(parts) < 6 {
				return p == "*"
			}
			if variables {
				var ok bool
				if parts[5], ok = o.expand(parts[5], true); !ok {
					return false
				}
			}
			return oracleARN(parts, o.resource)
		})
	}
	if v, ok := st["NotResource"]; ok {
		return !fits(v)
	}
	if v, ok := st["Resource"]; ok {
		return fits(v)
	}
	return true
}

func oracleARN(pattern []string, arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || len(pattern) != 6 {
		return false
	}
	for i := range parts {
		if !oracleGlob(pattern[i], parts[i]) {
			return false
		}
	}
	return true
}

// oracleGlob is the definition of matching, one character at a time.
func oracleGlob(pattern, s string) bool {
	p, r := []rune(pattern), []rune(s)
	type state struct{ i, j int }
	seen := map[state]bool{}
	var match func(i, j int) bool
	match = func(i, j int) bool {
		if seen[state{i, j}] {
			return false
		}
		seen[state{i, j}] = true
		switch {
		case i == len(p):
			return j == len(r)
		case p[i] == '*':
			return match(i+1, j) || j < len(r) && match(i, j+1)
		case j == len(r):
			return false
		case p[i] == '?':
			return match(i+1, j+1)
		case string(p[i]) == special:
			return p[i+1] == r[j] && match(i+2, j+1)
		}
		return p[i] == r[j] && match(i+1, j+1)
	}
	return match(0, 0)
}

// expand puts values in the place of variables. With quote the wildcards among them are marked as text.
func (o *oracle) expand(s string, quote bool) (string, bool) {
	var b strings.Builder
	text := func(s string) {
		if quote {
			s = strings.NewReplacer("*", special+"*", "?", special+"?").Replace(s)
		}
		b.WriteString(s)
	}
	for {
		before, rest, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		name, after, _ := strings.Cut(rest, "}")
		s = after
		if name == "*" || name == "?" || name == "$" {
			text(name)
			continue
		}
		name, fallback, hasDefault := strings.Cut(name, ", ")
		values := o.context[strings.ToLower(name)]
		switch {
		case len(values) == 1:
			text(values[0])
		case hasDefault:
			text(strings.Trim(fallback, "'"))
		default:
			return "", false
		}
	}
}

func (o *oracle) whoFits(st map[string]any) string {
	if not, ok := st["NotPrincipal"]; ok {
		named := o.named(not)
		spared := named == "everyone" || strings.HasSuffix(named, "account")
		if !strings.HasPrefix(o.principal, "arn:") {
			spared = named != ""
		} else if o.bounded {
			spared = false
		}
		if !spared && st["Effect"] == "Deny" {
			return "direct"
		}
		return ""
	}
	if who, ok := st["Principal"]; ok {
		return strings.TrimSuffix(strings.Replace(o.named(who), "everyone", "direct", 1), " and account")
	}
	return "direct"
}

// named says how closely a principal element names the principal: "direct", "by issuer", "account" or "".
func (o *oracle) named(v any) string {
	if v == "*" {
		return "everyone"
	}
	best, account := "", false
	for kind, list := range v.(map[string]any) {
		for _, name := range oracleList(list) {
			parts := strings.Split(o.principal, ":")
			switch {
			case kind == "AWS" && name == "*":
				return "everyone"
			case kind == "Service" && name == o.principal:
				best = "direct"
			case kind != "AWS" || len(parts) < 6:
			case name == parts[4], name == "arn:aws:iam::"+parts[4]+":root":
				account = true
				best = max(best, "account")
				if parts[5] == "root" {
					best = "direct"
				}
			case name == o.principal:
				best = "direct"
			case strings.HasPrefix(parts[5], "assumed-role/") && name == "arn:aws:iam::"+parts[4]+":role/"+strings.Split(parts[5], "/")[1],
				strings.HasPrefix(parts[5], "federated-user/") && name == "arn:aws:iam::"+parts[4]+":user/"+strings.Split(parts[5], "/")[1]:
				best = max(best, "by issuer")
			}
		}
	}
	if account && best != "account" {
		return best + " and account" // only NotPrincipal cares
	}
	return best
}

func (o *oracle) conditionsHold(st map[string]any, variables bool) bool {
	condition, _ := st["Condition"].(map[string]any)
	for op, keys := range condition {
		for key, want := range keys.(map[string]any) {
			if !o.conditionHolds(op, key, oracleList(want), variables) {
				return false
			}
		}
	}
	return true
}

func (o *oracle) conditionHolds(op, key string, want []string, variables bool) bool {
	have := o.context[strings.ToLower(key)]
	if op == "Null" {
		return slices.ContainsFunc(want, func(w string) bool { return (strings.ToLower(w) == "true") == (len(have) == 0) })
	}
	set, base, quantified := strings.Cut(op, ":")
	if !quantified {
		set, base = "", op
	}
	base, ifExists := strings.CutSuffix(base, "IfExists")
	negated := strings.Contains(base, "Not")
	base = strings.Replace(base, "Not", "", 1)
	passes := func(v string) bool {
		some := slices.ContainsFunc(want, func(w string) bool { return o.compare(base, v, w, variables) })
		return some != negated
	}
	switch {
	case len(have) == 0 && (ifExists || set == "ForAllValues"):
		return true
	case len(have) == 0 && set == "ForAnyValue":
		return false
	case len(have) == 0:
		return negated
	case set == "ForAllValues":
		return !slices.ContainsFunc(have, func(v string) bool { return !passes(v) })
	case set == "ForAnyValue":
		return slices.ContainsFunc(have, passes)
	}
	return len(have) == 1 && passes(have[0])
}

func (o *oracle) compare(base, have, want string, variables bool) bool {
	wild := base == "StringLike" || base == "ArnLike" || base == "ArnEquals"
	if variables && (strings.HasPrefix(base, "String") || strings.HasPrefix(base, "Arn")) {
		var ok bool
		if want, ok = o.expand(want, wild); !ok {
			return false
		}
	}
	switch base {
	case "StringEquals":
		return have == want
	case "StringEqualsIgnoreCase":
		return strings.EqualFold(have, want)
	case "StringLike":
		return oracleGlob(want, have)
	case "ArnEquals", "ArnLike":
		return want == "*" || oracleARN(strings.SplitN(want, ":", 6), have)
	case "Bool":
		return strings.EqualFold(have, want)
	case "BinaryEquals":
		a, errA := base64.StdEncoding.DecodeString(have)
		b, errB := base64.StdEncoding.DecodeString(want)
		return errA == nil && errB == nil && string(a) == string(b)
	case "IpAddress":
		if !strings.Contains(want, "/") {
			a, b := netip.MustParseAddr(want), have
			got, err := netip.ParseAddr(b)
			return err == nil && a == got
		}
		got, err := netip.ParseAddr(have)
		return err == nil && netip.MustParsePrefix(want).Contains(got)
	}
	relation, number := strings.CutPrefix(base, "Numeric")
	if number {
		a, okA := new(big.Rat).SetString(have)
		b, okB := new(big.Rat).SetString(want)
		return okA && okB && oracleRelation(relation, a.Cmp(b))
	}
	relation = strings.TrimPrefix(base, "Date")
	a, okA := oracleTime(have)
	b, okB := oracleTime(want)
	return okA && okB && oracleRelation(relation, a.Compare(b))
}

func oracleRelation(name string, order int) bool {
	switch name {
	case "Equals":
		return order == 0
	case "LessThan":
		return order < 0
	case "LessThanEquals":
		return order <= 0
	case "GreaterThan":
		return order > 0
	}
	return order >= 0
}

func oracleTime(s string) (time.Time, bool) {
	if n, ok := new(big.Int).SetString(s, 10); ok && n.Sign() >= 0 {
		return time.Unix(n.Int64(), 0), n.IsInt64()
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
