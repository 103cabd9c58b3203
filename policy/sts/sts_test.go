package sts

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy"
)

const (
	account   = "123456789012"
	taskARN   = "arn:aws:ecs:eu-central-1:123456789012:task/default/0123456789abcdef0123456789abcdef"
	taskTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	anyTrust  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}}`
	readAll   = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}`
	assumeAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}`
)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) add(d time.Duration) { c.now = c.now.Add(d) }

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func open(t *testing.T, store Store, c *clock) *Service {
	t.Helper()
	s, err := Open(Config{Account: account, Store: store, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fixture is a service with a role that the account's principals may assume, a role for tasks, and a user who may assume
// roles.
type fixture struct {
	*Service
	clock *clock
	app   *Role
	task  *Role
	alice *Identity
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clock: newClock()}
	f.Service = open(t, nil, f.clock)
	f.app = must(f.CreateRole(RoleInput{Name: "app", Path: "/prod/", TrustPolicy: anyTrust, Inline: map[string]string{"read": readAll, "assume": assumeAll}, MaxSessionDuration: 4 * time.Hour}))(t)
	f.task = must(f.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust, Inline: map[string]string{"read": readAll}}))(t)
	must(f.CreateUser(UserInput{Name: "alice", Inline: map[string]string{"assume": assumeAll}}))(t)
	key := must(f.CreateAccessKey("alice"))(t)
	f.alice = must(f.Authenticate(key.AccessKeyID, ""))(t)
	return f
}

// must returns a value, or ends the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantError compares an error with "Code: part of the message"; "" is none.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("got error %v", err)
		}
		return
	}
	code, text, _ := strings.Cut(want, ": ")
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("got error %v, want %s", err, want)
		return
	}
	if e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %s: %s, want %s", e.Code, e.Message, want)
	}
	if sentinels[code] == nil || !errors.Is(err, sentinels[code]) {
		t.Errorf("%s matches no sentinel", code)
	}
}

func TestCreateRole(t *testing.T) {
	long := strings.Repeat("x", 65)
	big := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:` + strings.Repeat("x", 6000) + `","Resource":"*"}}`
	for name, c := range map[string]struct {
		change func(in *RoleInput)
		want   string
	}{
		"right":          {func(*RoleInput) {}, ""},
		"all characters": {func(in *RoleInput) { in.Name = "a_+=,.@-Z9" }, ""},
		"no name":        {func(in *RoleInput) { in.Name = "" }, "ValidationError: at 'roleName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"long name":      {func(in *RoleInput) { in.Name = long }, "ValidationError: 1 validation error detected: Value '" + long + "' at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		"name":           {func(in *RoleInput) { in.Name = "a/b" }, "ValidationError: The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"},
		"path":           {func(in *RoleInput) { in.Path = "prod/" }, "ValidationError: The specified value for path is invalid."},
		"path end":       {func(in *RoleInput) { in.Path = "/prod" }, "ValidationError: The specified value for path is invalid."},
		"path twice":     {func(in *RoleInput) { in.Path = "/a//b/" }, "ValidationError: The specified value for path is invalid."},
		"short":          {func(in *RoleInput) { in.MaxSessionDuration = time.Minute }, "ValidationError: Value '60' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"},
		"long":           {func(in *RoleInput) { in.MaxSessionDuration = 13 * time.Hour }, "ValidationError: Value '46800' at 'maxSessionDuration' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		"no trust":       {func(in *RoleInput) { in.TrustPolicy = "" }, "MalformedPolicyDocument: "},
		"trust resource": {func(in *RoleInput) {
			in.TrustPolicy = strings.Replace(taskTrust, `"Effect"`, `"Resource":"*","Effect"`, 1)
		}, "MalformedPolicyDocument: Has prohibited field Resource"},
		"trust JSON":      {func(in *RoleInput) { in.TrustPolicy = "{" }, "MalformedPolicyDocument: This policy contains invalid Json"},
		"inline":          {func(in *RoleInput) { in.Inline = map[string]string{"p": taskTrust} }, "MalformedPolicyDocument: Policy statement must contain resources."},
		"inline name":     {func(in *RoleInput) { in.Inline = map[string]string{"": readAll} }, "ValidationError: at 'policyName'"},
		"inline size":     {func(in *RoleInput) { in.Inline = map[string]string{"a": big, "b": big} }, "LimitExceeded: Maximum policy size of 10240 bytes exceeded for role r"},
		"attached":        {func(in *RoleInput) { in.Attached = []string{"arn:aws:iam::aws:policy/None"} }, "NoSuchEntity: Policy arn:aws:iam::aws:policy/None does not exist or is not attachable."},
		"boundary":        {func(in *RoleInput) { in.Boundary = "arn:aws:iam::aws:policy/None" }, "NoSuchEntity: "},
		"exists":          {func(in *RoleInput) { in.Name = "There" }, "EntityAlreadyExists: Role with name There already exists."},
		"tag reserved":    {func(in *RoleInput) { in.Tags = []Tag{{"aws:x", ""}} }, "InvalidInput: "},
		"tag twice":       {func(in *RoleInput) { in.Tags = []Tag{{"a", "1"}, {"A", "2"}} }, "InvalidInput: Duplicate tag keys found."},
		"tag key":         {func(in *RoleInput) { in.Tags = []Tag{{"a*", "1"}} }, "ValidationError: at 'tags.1.member.key'"},
		"tag empty":       {func(in *RoleInput) { in.Tags = []Tag{{"", "1"}} }, "ValidationError: at 'tags.1.member.key'"},
		"tag long":        {func(in *RoleInput) { in.Tags = []Tag{{"a", strings.Repeat("v", 257)}} }, "ValidationError: at 'tags.1.member.value'"},
		"tags":            {func(in *RoleInput) { in.Tags = make([]Tag, 51) }, "ValidationError: at 'tags'"},
		"tag of any kind": {func(in *RoleInput) { in.Tags = []Tag{{"Größe 1", "a_.:/=+-@b"}} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil, newClock())
			must(s.CreateRole(RoleInput{Name: "there", TrustPolicy: taskTrust}))(t)
			in := RoleInput{Name: "r", TrustPolicy: taskTrust}
			c.change(&in)
			_, err := s.CreateRole(in)
			wantError(t, err, c.want)
			if _, gone := s.Role(in.Name); err != nil && c.want[:5] != "Entit" && gone == nil {
				t.Error("the role was made")
			}
		})
	}
}

