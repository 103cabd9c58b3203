package policy_test

import (
	"fmt"

	"github.com/fardel-io/fardel/policy"
)

func ExampleEvaluate() {
	p, err := policy.Parse([]byte(`{
		"Version": "2012-10-17",
		"Statement": [
			{"Sid": "RunWeb", "Effect": "Allow", "Action": "ecs:RunTask",
			 "Resource": "arn:aws:ecs:*:123456789012:task-definition/web:*",
			 "Condition": {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:*:123456789012:cluster/${aws:PrincipalTag/team}"}}}
		]
	}`), policy.Options{Name: "runners"})
	if err != nil {
		fmt.Println(err)
		return
	}
	layers := policy.Layers{Identity: []*policy.Set{policy.NewSet(p)}}
	for _, cluster := range []string{"blue", "green"} {
		r, err := policy.NewRequest("arn:aws:iam::123456789012:user/alice", "ecs:RunTask",
			"arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7", map[string][]string{
				"ecs:cluster":           {"arn:aws:ecs:eu-west-1:123456789012:cluster/" + cluster},
				"aws:PrincipalTag/team": {"blue"},
			})
		if err != nil {
			fmt.Println(err)
			return
		}
		d := policy.Evaluate(&layers, r)
		fmt.Println(d)
		fmt.Println(d.Err(r))
	}
	// Output:
	// Allowed by Identity statement 0 (Sid RunWeb) of runners
	// <nil>
	// ImplicitlyDenied by Identity
	// User: arn:aws:iam::123456789012:user/alice is not authorized to perform: ecs:RunTask on resource: arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7 because no identity-based policy allows the ecs:RunTask action
}

func ExampleParse() {
	_, err := policy.Parse([]byte(`{
  "Version": "2012-10-17",
  "Statement": {"Effect": "Allow", "Action": "ecs:*", "Resource": "task/prod/*"}
}`), policy.Options{Name: "operators"})
	fmt.Println(err)
	// Output:
	// policy: operators: Resource task/prod/* must be in ARN format or "*". (Statement.Resource, line 3 column 67: no such resource can be)
}

func ExampleDirectory() {
	read, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:Describe*","Resource":"*"}}`),
		policy.Options{Name: "read"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var d policy.Directory
	if err := d.Put(read); err != nil {
		fmt.Println(err)
		return
	}
	const role = "arn:aws:iam::123456789012:role/web"
	if err := d.Attach(role, policy.Attachments{Policies: []string{"read"}}); err != nil {
		fmt.Println(err)
		return
	}
	for _, action := range []string{"ecs:DescribeTasks", "ecs:StopTask"} {
		r, err := policy.NewRequest("arn:aws:sts::123456789012:assumed-role/web/task-1", action,
			"arn:aws:ecs:eu-west-1:123456789012:task/prod/1", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(action, d.Decide(r, nil))
	}
	// Output:
	// ecs:DescribeTasks Allowed by Identity statement 0 of read
	// ecs:StopTask ImplicitlyDenied by Identity
}

func ExampleContext_Set() {
	var c policy.Context
	c.Set("aws:TagKeys", "team", "stage")
	c.Set("AWS:tagkeys", "team")
	fmt.Println(c, c.Values("aws:TAGKEYS"))
	// Output:
	// aws:TagKeys=team [team]
}

func ExampleSet_Replace() {
	parse := func(action string) *policy.Policy {
		p, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"`+action+`","Resource":"*"}}`), policy.Options{})
		if err != nil {
			fmt.Println(err)
		}
		return p
	}
	run, stop := parse("ecs:RunTask"), parse("ecs:StopTask")
	before := policy.NewSet(run)
	after := before.Replace(run, stop)
	r, err := policy.NewRequest("arn:aws:iam::123456789012:user/alice", "ecs:StopTask", "*", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, set := range []*policy.Set{before, after} {
		fmt.Println(policy.Evaluate(&policy.Layers{Identity: []*policy.Set{set}}, r).Outcome)
	}
	// Output:
	// ImplicitlyDenied
	// Allowed
}

func ExampleExplain() {
	p, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[
		{"Sid":"Tasks","Effect":"Allow","Action":"ecs:*","Resource":"arn:aws:ecs:*:*:task/prod/*"},
		{"Sid":"Team","Effect":"Allow","Action":"ecs:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}},
		{"Sid":"NoExec","Effect":"Deny","Action":"ecs:ExecuteCommand","Resource":"*"}
	]}`), policy.Options{Name: "operators"})
	if err != nil {
		fmt.Println(err)
		return
	}
	layers := policy.Layers{Identity: []*policy.Set{policy.NewSet(p)}}
	r, err := policy.NewRequest("arn:aws:iam::123456789012:user/alice", "ecs:StopTask",
		"arn:aws:ecs:eu-west-1:123456789012:task/test/1", map[string][]string{"aws:ResourceTag/team": {"red"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.Explain(&layers, r))
	r.Resource = "arn:aws:ecs:eu-west-1:123456789012:task/prod/1"
	fmt.Println(policy.AllowedActions(&layers, r, []string{"ecs:StopTask", "ecs:ExecuteCommand", "s3:GetObject"}))
	// Output:
	// ImplicitlyDenied by Identity
	// Identity: operators Tasks statement 0: Allow does not apply: Resource does not cover arn:aws:ecs:eu-west-1:123456789012:task/test/1
	// Identity: operators Team statement 1: Allow does not apply: Condition StringEquals aws:ResourceTag/team is false: the request has red
	// Identity: operators NoExec statement 2: Deny does not apply: Action does not cover ecs:StopTask
	// [ecs:StopTask]
}

func ExampleDirectory_Clone() {
	const alice = "arn:aws:iam::123456789012:user/alice"
	p, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:*","Resource":"*"}}`), policy.Options{Name: "all"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var d policy.Directory
	if err := d.Put(p); err != nil {
		fmt.Println(err)
		return
	}
	r, err := policy.NewRequest(alice, "ecs:RunTask", "*", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	trial := d.Clone()
	if err := trial.Attach(alice, policy.Attachments{Policies: []string{"all"}}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("now:", d.Decide(r, nil).Outcome)
	fmt.Println("then:", trial.Decide(r, nil).Outcome)
	// Output:
	// now: ImplicitlyDenied
	// then: Allowed
}
