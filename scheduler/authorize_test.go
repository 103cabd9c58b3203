package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

const (
	account  = "arn:aws:iam::000000000000:"
	ecsARN   = "arn:aws:ecs:us-east-1:000000000000:"
	ann      = account + "user/ann"
	inRegion = "aws:RequestedRegion=us-east-1"
	cluster  = "ecs:cluster=" + ecsARN + "cluster/default"
)

var taskID = regexp.MustCompile(regexp.QuoteMeta(ecsARN) + "task/default/[0-9a-f]{32}")

// question spells a request: action, resource, then the condition keys.
func question(r scheduler.Request) string {
	var keys []string
	for name, values := range r.Conditions {
		keys = append(keys, name+"="+strings.Join(values, ","))
	}
	slices.Sort(keys)
	return strings.Join(append([]string{r.Action, r.Resource}, keys...), "\n")
}

func lines(parts ...string) string {
	slices.Sort(parts[2:])
	return strings.Join(parts, "\n")
}

// authorized opens a cluster with two tagged definitions and one running, tagged task. Its own calls are not recorded.
func authorized(t *testing.T, w *world, auth *asked) (host *scheduler.Cluster, run *scheduler.Run) {
	w.cfg.Authorizer = auth
	host = w.open()
	def := define("app serve")
	def.TaskRoleARN, def.ExecutionRoleARN = account+"role/app", "puller"
	def.Tags = []task.Tag{{Key: "team", Value: "red"}}
	run = mustRun(t, host, def, scheduler.RunOptions{EnableExecuteCommand: true, Tags: []task.Tag{{Key: "env", Value: "test"}}})
	if _, err := run.WaitRunning(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, err := host.As(ann).Lookup(t.Context(), run.ID())
	if err != nil {
		t.Fatal(err)
	}
	auth.reqs = nil
	return host, run
}

// subnetsOf lists the default VPC's subnets as a condition key.
func subnetsOf(t *testing.T, c *scheduler.Cluster) string {
	s, err := c.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, sn := range s.Subnets {
		ids = append(ids, sn.ID)
	}
	return "ecs:subnet=" + strings.Join(ids, ",")
}

// TestWhatVerbsAsk holds every verb against ECS: which actions, on which resource, with which condition keys.
func TestWhatVerbsAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		auth := &asked{}
		host, run := authorized(t, w, auth)
		defer w.end()
		subnets := subnetsOf(t, host)
		c, ctx := host.As(ann), t.Context()
		onTask := []string{cluster, inRegion, "aws:ResourceTag/env=test", "ecs:ResourceTag/env=test"}
		aboutTask := func(action string, more ...string) string {
			return lines(slices.Concat([]string{action, run.ARN()}, onTask, more)...)
		}
		pass := func(role string) string {
			return lines("iam:PassRole", role, inRegion, "iam:PassedToService=ecs-tasks.amazonaws.com")
		}
		register := func(family string, revision int, tag string) []string {
			tags := []string{"aws:RequestTag/team=" + tag, "aws:TagKeys=team"}
			return []string{
				lines(append([]string{"ecs:RegisterTaskDefinition", "*", inRegion, "ecs:compute-compatibility=FARGATE", "ecs:privileged=false",
					"ecs:task-cpu=256", "ecs:task-memory=512"}, tags...)...),
				pass(account + "role/app"),
				lines(append([]string{"ecs:TagResource", fmt.Sprintf("%stask-definition/%s:%d", ecsARN, family, revision), inRegion,
					"ecs:CreateAction=RegisterTaskDefinition"}, tags...)...),
			}
		}
		runTask := func(definition, team, execute string, size ...string) string {
			return lines(append([]string{"ecs:RunTask", ecsARN + "task-definition/" + definition, cluster, inRegion,
				"ecs:task-definition=" + ecsARN + "task-definition/" + definition, "ecs:enable-execute-command=" + execute,
				"aws:ResourceTag/team=" + team, "ecs:ResourceTag/team=" + team, "ecs:enable-ecs-managed-tags=false",
				"ecs:auto-assign-public-ip=true", subnets}, size...)...)
		}
		everyChange := []string{lines("ec2:DescribeVpcs", "*", inRegion)}
		net, err := host.Network(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range network.Changes(net, network.State{}) {
			everyChange = append(everyChange, lines(x.Action, "arn:aws:ec2:us-east-1:000000000000:"+x.Resource, inRegion))
		}
		fresh := define("app exit 0")
		fresh.Family, fresh.TaskRoleARN, fresh.Tags = "fresh", account+"role/app", []task.Tag{{Key: "team", Value: "blue"}}
		started := "TASK" // the ARN of a task that the verb made
		for _, v := range []struct {
			name string
			verb func() error
			want []string
		}{
			{"RegisterTaskDefinition", func() error { _, err := c.RegisterTaskDefinition(ctx, fresh); return err }, register("fresh", 1, "blue")},
			{"TaskDefinition", func() error { _, err := c.TaskDefinition(ctx, "app"); return err },
				[]string{lines("ecs:DescribeTaskDefinition", "*", inRegion)}},
			{"ListTaskDefinitions", func() error { _, err := c.ListTaskDefinitions(ctx, ""); return err },
				[]string{lines("ecs:ListTaskDefinitions", "*", inRegion), lines("ecs:DescribeTaskDefinition", "*", inRegion)}},
			{"DeregisterTaskDefinition", func() error { _, err := c.DeregisterTaskDefinition(ctx, "fresh:1"); return err },
				[]string{lines("ecs:DeregisterTaskDefinition", "*", inRegion)}},
			{"Run, registered, with overrides", func() error {
				def, err := host.TaskDefinition(ctx, "app:1")
				if err != nil {
					return err
				}
				auth.reqs = nil
				made, err := c.Run(ctx, def, scheduler.RunOptions{
					Overrides:     &task.TaskOverride{TaskRoleARN: account + "role/other", CPU: "512", Memory: "1024"},
					Tags:          []task.Tag{{Key: "env", Value: "prod"}, {Key: "cost", Value: "7"}},
					PropagateTags: true, EnableExecuteCommand: true,
				})
				if err == nil {
					started = made.ARN()
				}
				return err
			}, []string{
				runTask("app:1", "red", "true", "ecs:task-cpu=512", "ecs:task-memory=1024", "ecs:propagate-tags=TASK_DEFINITION",
					"aws:RequestTag/env=prod", "aws:RequestTag/cost=7", "aws:TagKeys=env,cost"),
				pass(account + "role/other"), pass(account + "role/puller"),
				lines("ecs:TagResource", "TASK", inRegion, "ecs:CreateAction=RunTask",
					"aws:RequestTag/env=prod", "aws:RequestTag/cost=7", "aws:TagKeys=env,cost"),
			}},
			{"Run, not registered", func() error { _, err := c.Run(ctx, fresh, scheduler.RunOptions{}); return err },
				append(register("fresh", 2, "blue"),
					runTask("fresh:2", "blue", "false", "ecs:task-cpu=256", "ecs:task-memory=512", "ecs:propagate-tags=NONE"),
					pass(account+"role/app"))},
			{"Describe", func() error { _, err := c.Describe(ctx, run.ID()); return err }, []string{aboutTask("ecs:DescribeTasks")}},
			{"Lookup", func() error { _, err := c.Lookup(ctx, run.ARN()); return err }, []string{aboutTask("ecs:DescribeTasks")}},
			{"WaitRunning", func() error { _, err := run.WaitRunning(ctx); return err }, []string{aboutTask("ecs:DescribeTasks")}},
			{"Stats", func() error { _, err := run.Stats(ctx); return err }, []string{aboutTask("ecs:DescribeTasks")}},
			{"List", func() error {
				_, err := c.List(ctx, scheduler.ListOptions{LastStatus: task.Running, Family: "app", StartedBy: ""})
				return err
			},
				nil}, // TestListShowsWhatMayBeDescribed
			{"Exec", func() error { _, err := run.Exec(ctx, "", runtime.ExecSpec{Args: []string{"exit", "0"}}); return err }, []string{
				aboutTask("ecs:ExecuteCommand", "ecs:container-name=app", "ecs:task="+run.ARN()),
				lines("ecs:ExecuteCommand", ecsARN+"cluster/default", cluster, inRegion, "ecs:container-name=app", "ecs:task="+run.ARN()),
			}},
			{"Output", func() error { _, err := run.Output(ctx, ""); return err },
				[]string{aboutTask("logs:GetLogEvents", "ecs:container-name=app")}},
			{"Idle", func() error { _, err := c.Idle(ctx); return err }, []string{lines("ecs:DescribeClusters", ecsARN+"cluster/default", inRegion)}},
			{"Network", func() error { _, err := c.Network(ctx); return err }, []string{lines("ec2:DescribeVpcs", "*", inRegion)}},
			{"SetNetwork", func() error { return c.SetNetwork(ctx, network.State{}) }, everyChange},
			{"Stop", func() error { return run.Stop(ctx, "") }, []string{aboutTask("ecs:StopTask")}},
		} {
			auth.reqs = nil
			_ = v.verb() // what it answers is other tests' business
			if v.want == nil {
				continue
			}
			var got []string
			for _, r := range auth.reqs {
				if r.Principal != ann {
					t.Errorf("%s: asked for %q, want %q", v.name, r.Principal, ann)
				}
				got = append(got, strings.ReplaceAll(question(r), started, "TASK"))
			}
			var want []string
			for _, q := range v.want {
				want = append(want, strings.ReplaceAll(q, started, "TASK"))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s asked (-want +got):\n%s", v.name, diff)
			}
		}
		stopAll(t, host)
	})
}