func TestRoleChanges(t *testing.T) {
	f := newFixture(t)
	for _, step := range []struct {
		name string
		err  error
		want string
	}{
		{"attach nothing", f.AttachRolePolicy("app", "arn:aws:iam::123456789012:policy/none"), "NoSuchEntity: Policy arn:aws:iam::123456789012:policy/none does not exist"},
		{"unknown", f.PutRolePolicy("nobody", "p", readAll), "NoSuchEntity: The role with name nobody cannot be found."},
		{"case", f.PutRolePolicy("APP", "p", readAll), ""},
		{"bad policy", f.PutRolePolicy("app", "p", "{}"), "MalformedPolicyDocument: "},
		{"no such inline", f.DeleteRolePolicy("app", "q"), "NoSuchEntity: The role policy with name q cannot be found."},
		{"duration", f.UpdateMaxSessionDuration("app", time.Hour+1), "ValidationError: "},
		{"trust", f.UpdateTrustPolicy("app", readAll), "MalformedPolicyDocument: "},
		{"delete", f.DeleteRole("app"), "DeleteConflict: Cannot delete entity, must delete policies first."},
		{"untag", f.UntagRole("app", "none"), ""},
		{"tag", f.TagRole("app", Tag{"Team", "a"}, Tag{"x", "1"}), ""},
		{"tag again", f.TagRole("app", Tag{"team", "b"}), ""},
		{"untag one", f.UntagRole("app", "X"), ""},
	} {
		t.Run(step.name, func(t *testing.T) { wantError(t, step.err, step.want) })
	}
	got := must(f.Role("app"))(t)
	if diff := cmp.Diff(map[string]string{"read": readAll, "assume": assumeAll, "p": readAll}, got.Inline); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Tag{{"team", "b"}}, got.Tags); diff != "" {
		t.Error(diff)
	}
	if want := "arn:aws:iam::123456789012:role/prod/app"; got.ARN != want || got.Path != "/prod/" || got.ID[:4] != "AROA" || len(got.ID) != 21 {
		t.Errorf("got %s, ID %s", got.ARN, got.ID)
	}
	var names []string
	for _, r := range f.Roles() {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"app", "task"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestManagedPolicies(t *testing.T) {
	f := newFixture(t)
	arn := must(f.CreatePolicy("p", "/x/", readAll))(t)
	if want := "arn:aws:iam::123456789012:policy/x/p"; arn != want {
		t.Fatalf("got %s, want %s", arn, want)
	}
	_, err := f.CreatePolicy("P", "", readAll)
	wantError(t, err, "EntityAlreadyExists: A policy called P already exists. Duplicate names are not allowed.")
	wantError(t, f.AttachRolePolicy("task", arn), "")
	wantError(t, f.DeletePolicy(arn), "DeleteConflict: Cannot delete a policy attached to entities.")
	c := must(f.TaskCredentials(f.task.ARN, taskARN, 0))(t)
	id := must(f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t)
	wantAllowed := func(action string, want bool) {
		t.Helper()
		if got := f.Authorize(id, action, "arn:aws:s3:::b/k", nil) == nil; got != want {
			t.Errorf("%s allowed: %t, want %t", action, got, want)
		}
	}
	wantAllowed("s3:PutObject", false)
	wantError(t, f.UpdatePolicy(arn, strings.Replace(readAll, "GetObject", "PutObject", 1)), "")
	wantAllowed("s3:PutObject", true)
	wantError(t, f.SetRoleBoundary("task", arn), "")
	wantAllowed("s3:GetObject", false) // the boundary is silent
	wantAllowed("s3:PutObject", true)
	wantError(t, f.SetRoleBoundary("task", ""), "")
	wantError(t, f.DetachRolePolicy("task", arn), "")
	wantError(t, f.DetachRolePolicy("task", arn), "NoSuchEntity: ")
	wantError(t, f.DeletePolicy(arn), "")
	wantError(t, f.DeletePolicy(arn), "NoSuchEntity: ")
	if n := len(f.Policies()); n != 0 {
		t.Errorf("%d policies are left", n)
	}
}

func TestUsers(t *testing.T) {
	f := newFixture(t)
	_, err := f.CreateUser(UserInput{Name: "ALICE"})
	wantError(t, err, "EntityAlreadyExists: User with name ALICE already exists.")
	_, err = f.CreateUser(UserInput{Name: "a b"})
	wantError(t, err, "ValidationError: The specified value for userName is invalid.")
	key := must(f.CreateAccessKey("alice"))(t)
	_, err = f.CreateAccessKey("alice")
	wantError(t, err, "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2")
	id := must(f.Authenticate(key.AccessKeyID, ""))(t)
	if id.SecretAccessKey().Reveal() != key.SecretAccessKey.Reveal() || len(key.SecretAccessKey.Reveal()) != 40 || len(key.AccessKeyID) != 20 {
		t.Errorf("the key is not the one that was issued")
	}
	want := CallerIdentity{Account: account, ARN: "arn:aws:iam::123456789012:user/alice", UserID: must(f.User("alice"))(t).ID}
	if diff := cmp.Diff(want, f.GetCallerIdentity(id)); diff != "" {
		t.Error(diff)
	}
	wantError(t, f.SetAccessKeyActive("alice", key.AccessKeyID, false), "")
	_, err = f.Authenticate(key.AccessKeyID, "")
	wantError(t, err, "InvalidClientTokenId: The security token included in the request is invalid")
	wantError(t, f.SetAccessKeyActive("alice", key.AccessKeyID, true), "")
	must(f.Authenticate(key.AccessKeyID, ""))(t)
	_, err = f.Authenticate(key.AccessKeyID, "token")
	wantError(t, err, "InvalidClientTokenId: ")
	wantError(t, f.PutUserPolicy("alice", "big", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:`+strings.Repeat("x", 2048)+`","Resource":"*"}}`), "LimitExceeded: Maximum policy size of 2048 bytes exceeded for user alice")
	wantError(t, f.DeleteUser("alice"), "DeleteConflict: Cannot delete entity, must delete policies first.")
	wantError(t, f.DeleteUserPolicy("alice", "assume"), "")
	wantError(t, f.DeleteUser("alice"), "DeleteConflict: Cannot delete entity, must delete access keys first.")
	for _, k := range must(f.AccessKeys("alice"))(t) {
		wantError(t, f.DeleteAccessKey("alice", k.ID), "")
	}
	wantError(t, f.DeleteAccessKey("alice", key.AccessKeyID), "NoSuchEntity: The Access Key with id "+key.AccessKeyID+" cannot be found.")
	wantError(t, f.DeleteUser("alice"), "")
	_, err = f.Authenticate(key.AccessKeyID, "")
	wantError(t, err, "InvalidClientTokenId: ")
}

func TestPrincipal(t *testing.T) {
	f := newFixture(t)
	wantError(t, f.TagRole("app", Tag{"Team", "a"}), "")
	for arn, want := range map[string]string{
		"arn:aws:sts::123456789012:assumed-role/app/x":  "arn:aws:iam::123456789012:role/prod/app",
		"arn:aws:iam::123456789012:role/prod/app":       "",
		"arn:aws:iam::123456789012:user/alice":          "",
		"arn:aws:iam::123456789012:root":                "",
		"arn:aws:sts::999999999999:assumed-role/none/x": "arn:aws:iam::999999999999:role/none",
	} {
		id := must(f.Principal(arn))(t)
		if id.Principal.Name != arn || id.Principal.IssuerARN != want {
			t.Errorf("%s: got %+v", arn, id.Principal)
		}
	}
	for _, arn := range []string{
		"arn:aws:sts::123456789012:assumed-role/none/x", "arn:aws:iam::123456789012:role/app",
		"arn:aws:iam::123456789012:user/bob", "arn:aws:iam::123456789012:user/x/alice",
	} {
		_, err := f.Principal(arn)
		wantError(t, err, "NoSuchEntity: ")
	}
	_, err := f.Principal("alice")
	wantError(t, err, "InvalidInput: ")
	id := must(f.Principal("arn:aws:sts::123456789012:assumed-role/app/x"))(t)
	want := map[string][]string{
		"aws:CurrentTime": {"2026-01-02T03:04:05Z"}, "aws:EpochTime": {"1767323045"}, "aws:PrincipalIsAWSService": {"false"},
		"aws:PrincipalType": {"AssumedRole"}, "aws:PrincipalAccount": {account}, "aws:PrincipalArn": {f.app.ARN},
		"aws:userid": {f.app.ID + ":x"}, "aws:PrincipalTag/Team": {"a"}, "aws:SourceIp": {"10.0.0.1"},
	}
	// What the identity says of itself cannot be said otherwise.
	d, r := f.Decide(id, "s3:GetObject", "*", map[string][]string{"AWS:PrincipalTag/team": {"b"}, "aws:SourceIp": {"10.0.0.1"}})
	if !d.Allowed() {
		t.Errorf("got %s", d)
	}
	got := map[string][]string{}
	for key := range want {
		got[key] = r.Context.Values(key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{Account: "1"}, {Account: "12345678901x"}, {Partition: "a:b"}} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	s := must(Open(Config{}))(t)
	if got := s.Account(); got != "000000000000" {
		t.Errorf("account %s", got)
	}
	if _, err := ServicePrincipal("alice"); !errors.Is(err, ErrInvalidInput) {
		t.Errorf("got %v", err)
	}
}

// TestDeletedRole: nothing of a role is left in the directory.
func TestDeletedRole(t *testing.T) {
	f := newFixture(t)
	c := must(f.TaskCredentials(f.task.ARN, taskARN, 0))(t)
	wantError(t, f.DeleteRolePolicy("task", "read"), "")
	wantError(t, f.DeleteRole("task"), "")
	_, err := f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal())
	wantError(t, err, "InvalidClientTokenId: ")
	again := must(f.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust, Inline: map[string]string{"read": readAll}}))(t)
	if again.ID != f.task.ID {
		t.Errorf("ID %s became %s", f.task.ID, again.ID)
	}
	_, err = f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal())
	wantError(t, err, "InvalidClientTokenId: ")
	c = must(f.TaskCredentials(f.task.ARN, taskARN, 0))(t)
	must(f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t)
	var denied *policy.DeniedError
	_, err = f.TaskCredentials("arn:aws:iam::123456789012:role/none", taskARN, 0)
	var role *TaskRoleError
	if !errors.As(err, &role) || !errors.As(err, &denied) {
		t.Errorf("got %v", err)
	}
}
