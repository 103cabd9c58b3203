package audit_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/audit"
)

const account = "arn:aws:iam::123456789012:"

func directory(t testing.TB) *policy.Directory {
	t.Helper()
	d := &policy.Directory{}
	p, err := policy.Parse([]byte(`{"Version": "2012-10-17", "Statement": [
		{"Sid": "Run", "Effect": "Allow", "Action": "ecs:RunTask", "Resource": "*"},
		{"Effect": "Deny", "Action": "ecs:StopTask", "Resource": "*"}]}`), policy.Options{Name: "runners"})
	if err == nil {
		err = d.Put(p)
	}
	for _, arn := range []string{account + "user/team/ann", account + "role/team/app"} {
		if err == nil {
			err = d.Attach(arn, policy.Attachments{Policies: []string{"runners"}})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func record(t testing.TB, d *policy.Directory, c *policy.Caller, action, resource string) audit.Record {
	t.Helper()
	r := c.Request(action, resource, map[string][]string{"ecs:cluster": {"arn:aws:ecs:eu-west-1:123456789012:cluster/default"}, "aws:RequestedRegion": {"eu-west-1"}})
	return audit.New(c, r, d.Decide(r, c.Session), "us-east-1", time.Date(2030, 1, 2, 12, 0, 0, 5, time.UTC))
}

func caller(t testing.TB, name, issuer string, keys map[string][]string) *policy.Caller {
	t.Helper()
	p, err := policy.ParsePrincipal(name)
	if err != nil {
		t.Fatal(err)
	}
	if issuer != "" {
		p.IssuerARN = issuer
	}
	return &policy.Caller{Principal: p, Context: keys, AccessKeyID: "ASIAEXAMPLE"}
}

// TestRecord holds the JSON of a record against an event of CloudTrail.
func TestRecord(t *testing.T) {
	d := directory(t)
	session := caller(t, "arn:aws:sts::123456789012:assumed-role/app/one", account+"role/team/app", map[string][]string{
		"aws:userid": {"AROAEXAMPLE:one"}, "aws:TokenIssueTime": {"2030-01-02T11:00:00Z"}, "aws:SourceIp": {"10.0.0.7"}, "aws:UserAgent": {"aws-cli"},
	})
	got := record(t, d, session, "ecs:StopTask", "arn:aws:ecs:eu-west-1:123456789012:task/default/1")
	if len(got.EventID) != 36 || got.EventID[14] != '4' {
		t.Errorf("eventID %q is no UUID of chance", got.EventID)
	}
	got.EventID = "ID"
	data, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "eventVersion": "1.11",
  "userIdentity": {
    "type": "AssumedRole",
    "principalId": "AROAEXAMPLE:one",
    "arn": "arn:aws:sts::123456789012:assumed-role/app/one",
    "accountId": "123456789012",
    "accessKeyId": "ASIAEXAMPLE",
    "sessionContext": {
      "sessionIssuer": {
        "type": "Role",
        "principalId": "AROAEXAMPLE",
        "arn": "arn:aws:iam::123456789012:role/team/app",
        "accountId": "123456789012",
        "userName": "app"
      },
      "attributes": {
        "creationDate": "2030-01-02T11:00:00Z",
        "mfaAuthenticated": "false"
      }
    }
  },
  "eventTime": "2030-01-02T12:00:00Z",
  "eventSource": "ecs.amazonaws.com",
  "eventName": "StopTask",
  "awsRegion": "eu-west-1",
  "sourceIPAddress": "10.0.0.7",
  "userAgent": "aws-cli",
  "errorCode": "AccessDenied",
  "errorMessage": "User: arn:aws:sts::123456789012:assumed-role/app/one is not authorized to perform: ecs:StopTask on resource: arn:aws:ecs:eu-west-1:123456789012:task/default/1 with an explicit deny in an identity-based policy",
  "requestParameters": {
    "aws:PrincipalAccount": [
      "123456789012"
    ],
    "aws:PrincipalArn": [
      "arn:aws:iam::123456789012:role/team/app"
    ],
    "aws:PrincipalIsAWSService": [
      "false"
    ],
    "aws:PrincipalType": [
      "AssumedRole"
    ],
    "aws:RequestedRegion": [
      "eu-west-1"
    ],
    "aws:SourceIp": [
      "10.0.0.7"
    ],
    "aws:TokenIssueTime": [
      "2030-01-02T11:00:00Z"
    ],
    "aws:UserAgent": [
      "aws-cli"
    ],
    "aws:userid": [
      "AROAEXAMPLE:one"
    ],
    "ecs:cluster": [
      "arn:aws:ecs:eu-west-1:123456789012:cluster/default"
    ]
  },
  "responseElements": null,
  "additionalEventData": {
    "action": "ecs:StopTask",
    "outcome": "ExplicitlyDenied",
    "layer": "Identity",
    "policy": "runners",
    "statement": 1
  },
  "eventID": "ID",
  "readOnly": false,
  "resources": [
    {
      "ARN": "arn:aws:ecs:eu-west-1:123456789012:task/default/1",
      "accountId": "123456789012",
      "type": "AWS::ECS::Task"
    }
  ],
  "eventType": "AwsApiCall",
  "managementEvent": true,
  "recipientAccountId": "123456789012",
  "eventCategory": "Management"
}`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestIdentities(t *testing.T) {
	for _, tt := range []struct{ principal, wantType, wantName, action, source string }{
		{account + "user/team/ann", "IAMUser", "ann", "ecs:DescribeTasks", "ecs.amazonaws.com"},
		{account + "root", "Root", "", "S3:GetObject", "s3.amazonaws.com"},
		{account + "role/app", "Role", "", "iam:PassRole", "iam.amazonaws.com"},
		{"arn:aws:sts::123456789012:federated-user/bob", "FederatedUser", "", "vault:GetawayCar", "vault.amazonaws.com"},
		{"ecs-tasks.amazonaws.com", "AWSService", "", "sts:AssumeRole", "sts.amazonaws.com"},
		{"*", "AWSAccount", "", "ecs:ListTasks", "ecs.amazonaws.com"},
	} {
		r := record(t, &policy.Directory{}, caller(t, tt.principal, "", nil), tt.action, "*")
		if r.UserIdentity.Type != tt.wantType || r.UserIdentity.UserName != tt.wantName || r.EventSource != tt.source || len(r.Resources) != 0 {
			t.Errorf("%s: %+v", tt.principal, r)
		}
		if want := strings.HasPrefix(tt.action, "ecs:") || strings.HasPrefix(tt.action, "S3:"); r.ReadOnly != want {
			t.Errorf("%s: readOnly %t", tt.action, r.ReadOnly)
		}
		if r.SourceIPAddress == "" {
			t.Errorf("%s: no sourceIPAddress", tt.principal)
		}
	}
}

// TestDecideAgain asks what a trail holds of another set of policies.
func TestDecideAgain(t *testing.T) {
	now := directory(t)
	var questions []policy.Question
	for _, c := range []*policy.Caller{
		caller(t, account+"user/team/ann", "", nil),
		caller(t, "arn:aws:sts::123456789012:assumed-role/app/one", account+"role/team/app", nil),
		caller(t, "ecs-tasks.amazonaws.com", "", nil),
	} {
		line, err := json.Marshal(record(t, now, c, "ecs:RunTask", "*"))
		if err != nil {
			t.Fatal(err)
		}
		var rec audit.Record
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatal(err)
		}
		r, err := rec.Request()
		if err != nil {
			t.Fatal(err)
		}
		if got := now.Decide(r, nil).Outcome.String(); got != rec.AdditionalEventData.Outcome {
			t.Errorf("decided again: %s, was %s", got, rec.AdditionalEventData.Outcome)
		}
		questions = append(questions, policy.Question{Request: r})
	}
	then := now.Clone()
	if err := then.Attach(account+"role/team/app", policy.Attachments{}); err != nil {
		t.Fatal(err)
	}
	changes := policy.Simulate(now, then, questions)
	if len(changes) != 1 || !changes[0].Lost() || changes[0].Question.Request.Principal.Name != "arn:aws:sts::123456789012:assumed-role/app/one" {
		t.Errorf("changes: %+v", changes)
	}
}

func lines(t *testing.T, path string) (records []audit.Record, broken int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var r audit.Record
		if json.Unmarshal(s.Bytes(), &r) != nil {
			broken++
			continue
		}
		records = append(records, r)
	}
	return records, broken
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"eventVersion": "1.11"}`+"\n"+`{"half a li`), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := audit.OpenFile(audit.FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	d, ann := directory(t), caller(t, account+"user/team/ann", "", nil)
	const each, writers = 50, 4
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				f.Record(record(t, d, ann, "ecs:RunTask", "*"))
			}
		})
	}
	writing.Wait()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, broken := lines(t, path)
	if len(got) != 1+writers*each || broken != 1 || f.Dropped() != 0 {
		t.Errorf("%d records, %d broken, %d dropped: want %d, 1, 0", len(got), broken, f.Dropped(), 1+writers*each)
	}
	f.Record(got[0])
	if f.Dropped() != 1 || !errors.Is(f.Err(), audit.ErrClosed) || f.Close() != nil {
		t.Errorf("after Close: %d dropped, %v: want 1, ErrClosed", f.Dropped(), f.Err())
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.jsonl")
	d, ann := directory(t), caller(t, account+"user/team/ann", "", nil)
	const n, most = 60, 4096
	for range 2 { // the second continues
		f, err := audit.OpenFile(audit.FileConfig{Path: path, MaxBytes: most, MaxFiles: 3})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			r := record(t, d, ann, "ecs:RunTask", "*")
			r.UserAgent = fmt.Sprint(i)
			f.Record(r)
		}
		if err := f.Close(); err != nil || f.Dropped() > 0 {
			t.Fatal(err, f.Dropped())
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 3 {
		t.Errorf("files %v, %v: want 3", names, err)
	}
	last := n
	for _, name := range []string{path, path + ".1", path + ".2"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %v, want at most %d and 0600", name, info.Size(), info.Mode(), most)
		}
		got, broken := lines(t, name)
		for i := len(got) - 1; i >= 0; i-- {
			if last--; got[i].UserAgent != fmt.Sprint(last) || broken > 0 {
				t.Fatalf("%s: record %s where %d should be", name, got[i].UserAgent, last)
			}
		}
	}
}

