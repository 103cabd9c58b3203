package sts

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy"
)

func TestAssumeRole(t *testing.T) {
	deny := "AccessDenied: User: arn:aws:iam::123456789012:user/alice is not authorized to perform: sts:AssumeRole on resource: "
	for name, c := range map[string]struct {
		change func(f *fixture, in *AssumeRoleInput)
		want   string
	}{
		"right":            {func(*fixture, *AssumeRoleInput) {}, ""},
		"everything":       {everything, ""},
		"short ARN":        {func(_ *fixture, in *AssumeRoleInput) { in.RoleARN = "app" }, "ValidationError: Value 'app' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		"no ARN":           {func(_ *fixture, in *AssumeRoleInput) { in.RoleARN = "this is no ARN of a role" }, "ValidationError: this is no ARN of a role is invalid"},
		"user's ARN":       {func(_ *fixture, in *AssumeRoleInput) { in.RoleARN = "arn:aws:iam::123456789012:user/alice" }, "ValidationError: "},
		"session short":    {func(_ *fixture, in *AssumeRoleInput) { in.RoleSessionName = "x" }, "ValidationError: 1 validation error detected: Value 'x' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		"session long":     {func(_ *fixture, in *AssumeRoleInput) { in.RoleSessionName = strings.Repeat("x", 65) }, "ValidationError: Member must have length less than or equal to 64"},
		"session chars":    {func(_ *fixture, in *AssumeRoleInput) { in.RoleSessionName = "a/b" }, `ValidationError: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		"external short":   {func(_ *fixture, in *AssumeRoleInput) { in.ExternalID = "x" }, "ValidationError: at 'externalId'"},
		"external long":    {func(_ *fixture, in *AssumeRoleInput) { in.ExternalID = strings.Repeat("x", 1225) }, "ValidationError: at 'externalId'"},
		"external most":    {func(_ *fixture, in *AssumeRoleInput) { in.ExternalID = strings.Repeat("x", 1224) }, ""},
		"source":           {func(_ *fixture, in *AssumeRoleInput) { in.SourceIdentity = "a b" }, "ValidationError: at 'sourceIdentity'"},
		"below duration":   {func(_ *fixture, in *AssumeRoleInput) { in.Duration = 899 * time.Second }, "ValidationError: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"},
		"least duration":   {func(_ *fixture, in *AssumeRoleInput) { in.Duration = 900 * time.Second }, ""},
		"role's duration":  {func(_ *fixture, in *AssumeRoleInput) { in.Duration = 4 * time.Hour }, ""},
		"above the role's": {func(_ *fixture, in *AssumeRoleInput) { in.Duration = 4*time.Hour + time.Second }, "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		"above all":        {func(_ *fixture, in *AssumeRoleInput) { in.Duration = 12*time.Hour + time.Second }, "ValidationError: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		"odd duration":     {func(_ *fixture, in *AssumeRoleInput) { in.Duration = time.Hour + 1 }, "ValidationError: "},
		"policy":           {func(_ *fixture, in *AssumeRoleInput) { in.Policy = "{}" }, "MalformedPolicyDocument: "},
		"policy long":      {func(_ *fixture, in *AssumeRoleInput) { in.Policy = strings.Repeat(" ", 2049) }, "ValidationError: at 'policy'"},
		"policy packed":    {packedPolicy, "PackedPolicyTooLarge: Packed policy consumes "},
		"tags packed":      {packedTags, "PackedPolicyTooLarge: Packed size of session tags consumes "},
		"ARN unknown": {func(_ *fixture, in *AssumeRoleInput) { in.PolicyARNs = []string{"arn:aws:iam::123456789012:policy/no"} },
			"NoSuchEntity: Policy arn:aws:iam::123456789012:policy/no does not exist or is not attachable."},
		"policy and ARNs": {func(_ *fixture, in *AssumeRoleInput) {
			in.Policy = readAll + strings.Repeat(" ", 1900-len(readAll))
			in.PolicyARNs = []string{"arn:aws:iam::123456789012:policy/" + strings.Repeat("x", 128)}
		}, "PackedPolicyTooLarge: Packed policy consumes 101% of allotted space, please use smaller policy."},
		"ARNs": {func(_ *fixture, in *AssumeRoleInput) { in.PolicyARNs = make([]string, 11) }, "ValidationError: at 'policyArns'"},
		"transitive": {func(_ *fixture, in *AssumeRoleInput) { in.TransitiveTagKeys = []string{"Team"} },
			"InvalidParameterValue: The specified transitive tag key must be included in the requested tags."},
		"no such role": {func(_ *fixture, in *AssumeRoleInput) { in.RoleARN = "arn:aws:iam::123456789012:role/none" },
			deny + "arn:aws:iam::123456789012:role/none because no role trust policy allows the sts:AssumeRole action"},
		"wrong path":      {func(_ *fixture, in *AssumeRoleInput) { in.RoleARN = "arn:aws:iam::123456789012:role/app" }, deny},
		"not trusted":     {func(f *fixture, in *AssumeRoleInput) { in.RoleARN = f.task.ARN }, deny + "arn:aws:iam::123456789012:role/task because no role trust policy allows the sts:AssumeRole action"},
		"no own policy":   {func(f *fixture, _ *AssumeRoleInput) { _ = f.DeleteUserPolicy("alice", "assume") }, deny + f0ARN + " because no identity-based policy allows the sts:AssumeRole action"},
		"tags not let in": {func(f *fixture, in *AssumeRoleInput) { in.Tags = []Tag{{"a", "b"}}; trustOnly(f, "sts:AssumeRole") }, "AccessDenied: is not authorized to perform: sts:TagSession on resource"},
		"source not let in": {func(f *fixture, in *AssumeRoleInput) { in.SourceIdentity = "alice"; trustOnly(f, "sts:AssumeRole") },
			"AccessDenied: is not authorized to perform: sts:SetSourceIdentity on resource"},
		"root": {func(f *fixture, _ *AssumeRoleInput) {
			f.alice = &Identity{Principal: policy.Principal{Type: policy.Root, Name: "arn:aws:iam::123456789012:root", Account: account}}
		}, "AccessDenied: Roles may not be assumed by root accounts."},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			in := AssumeRoleInput{RoleARN: f.app.ARN, RoleSessionName: "nightly"}
			c.change(f, &in)
			out, err := f.AssumeRole(f.alice, in)
			wantError(t, err, c.want)
			if err != nil {
				return
			}
			id := must(f.Authenticate(out.Credentials.AccessKeyID, out.Credentials.SessionToken.Reveal()))(t)
			if id.SecretAccessKey().Reveal() != out.Credentials.SecretAccessKey.Reveal() {
				t.Error("another secret")
			}
			got := CallerIdentity{Account: account, ARN: out.AssumedRoleARN, UserID: out.AssumedRoleID}
			if diff := cmp.Diff(f.GetCallerIdentity(id), got); diff != "" {
				t.Error(diff)
			}
			if want := "arn:aws:sts::123456789012:assumed-role/app/nightly"; out.AssumedRoleARN != want {
				t.Errorf("got %s, want %s", out.AssumedRoleARN, want)
			}
		})
	}
}

const f0ARN = "arn:aws:iam::123456789012:role/prod/app"

func everything(f *fixture, in *AssumeRoleInput) {
	in.Policy, in.ExternalID, in.SourceIdentity, in.Duration = readAll, "a:b/c", "alice", 2*time.Hour
	in.Tags, in.TransitiveTagKeys = []Tag{{"Team", "a"}}, []string{"team"}
}

func trustOnly(f *fixture, action string) {
	document := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"` + action + `"}}`
	_ = f.UpdateTrustPolicy("app", document) // the case says what comes of it
}

// noise is text that does not get smaller.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(newAccessKeyID(""))
	}
	return b.String()[:n]
}

func packedPolicy(_ *fixture, in *AssumeRoleInput) {
	in.Policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:` + noise(1900) + `","Resource":"*"}}`
	for i := range 10 {
		in.Tags = append(in.Tags, Tag{fmt.Sprint(i), noise(256)})
	}
}

func packedTags(_ *fixture, in *AssumeRoleInput) {
	for i := range 20 {
		in.Tags = append(in.Tags, Tag{fmt.Sprint(i), noise(256)})
	}
}

func (f *fixture) assume(t *testing.T, caller *Identity, in AssumeRoleInput) (*Identity, *AssumeRoleOutput) {
	t.Helper()
	if in.RoleSessionName == "" {
		in.RoleSessionName = "session"
	}
	out := must(f.AssumeRole(caller, in))(t)
	return must(f.Authenticate(out.Credentials.AccessKeyID, out.Credentials.SessionToken.Reveal()))(t), out
}

func TestExternalID(t *testing.T) {
	f := newFixture(t)
	wantError(t, f.UpdateTrustPolicy("app", strings.Replace(anyTrust, `"Effect"`, `"Condition":{"StringEquals":{"sts:ExternalId":"secret-7"}},"Effect"`, 1)), "")
	for id, want := range map[string]string{"": "AccessDenied: ", "secret-8": "AccessDenied: ", "secret-7": ""} {
		_, err := f.AssumeRole(f.alice, AssumeRoleInput{RoleARN: f.app.ARN, RoleSessionName: "xx", ExternalID: id})
		wantError(t, err, want)
	}
	// The keys of the request itself cannot be given as further conditions.
	_, err := f.AssumeRole(f.alice, AssumeRoleInput{RoleARN: f.app.ARN, RoleSessionName: "xx", Conditions: map[string][]string{"STS:externalid": {"secret-7"}}})
	wantError(t, err, "AccessDenied: ")
}

func TestSessionPolicy(t *testing.T) {
	f := newFixture(t)
	wantError(t, f.PutRolePolicy("app", "all", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:*","sqs:*"],"Resource":"*"}}`), "")
	put := must(f.CreatePolicy("put", "", strings.Replace(readAll, "GetObject", "PutObject", 1)))(t)
	id, out := f.assume(t, f.alice, AssumeRoleInput{RoleARN: f.app.ARN, Policy: readAll, PolicyARNs: []string{put, put}})
	if out.PackedPolicySize < 1 || out.PackedPolicySize > 100 {
		t.Errorf("packed size %d%%", out.PackedPolicySize)
	}
	for action, want := range map[string]bool{"s3:GetObject": true, "s3:PutObject": true, "s3:DeleteObject": false, "sqs:SendMessage": false} {
		if got := f.Authorize(id, action, "*", nil) == nil; got != want {
			t.Errorf("%s allowed: %t, want %t", action, got, want)
		}
	}
	var denied *policy.DeniedError
	if err := f.Authorize(id, "sqs:SendMessage", "*", nil); !errors.As(err, &denied) || denied.Decision.Layer != policy.LayerSession {
		t.Errorf("got %v", err)
	}
	// What a managed session policy says is what it says now; one that is gone allows nothing.
	wantError(t, f.DeletePolicy(put), "")
	id = must(f.Authenticate(out.Credentials.AccessKeyID, out.Credentials.SessionToken.Reveal()))(t)
	if f.Authorize(id, "s3:PutObject", "*", nil) == nil || f.Authorize(id, "s3:GetObject", "*", nil) != nil {
		t.Error("the deleted policy still counts, or the other does not")
	}
	id, _ = f.assume(t, f.alice, AssumeRoleInput{RoleARN: f.app.ARN})
	if id.SessionPolicy != nil {
		t.Error("a session without session policies has one")
	}
}

func TestSessionTags(t *testing.T) {
	f := newFixture(t)
	wantError(t, f.TagRole("app", Tag{"Team", "role"}, Tag{"Stage", "prod"}), "")
	id, _ := f.assume(t, f.alice, AssumeRoleInput{RoleARN: f.app.ARN, Tags: []Tag{{"team", "session"}, {"Cost", "7"}}, TransitiveTagKeys: []string{"TEAM"}, SourceIdentity: "alice"})
	want := []Tag{{"team", "session"}, {"Cost", "7"}, {"Stage", "prod"}}
	if diff := cmp.Diff(want, id.Tags); diff != "" {
		t.Error(diff)
	}
	if got := id.Caller().Context["aws:PrincipalTag/team"]; len(got) != 1 || got[0] != "session" {
		t.Errorf("got %q", got)
	}

	// The next session in the chain has the transitive tag and the source identity, for an hour at most.
	must(f.CreateRole(RoleInput{Name: "next", TrustPolicy: anyTrust, Inline: map[string]string{"assume": assumeAll}, MaxSessionDuration: 12 * time.Hour, Tags: []Tag{{"Team", "next"}}}))(t)
	in := AssumeRoleInput{RoleARN: "arn:aws:iam::123456789012:role/next", RoleSessionName: "second"}
	next, out := f.assume(t, id, in)
	if diff := cmp.Diff([]Tag{{"team", "session"}}, next.Tags); diff != "" {
		t.Error(diff)
	}
	if next.SourceIdentity != "alice" || out.SourceIdentity != "alice" {
		t.Errorf("source identity %q", next.SourceIdentity)
	}
	for _, c := range []struct {
		change func(in *AssumeRoleInput)
		want   string
	}{
		{func(in *AssumeRoleInput) { in.Duration = time.Hour }, ""},
		{func(in *AssumeRoleInput) { in.Duration = time.Hour + time.Second }, "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"},
		{func(in *AssumeRoleInput) { in.Tags = []Tag{{"TEAM", "other"}} }, "InvalidParameterValue: One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session."},
		{func(in *AssumeRoleInput) { in.SourceIdentity = "bob" }, "AccessDenied: "},
		{func(in *AssumeRoleInput) { in.SourceIdentity = "alice" }, ""},
	} {
		in := in
		c.change(&in)
		_, err := f.AssumeRole(id, in)
		wantError(t, err, c.want)
	}
	// And the one after that.
	_, last := f.assume(t, next, AssumeRoleInput{RoleARN: f.app.ARN})
	if got := must(f.Authenticate(last.Credentials.AccessKeyID, last.Credentials.SessionToken.Reveal()))(t).SessionTags; len(got) != 1 || got[0].Value != "session" {
		t.Errorf("got %v", got)
	}
	// A role that does not let tags in cannot be next.
	wantError(t, f.UpdateTrustPolicy("next", strings.Replace(anyTrust, `"sts:TagSession",`, "", 1)), "")
	_, err := f.AssumeRole(id, in)
	wantError(t, err, "AccessDenied: sts:TagSession")
}

func TestTaskCredentials(t *testing.T) {
	f := newFixture(t)
	c := must(f.TaskCredentials(f.task.ARN, taskARN, 0))(t)
	id := must(f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t)
	if want := "arn:aws:sts::123456789012:assumed-role/task/0123456789abcdef0123456789abcdef"; id.Principal.Name != want {
		t.Errorf("got %s, want %s", id.Principal.Name, want)
	}
	if got := c.Remaining(f.clock.Now()); got != 6*time.Hour { // the role's maximum is one
		t.Errorf("good for %v", got)
	}
	if c.AccessKeyID[:4] != "ASIA" || len(c.AccessKeyID) != 20 || c.RoleARN != f.task.ARN {
		t.Errorf("got %+v", c)
	}
	const text = "ECS was unable to assume the role '%s' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
	wantError(t, f.CheckTaskRole(f.task.ARN, taskARN), "")
	for _, arn := range []string{f.app.ARN, "arn:aws:iam::123456789012:role/none", "arn:aws:iam::999999999999:role/task", "no ARN at all, of no role"} {
		_, err := f.TaskCredentials(arn, taskARN, 0)
		for _, err := range []error{err, f.CheckTaskRole(arn, taskARN)} {
			var role *TaskRoleError
			if !errors.As(err, &role) || err.Error() != fmt.Sprintf(text, arn) {
				t.Errorf("%s: got %v", arn, err)
			}
		}
	}
	// Without a key, for what is done in the name of the role.
	if id, err := f.TaskIdentity(f.task.ARN, taskARN); err != nil || id.Principal != must(f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t).Principal {
		t.Errorf("got %v, %v", id, err)
	} else if f.Authorize(id, "s3:GetObject", "*", nil) != nil || f.Authorize(id, "s3:PutObject", "*", nil) == nil {
		t.Error("it may do something else than the role")
	}
	if _, err := f.TaskIdentity(f.app.ARN, taskARN); err == nil {
		t.Error("a role that tasks cannot have has an identity")
	}
	// The trust policy can tell which tasks.
	only := func(key, value string) string {
		return strings.Replace(taskTrust, `"Effect"`, `"Condition":{"ArnLike":{"`+key+`":"`+value+`"}},"Effect"`, 1)
	}
	wantError(t, f.UpdateTrustPolicy("task", only("aws:SourceArn", "arn:aws:ecs:eu-central-1:123456789012:*")), "")
	wantError(t, f.CheckTaskRole(f.task.ARN, taskARN), "")
	if err := f.CheckTaskRole(f.task.ARN, strings.Replace(taskARN, account, "999999999999", 1)); err == nil {
		t.Error("a task of another account is trusted")
	}
}

func TestAuthenticate(t *testing.T) {
	f := newFixture(t)
	c := must(f.TaskCredentials(f.task.ARN, taskARN, time.Hour))(t)
	other := must(f.TaskCredentials(f.task.ARN, taskARN, time.Hour))(t)
	token := c.SessionToken.Reveal()
	const invalid = "InvalidClientTokenId: The security token included in the request is invalid"
	check := func(key, token, want string) {
		t.Helper()
		_, err := f.Authenticate(key, token)
		wantError(t, err, want)
	}
	for range 2 { // the second time from the cache
		check(c.AccessKeyID, token, "")
		check(c.AccessKeyID, "", invalid)
		check(c.AccessKeyID, other.SessionToken.Reveal(), invalid)
		check(other.AccessKeyID, token, invalid)
		check("", token, invalid)
		check("AKIAAAAAAAAAAAAAAAAA", "", invalid)
		check("ASIAAAAAAAAAAAAAAAAA", token, invalid)
		check(c.AccessKeyID, token+"=", invalid)
		check(c.AccessKeyID, token[4:], invalid)
	}
	for i := 0; i < len(token); i += 7 { // changed anywhere
		changed := []byte(token)
		changed[i] ^= 1
		check(c.AccessKeyID, string(changed), invalid)
	}
	stranger := open(t, nil, f.clock)
	must(stranger.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust}))(t)
	if _, err := stranger.Authenticate(c.AccessKeyID, token); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("another service takes it: %v", err)
	}
	f.clock.add(time.Hour - time.Second)
	check(c.AccessKeyID, token, "")
	f.clock.add(time.Second)
	check(c.AccessKeyID, token, "ExpiredToken: The security token included in the request is expired")
}

// TestCacheIsBounded: callers that sign once leave nothing.
func TestCacheIsBounded(t *testing.T) {
	f := newFixture(t)
	for range 3 * maxCached {
		c := must(f.TaskCredentials(f.task.ARN, taskARN, minDuration))(t)
		must(f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t)
		f.clock.add(time.Second)
	}
	if n := len(f.cache.entries); n > maxCached {
		t.Errorf("%d sessions are kept, want at most %d", n, maxCached)
	}
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	alive := func(c Credentials) bool {
		_, err := f.Authenticate(c.AccessKeyID, c.SessionToken.Reveal())
		if err != nil && !errors.Is(err, ErrRevoked) {
			t.Errorf("got %v", err)
		}
		return err == nil
	}
	issue := func(session string) Credentials {
		return must(f.TaskCredentials(f.task.ARN, "arn:aws:ecs:eu-central-1:123456789012:task/default/"+session, 0))(t)
	}
	_, app := f.assume(t, f.alice, AssumeRoleInput{RoleARN: f.app.ARN})
	first := issue("one")
	f.clock.add(time.Minute)
	between := f.clock.Now()
	second, two := issue("one"), issue("two")

	wantError(t, f.RevokeSessions("task", between), "")
	for c, want := range map[*Credentials]bool{&first: false, &second: true, &two: true, &app.Credentials: true} {
		if got := alive(*c); got != want {
			t.Errorf("%s counts: %t, want %t", c.RoleARN, got, want)
		}
	}
	wantError(t, f.RevokeSession("task", "one"), "")
	if alive(second) || !alive(two) {
		t.Error("session one counts, or two does not")
	}
	third := issue("one") // at the same moment
	if !alive(third) {
		t.Error("a session that began after the revocation does not count")
	}
	fourth := issue("two")
	wantError(t, f.RevokeKey(two.AccessKeyID), "")
	if alive(two) || !alive(fourth) {
		t.Error("the key counts, or another of the session does not")
	}
	wantError(t, f.RevokeSessions("task", time.Time{}), "")
	if alive(third) || alive(fourth) || !alive(issue("two")) || !alive(app.Credentials) {
		t.Error("not exactly the sessions of the role that were there are revoked")
	}
	wantError(t, f.RevokeSessions("task", f.clock.Now().Add(time.Second)), "ValidationError: ")
	wantError(t, f.RevokeSessions("none", time.Time{}), "NoSuchEntity: ")
	wantError(t, f.RevokeSession("task", "x"), "ValidationError: ")
	wantError(t, f.RevokeKey("no key"), "ValidationError: ")

	// They are forgotten when nothing that they are about is good any more.
	f.clock.add(maxDuration + time.Second)
	wantError(t, f.RevokeSession("app", "any"), "")
	if n := len(f.state.Revoked); n != 1 {
		t.Errorf("%d revocations are kept, want 1", n)
	}
}

func FuzzAuthenticate(f *testing.F) {
	s, err := Open(Config{Account: account})
	if err != nil {
		f.Fatal(err)
	}
	role, err := s.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust})
	if err != nil {
		f.Fatal(err)
	}
	c, err := s.TaskCredentials(role.ARN, taskARN, 0)
	if err != nil {
		f.Fatal(err)
	}
	issued := c.SessionToken.Reveal()
	f.Add(c.AccessKeyID, issued)
	f.Add(c.AccessKeyID, issued[:len(issued)-4])
	f.Add(c.AccessKeyID, issued[:8]+"\n"+issued[8:])
	f.Add("AKIA", "")
	f.Fuzz(func(t *testing.T, key, token string) {
		id, err := s.Authenticate(key, token)
		if (err == nil) != (key == c.AccessKeyID && token == issued) {
			t.Fatalf("%q with %q: %v, %v", key, token, id, err)
		}
	})
}
