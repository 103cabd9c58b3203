package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/policy/sts"
	"github.com/fardel-io/fardel/scheduler/local"
)

func TestMain(m *testing.M) {
	if local.Reexec() {
		return
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "http://") { // this program is also what runs in the container
		main()
		return
	}
	os.Exit(m.Run())
}

// TestVault needs no root: the task is this test, with credentials as a task has them.
func TestVault(t *testing.T) {
	roles, err := permissions(&sts.MemoryStore{})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := authz.New(authz.Config{Directory: roles.Directory()})
	if err != nil {
		t.Fatal(err)
	}
	vault, err := newVault(roles, auth)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(vault)
	defer server.Close()
	of := func(role string) aws.CredentialsProvider {
		c, err := roles.TaskCredentials("arn:aws:iam::"+account+":role/"+role, "arn:aws:ecs:"+region+":"+account+":task/default/0123456789abcdef0123456789abcdef", 0)
		if err != nil {
			t.Fatal(err)
		}
		return credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey.Reveal(), c.SessionToken.Reveal())
	}
	for _, tt := range []struct {
		role, secret string
		status       int
		body         string
	}{
		{"reader", "database", http.StatusOK, "correct horse\n"},
		{"reader", "payroll", http.StatusForbidden, "is not authorized to perform: vault:GetSecretValue on resource: arn:aws:vault:us-east-1:123456789012:secret/payroll " +
			"because no identity-based policy allows the vault:GetSecretValue action"},
		{"admin", "database", http.StatusForbidden, "is not authorized to perform"},
	} {
		status, body, err := secret(t.Context(), of(tt.role), server.URL, tt.secret)
		if err != nil || status != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s reads %s: %d %q, %v, want %d %q", tt.role, tt.secret, status, body, err, tt.status, tt.body)
		}
	}
	resp, err := http.Get(server.URL + "/secret/database")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "MissingAuthenticationToken") {
		t.Errorf("unsigned: %s %q, %v", resp.Status, body, err)
	}
}

// TestRun runs the example as it is, with a real task.
func TestRun(t *testing.T) {
	lane.Root(t)
	var out bytes.Buffer
	for range 2 { // the second finds what the first has left
		out.Reset()
		if err := run(t.Context(), t.TempDir(), &out); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
	}
	session := "arn:aws:sts::" + account + ":assumed-role/reader/"
	for _, want := range []string{
		"AccessDeniedException: User: " + operator + " is not authorized to perform: iam:PassRole on resource: arn:aws:iam::" + account +
			":role/admin because no identity-based policy allows the iam:PassRole action",
		"database: 200 correct horse",
		"payroll: 403 User: " + session,
		"Allowed          " + operator + " ecs:RunTask arn:aws:ecs:us-east-1:123456789012:task-definition/roles:1",
		"ImplicitlyDenied " + session,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output has no %q:\n%s", want, &out)
		}
	}
}