// TestLostRecords has the trail's directory go away and come back.
func TestLostRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trail")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "audit.jsonl")
	told := &log{wrote: make(chan string, 8)}
	f, err := audit.OpenFile(audit.FileConfig{Path: path, MaxBytes: 4096, MaxFiles: 1, Logger: slog.New(slog.NewTextHandler(told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	big := record(t, directory(t), caller(t, account+"user/team/ann", "", nil), "ecs:RunTask", "*")
	big.UserAgent = strings.Repeat("x", 3000) // every record takes a file of its own
	f.Record(big)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	f.Record(big)
	if line := <-told.wrote; !strings.Contains(line, "being lost") {
		t.Errorf("logged %q", line)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	small := big
	small.UserAgent = "again"
	f.Record(small)
	if line := <-told.wrote; !strings.Contains(line, "written again") {
		t.Errorf("logged %q", line)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, broken := lines(t, path)
	i := len(got) - 1
	if broken > 0 || i < 1 || got[i].UserAgent != "again" || got[i-1].EventName != "RecordsDropped" || got[i-1].AdditionalEventData.Dropped == 0 ||
		got[i-1].AdditionalEventData.Dropped > f.Dropped() {
		t.Errorf("the trail ends with %+v; dropped %d", got, f.Dropped())
	}
}

// log is a writer that tells what was written.
type log struct{ wrote chan string }

func (l *log) Write(p []byte) (int, error) {
	l.wrote <- string(p)
	return len(p), nil
}

func TestFileConfig(t *testing.T) {
	for _, cfg := range []audit.FileConfig{{}, {Path: "x", MaxBytes: 1}, {Path: "x", MaxFiles: -1}, {Path: "x", Queue: -1},
		{Path: filepath.Join(t.TempDir(), "none", "x")}} {
		if f, err := audit.OpenFile(cfg); err == nil {
			t.Errorf("OpenFile(%+v) succeeds", cfg)
			f.Close()
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	f, err := audit.OpenFile(audit.FileConfig{Path: filepath.Join(b.TempDir(), "audit.jsonl")})
	if err != nil {
		b.Fatal(err)
	}
	d, ann := directory(b), caller(b, account+"user/team/ann", "", nil)
	b.ReportAllocs()
	for b.Loop() {
		f.Record(record(b, d, ann, "ecs:RunTask", "*"))
	}
	b.ReportMetric(float64(f.Dropped())/float64(b.N), "dropped/op")
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}
