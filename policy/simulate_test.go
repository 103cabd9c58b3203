package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy"
)

// Who would lose access if a statement were added, and who would gain?
func ExampleSimulate() {
	parse := func(name, document string) *policy.Policy {
		p, err := policy.Parse([]byte(document), policy.Options{Name: name})
		if err != nil {
			fmt.Println(err)
		}
		return p
	}
	var now policy.Directory
	_ = now.Put(parse("operators", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*"}}`))
	for _, name := range []string{"ann", "bob"} {
		_ = now.Attach("arn:aws:iam::123456789012:user/"+name, policy.Attachments{Policies: []string{"operators"}})
	}
	then := now.Clone()
	_ = then.Put(parse("operators", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*",
		"Condition":{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/ann"}}}}`))
	var questions []policy.Question
	for _, arn := range now.Holders() {
		p, err := policy.ParsePrincipal(arn)
		if err != nil {
			fmt.Println(err)
			return
		}
		caller := policy.Caller{Principal: p}
		questions = append(questions, policy.Question{Request: caller.Request("ecs:RunTask", "*", nil)})
	}
	for _, c := range policy.Simulate(&now, then, questions) {
		fmt.Println(c.Question.Request.Principal.Name, "would lose", c.Question.Request.Action, c.Lost())
	}
	// Output:
	// arn:aws:iam::123456789012:user/bob would lose ecs:RunTask true
}

func TestSimulate(t *testing.T) {
	var before policy.Directory
	for _, name := range []string{"a", "b"} {
		p, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"`+name+`:*","Resource":"*"}}`), policy.Options{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := before.Put(p); err != nil {
			t.Fatal(err)
		}
	}
	const ann, bob = "arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/bob"
	for _, arn := range []string{bob, ann} {
		if err := before.Attach(arn, policy.Attachments{Policies: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
	}
	after := before.Clone()
	if err := after.Attach(ann, policy.Attachments{Policies: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ann, bob}, before.Holders()); diff != "" {
		t.Errorf("Holders (-want +got):\n%s", diff)
	}
	onlyA, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"a:*","Resource":"*"}}`), policy.Options{Kind: policy.Session})
	if err != nil {
		t.Fatal(err)
	}
	var questions []policy.Question
	for _, arn := range []string{ann, bob} {
		for _, action := range []string{"a:Do", "b:Do", "c:Do"} {
			r, err := policy.NewRequest(arn, action, "*", nil)
			if err != nil {
				t.Fatal(err)
			}
			questions = append(questions, policy.Question{Request: r}, policy.Question{Request: r, Session: policy.NewSet(onlyA)})
		}
	}
	var got []string
	for _, c := range policy.Simulate(&before, after, questions) {
		got = append(got, fmt.Sprintf("%s %s session=%t lost=%t gained=%t", c.Question.Request.Principal.Name, c.Question.Request.Action,
			c.Question.Session != nil, c.Lost(), c.Gained()))
	}
	want := []string{
		ann + " a:Do session=false lost=true gained=false", ann + " a:Do session=true lost=true gained=false",
		ann + " b:Do session=false lost=false gained=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Simulate (-want +got):\n%s", diff)
	}
}

func TestContextAll(t *testing.T) {
	var c policy.Context
	c.Set("b", "1")
	c.Set("a", "2", "3")
	var got []string
	for name, values := range c.All {
		got = append(got, name+fmt.Sprint(values))
	}
	if !slices.Equal(got, []string{"b[1]", "a[2 3]"}) {
		t.Errorf("All: %v", got)
	}
	for range c.All {
		break
	}
}