func stopAll(t *testing.T, host *scheduler.Cluster) {
	tasks, err := host.List(t.Context(), scheduler.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tasks {
		run, err := host.Lookup(t.Context(), x.ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := run.Stop(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		mustWait(t, run)
	}
}

// TestDeniedLeavesNothing denies each action that running an unregistered definition implies.
func TestDeniedLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		auth := &asked{}
		w.cfg.Authorizer = auth
		host := w.open()
		defer w.end()
		def := define("app exit 0")
		def.TaskRoleARN, def.Tags = account+"role/app", []task.Tag{{Key: "team", Value: "red"}}
		o := scheduler.RunOptions{Tags: []task.Tag{{Key: "env", Value: "test"}}, ClientToken: "once"}
		for _, action := range []string{"ecs:RegisterTaskDefinition", "iam:PassRole", "ecs:TagResource", "ecs:RunTask"} {
			auth.deny = action
			_, err := host.As(ann).Run(t.Context(), def, o)
			var denied *scheduler.AccessDeniedError
			if !errors.Is(err, scheduler.ErrAccessDenied) || !errors.As(err, &denied) {
				t.Fatalf("Run with %s denied: %v, want ErrAccessDenied", action, err)
			}
			if want := "User: " + ann + " is not authorized to perform: " + action + " on resource: "; !strings.HasPrefix(denied.Message, want) {
				t.Errorf("denied %s: %q, want it to begin with %q", action, denied.Message, want)
			}
			if action != "ecs:RunTask" {
				if _, err := host.As(ann).RegisterTaskDefinition(t.Context(), def); !errors.Is(err, scheduler.ErrAccessDenied) {
					t.Errorf("RegisterTaskDefinition with %s denied: %v", action, err)
				}
			}
		}
		auth.deny = ""
		err := w.store.View(t.Context(), func(r store.Reader) error {
			for _, prefix := range []string{"families/", "definitions/", "tokens/", "tasks/"} {
				if entries, err := r.List(t.Context(), prefix, "", 0); err != nil || len(entries) > 0 {
					t.Errorf("a denied Run left %v, %v", entries, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		run := mustRun(t, host.As(ann), def, o) // the token was not used, the room is free
		if got := mustWait(t, run); !strings.HasSuffix(got.TaskDefinitionARN, "app:1") {
			t.Errorf("ran %s, want revision 1", got.TaskDefinitionARN)
		}
	})
}

// TestDeniedChangesNothing denies what verbs do to what is there.
func TestDeniedChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		auth := &asked{}
		host, run := authorized(t, w, auth)
		defer w.end()
		ctx := t.Context()
		before, err := run.Describe(ctx)
		if err != nil {
			t.Fatal(err)
		}
		auth.deny = "*"
		for name, verb := range map[string]func() error{
			"Stop":       func() error { return run.Stop(ctx, "") },
			"Wait":       func() error { _, err := run.Wait(ctx); return err },
			"Deregister": func() error { _, err := host.As(ann).DeregisterTaskDefinition(ctx, "app:1"); return err },
			"SetNetwork": func() error { return host.As(ann).SetNetwork(ctx, network.State{}) },
			"Exec":       func() error { _, err := run.Exec(ctx, "", runtime.ExecSpec{Args: []string{"exit", "0"}}); return err },
			"nobody's":   func() error { _, err := host.As("").Describe(ctx, run.ID()); return err },
			"no task":    func() error { _, err := host.As(ann).Describe(ctx, strings.Repeat("0", 32)); return err },
		} {
			if err := verb(); !errors.Is(err, scheduler.ErrAccessDenied) || errors.Is(err, scheduler.ErrNotFound) {
				t.Errorf("%s, denied: %v, want ErrAccessDenied alone", name, err)
			}
		}
		auth.deny = ""
		after, err := run.Describe(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("denied verbs changed the task (-before +after):\n%s", diff)
		}
		if def, err := host.TaskDefinition(ctx, "app:1"); err != nil || def.Status != task.DefinitionActive {
			t.Errorf("denied verbs changed the definition: %v, %v", def, err)
		}
		stopAll(t, host)
	})
}

func put(t *testing.T, d *policy.Directory, name, document string) {
	t.Helper()
	p, err := policy.Parse([]byte(document), policy.Options{Name: name})
	if err == nil {
		err = d.Put(p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// policed opens a cluster that decides by policies.
func policed(t *testing.T, w *world) (*scheduler.Cluster, *policy.Directory) {
	d := &policy.Directory{}
	auth, err := authz.New(authz.Config{Directory: d})
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.Authorizer = auth
	return w.open(), d
}

// TestPolicies runs verbs under IAM documents, with AWS's texts.
func TestPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		host, d := policed(t, w)
		defer w.end()
		put(t, d, "runners", `{"Version": "2012-10-17", "Statement": [
			{"Effect": "Allow", "Action": "ecs:RegisterTaskDefinition", "Resource": "*"},
			{"Effect": "Allow", "Action": "ecs:RunTask", "Resource": "arn:aws:ecs:*:*:task-definition/app:*",
				"Condition": {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:*:*:cluster/default"}, "Bool": {"ecs:enable-execute-command": "false"}}},
			{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/app",
				"Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}},
			{"Effect": "Allow", "Action": "ecs:TagResource", "Resource": "arn:aws:ecs:*:*:task/default/*",
				"Condition": {"StringEquals": {"ecs:CreateAction": "RunTask", "aws:RequestTag/owner": "${aws:username}"}}},
			{"Effect": "Allow", "Action": ["ecs:DescribeTasks", "ecs:StopTask"], "Resource": "*",
				"Condition": {"StringEquals": {"aws:ResourceTag/owner": "${aws:username}"}}}]}`)
		put(t, d, "keep", `{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "ecs:StopTask", "Resource": "*"}}`)
		if err := d.Attach(ann, policy.Attachments{Policies: []string{"runners"}}); err != nil {
			t.Fatal(err)
		}
		c, ctx := host.As(ann), t.Context()
		def := define("app serve")
		def.TaskRoleARN = "app"
		owned := scheduler.RunOptions{Tags: []task.Tag{{Key: "owner", Value: "ann"}}}
		run := mustRun(t, c, def, owned)
		if _, err := run.WaitRunning(ctx); err != nil {
			t.Fatal(err)
		}
		other := def.Clone()
		other.TaskRoleARN = account + "role/admin"
		elsewhere := define("app serve")
		elsewhere.Family = "other"
		const because = " because no identity-based policy allows the "
		for _, tt := range []struct {
			name string
			verb func() error
			want string // without the user; "" is allowed
		}{
			{"another role", func() error { _, err := c.Run(ctx, other, owned); return err },
				"iam:PassRole on resource: " + account + "role/admin" + because + "iam:PassRole action"},
			{"another role, overridden", func() error {
				o := owned
				o.Overrides = &task.TaskOverride{ExecutionRoleARN: account + "role/admin"}
				_, err := c.Run(ctx, def, o)
				return err
			}, "iam:PassRole on resource: " + account + "role/admin" + because + "iam:PassRole action"},
			{"another family", func() error { _, err := c.Run(ctx, elsewhere, owned); return err },
				"ecs:RunTask on resource: " + ecsARN + "task-definition/other:1" + because + "ecs:RunTask action"},
			{"exec", func() error {
				o := owned
				o.EnableExecuteCommand = true
				_, err := c.Run(ctx, def, o)
				return err
			}, "ecs:RunTask on resource: " + ecsARN + "task-definition/app:1" + because + "ecs:RunTask action"},
			{"somebody else's tag", func() error {
				_, err := c.Run(ctx, def, scheduler.RunOptions{Tags: []task.Tag{{Key: "owner", Value: "bob"}}})
				return err
			}, "ecs:TagResource on resource: TASK" + because + "ecs:TagResource action"},
			{"describe", func() error { _, err := run.Describe(ctx); return err }, ""},
			{"explicit deny", func() error {
				if err := d.Attach(ann, policy.Attachments{Policies: []string{"runners", "keep"}}); err != nil {
					return err
				}
				return run.Stop(ctx, "")
			}, "ecs:StopTask on resource: TASK with an explicit deny in an identity-based policy"},
			{"nobody", func() error { _, err := host.As("").Describe(ctx, run.ID()); return err },
				"ecs:DescribeTasks on resource: TASK because no resource-based policy allows the ecs:DescribeTasks action"},
		} {
			err := tt.verb()
			if tt.want == "" {
				if err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
				continue
			}
			who := ann
			if tt.name == "nobody" {
				who = "anonymous"
			}
			want := "AccessDeniedException: User: " + who + " is not authorized to perform: " + tt.want
			if got := taskID.ReplaceAllString(fmt.Sprint(err), "TASK"); got != want {
				t.Errorf("%s:\n got %s\nwant %s", tt.name, got, want)
			}
			if !errors.Is(err, scheduler.ErrAccessDenied) || !errors.Is(err, policy.ErrDenied) {
				t.Errorf("%s: %v matches not both of scheduler.ErrAccessDenied and policy.ErrDenied", tt.name, err)
			}
		}
		stopAll(t, host)
	})
}

// TestCallers authorizes a session: its role's policies, what it was handed, and its tags.
func TestCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		host, d := policed(t, w)
		defer w.end()
		put(t, d, "reader", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*",
			"Condition": {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}}}`)
		if err := d.Attach(account+"role/path/reader", policy.Attachments{Policies: []string{"reader"}}); err != nil {
			t.Fatal(err)
		}
		run := mustRun(t, host, define("app serve"), scheduler.RunOptions{Tags: []task.Tag{{Key: "team", Value: "red"}}})
		p, err := policy.ParsePrincipal("arn:aws:sts::000000000000:assumed-role/reader/s")
		if err != nil {
			t.Fatal(err)
		}
		p.IssuerARN = account + "role/path/reader"
		nothing, err := policy.Parse([]byte(`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}`),
			policy.Options{Kind: policy.Session})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			team    string
			session *policy.Set
			want    string
		}{
			{"red", nil, ""},
			{"blue", nil, "no identity-based policy"},
			{"red", policy.NewSet(nothing), "no session policy"},
		} {
			caller := policy.Caller{Principal: p, Session: tt.session, Context: map[string][]string{"aws:PrincipalTag/team": {tt.team}}}
			_, err := host.AsCaller(caller).Describe(t.Context(), run.ID())
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, scheduler.ErrAccessDenied) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s, %v: %v, want %q", tt.team, tt.session, err, tt.want)
			}
		}
		stopAll(t, host)
	})
}

func TestListShowsWhatMayBeDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		host, d := policed(t, w)
		defer w.end()
		put(t, d, "mine", `{"Version": "2012-10-17", "Statement": [
			{"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*", "Condition": {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:*:*:cluster/default"}}},
			{"Effect": "Allow", "Action": "ecs:DescribeTasks", "Resource": "*", "Condition": {"StringEquals": {"ecs:ResourceTag/owner": "${aws:username}"}}}]}`)
		if err := d.Attach(ann, policy.Attachments{Policies: []string{"mine"}}); err != nil {
			t.Fatal(err)
		}
		var mine string
		for _, owner := range []string{"ann", "bob"} {
			run := mustRun(t, host, define("app serve"), scheduler.RunOptions{Tags: []task.Tag{{Key: "owner", Value: owner}}})
			if owner == "ann" {
				mine = run.ARN()
			}
		}
		tasks, err := host.As(ann).List(t.Context(), scheduler.ListOptions{})
		if err != nil || len(tasks) != 1 || tasks[0].TaskARN != mine {
			t.Errorf("List: %v, %v, want only %s", tasks, err, mine)
		}
		if _, err := host.As(account+"user/bob").List(t.Context(), scheduler.ListOptions{}); !errors.Is(err, scheduler.ErrAccessDenied) {
			t.Errorf("List of one who may list nothing: %v, want ErrAccessDenied", err)
		}
		if tasks, err := host.List(t.Context(), scheduler.ListOptions{}); err != nil || len(tasks) != 2 {
			t.Errorf("the host's List: %v, %v, want both", tasks, err)
		}
		stopAll(t, host)
	})
}

// TestRegistrationRaces has many run one new definition at once: it is registered once, or as often as nobody was first.
func TestRegistrationRaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		host := w.open()
		defer w.end()
		const n = 8
		ended := make(chan error, n)
		for range n {
			go func() {
				run, err := host.Run(context.Background(), define("app exit 0"), scheduler.RunOptions{})
				if err == nil {
					_, err = run.Wait(context.Background())
				}
				ended <- err
			}()
		}
		for range n {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		defs, err := host.ListTaskDefinitions(t.Context(), "app")
		if err != nil || len(defs) != 1 {
			t.Errorf("%d revisions, %v: want 1", len(defs), err)
		}
	})
}
