package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// crowd makes policies whose statements crowd into few places of an index: the same actions and resources, conditions
// from a small stock.
func crowd(t *testing.T, g *rand.Rand, n int) []*Policy {
	t.Helper()
	stock := []string{
		`"StringEquals":{"a":["x","y"]}`, `"StringEquals":{"a":"x","b":"y"}`, `"StringLike":{"b":["x*","y"]}`,
		`"ArnLike":{"c":["arn:aws:s3:::b*","arn:aws:sns:*:*:t"]}`, `"IpAddress":{"d":["10.0.0.0/8","10.1.0.0/16","2001:db8::/32"]}`,
		`"StringLike":{"b":["*x","y?z"]}`, `"StringLike":{"g":["*-${a}-end","?"]}`, `"StringLike":{"g":["*a long ending of more than thirty-two bytes"]}`,
		`"NumericLessThan":{"e":"7"}`, `"Bool":{"f":true}`, `"StringNotEquals":{"a":"x"}`, `"StringEqualsIfExists":{"b":"x"}`,
	}
	all := make([]*Policy, n)
	for i := range all {
		var statements []string
		for range 1 + g.IntN(3) {
			var conditions []string
			operators := map[string]bool{}
			for _, k := range g.Perm(len(stock))[:g.IntN(4)] {
				if operator, _, _ := strings.Cut(stock[k], ":"); !operators[operator] {
					operators[operator] = true
					conditions = append(conditions, stock[k])
				}
			}
			statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":["s3:Get*","s3:Put%d"],"Resource":["*","arn:aws:s3:::b/%d*"],"Condition":{%s}}`,
				g.IntN(2), g.IntN(3), strings.Join(conditions, ",")))
		}
		p, err := Parse([]byte(`{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`), Options{})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = p
	}
	return all
}

// TestIndexEmpties: what was put into an index is found again when it is to be removed, in whatever order, and nothing
// is left behind.
func TestIndexEmpties(t *testing.T) {
	for seed := range uint64(20) {
		g := rand.New(rand.NewPCG(seed, 1))
		all := crowd(t, g, 100)
		full := NewSet(all...)
		set := full
		for _, i := range g.Perm(len(all)) {
			set = set.Without(all[i])
		}
		if x := set.index; !x.actions.empty() || x.conditions.n != 0 {
			t.Fatalf("seed %d: the index of an empty set holds something: %d conditions", seed, x.conditions.n)
		}
		for _, i := range g.Perm(len(all)) {
			set = set.With(all[i])
		}
		if got, want := set.index.count(), full.index.count(); got != want {
			t.Errorf("seed %d: %d entries, %d in the set made at once", seed, got, want)
		}
	}
}

// count is the number of statements that stand anywhere in the index.
func (x *index) count() int {
	found := map[*statement]bool{}
	var walk func(b *bucket)
	var tree func(n *radix[bucket])
	note := func(l *list) {
		for _, c := range l.chunks {
			for i := range c.entries {
				found[c.entries[i].member.statement] = true
			}
		}
	}
	walk = func(b *bucket) {
		if b == nil {
			return
		}
		note(&b.entries)
		for i := range b.groups {
			note(&b.groups[i].entries)
		}
		for i := range b.splits {
			tree(b.splits[i].tree)
		}
	}
	tree = func(n *radix[bucket]) {
		if n == nil {
			return
		}
		walk(n.exact)
		walk(n.below)
		tree(n.star)
		for _, c := range n.children {
			tree(c)
		}
	}
	var actions func(n *radix[radix[bucket]])
	actions = func(n *radix[radix[bucket]]) {
		tree(n.exact)
		tree(n.below)
		for _, c := range n.children {
			actions(c)
		}
	}
	actions(x.actions)
	return len(found)
}

// TestPmap compares the map with Go's, through changes that leave older versions alone.
func TestPmap(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	var m, old pmap[int]
	want, wantOld := map[string]int{}, map[string]int{}
	for i := range 20000 {
		if i == 10000 {
			old = m
			for k, v := range want {
				wantOld[k] = v
			}
		}
		key, e := fmt.Sprint(g.IntN(3000)), &edit{}
		if g.IntN(3) == 0 {
			m = m.remove(e, key)
			delete(want, key)
		} else {
			m = m.set(e, key, i)
			want[key] = i
		}
	}
	for _, c := range []struct {
		got  pmap[int]
		want map[string]int
	}{{m, want}, {old, wantOld}} {
		n := 0
		c.got.all(func(key string, value int) bool {
			n++
			if v, ok := c.want[key]; !ok || v != value {
				t.Errorf("%s: got %d, want %d", key, value, v)
			}
			return true
		})
		if n != len(c.want) || c.got.n != n {
			t.Errorf("%d keys counted %d, want %d", n, c.got.n, len(c.want))
		}
	}
}

// TestPmapCollisions: keys with equal hashes are kept apart below the last level.
func TestPmapCollisions(t *testing.T) {
	e := &edit{}
	root := &pnode[int]{owner: e}
	for i := range 5 {
		root, _ = root.set(e, pslot[int]{hash: 42, key: fmt.Sprint(i), value: i}, 0)
	}
	m := pmap[int]{root: root, n: 5}
	sum := 0
	m.all(func(_ string, value int) bool { sum += value; return true })
	if sum != 10 {
		t.Errorf("sum %d, want 10", sum)
	}
	for i := range 5 {
		root = root.remove(&edit{}, 42, fmt.Sprint(i), 0)
	}
	if root != nil {
		t.Error("something is left")
	}
}
