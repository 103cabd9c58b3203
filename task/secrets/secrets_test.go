package secrets_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/secrets"
)

const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app/db-AbCdEf"

func TestParseReference(t *testing.T) {
	ssm := "arn:aws:ssm:us-east-1:123456789012:parameter"
	tests := map[string]secrets.Reference{
		arn:                    {Service: secrets.SecretsManager, ARN: arn, Name: "app/db-AbCdEf"},
		arn + ":key::":         {Service: secrets.SecretsManager, ARN: arn, Name: "app/db-AbCdEf", JSONKey: "key"},
		arn + ":::":            {Service: secrets.SecretsManager, ARN: arn, Name: "app/db-AbCdEf"},
		arn + "::AWSPREVIOUS:": {Service: secrets.SecretsManager, ARN: arn, Name: "app/db-AbCdEf", VersionStage: "AWSPREVIOUS"},
		arn + ":k:s:9d4cb84b":  {Service: secrets.SecretsManager, ARN: arn, Name: "app/db-AbCdEf", JSONKey: "k", VersionStage: "s", VersionID: "9d4cb84b"},
		ssm + "/plain":         {Service: secrets.ParameterStore, ARN: ssm + "/plain", Name: "plain"},
		ssm + "/a/b":           {Service: secrets.ParameterStore, ARN: ssm + "/a/b", Name: "/a/b"},
		"plain":                {Service: secrets.ParameterStore, Name: "plain"},
		"/a/b":                 {Service: secrets.ParameterStore, Name: "/a/b"},
	}
	for from, want := range tests {
		got, err := secrets.ParseReference(from)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", from, err, diff)
		}
	}
	for _, from := range []string{"", "arn:", "arn:aws:s3:::b/k", arn + ":key", arn + ":a:b:c:d", "arn:aws:ssm:us-east-1:1:document/x"} {
		if got, err := secrets.ParseReference(from); !errors.Is(err, secrets.ErrInvalid) {
			t.Errorf("%q: %+v, %v", from, got, err)
		}
	}
	if got := (secrets.Reference{Service: secrets.ParameterStore, Name: "/a/b"}).Resource("aws", "eu-west-1", "1"); got != "arn:aws:ssm:eu-west-1:1:parameter/a/b" {
		t.Error(got)
	}
	if r, err := secrets.ParseCredentialsParameter("registry"); err != nil || r.Service != secrets.SecretsManager || r.Action() != "secretsmanager:GetSecretValue" {
		t.Errorf("%+v, %v", r, err)
	}
}

// write makes files below a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"secretsmanager/app/db": "current\n", "secretsmanager/app/db.versions/AWSPREVIOUS": "previous",
		"secretsmanager/exact-GhIjKl": "exact", "secretsmanager/exact": "not this",
		"ssm/a/b": "parameter", "ssm/a/b.versions/3": "third", "ssm/plain": "two\nlines\n",
	})
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "ssm/link")); err != nil {
		t.Fatal(err)
	}
	d := secrets.Directory{Dir: dir}
	for from, want := range map[string]string{
		arn: "current", arn + "::AWSPREVIOUS:": "previous", arn + "::AWSCURRENT:": "current",
		"arn:aws:secretsmanager:r:1:secret:exact-GhIjKl": "exact",
		"/a/b": "parameter", "/a/b:3": "third", "plain": "two\nlines",
	} {
		if got, err := value(t.Context(), d, from); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", from, got, err, want)
		}
	}
	for _, from := range []string{"none", arn + "::OTHER:", "/a/b:4"} {
		if got, err := value(t.Context(), d, from); !errors.Is(err, secrets.ErrNotFound) {
			t.Errorf("%s: %q, %v", from, got, err)
		}
	}
	for _, from := range []string{"link", "../secretsmanager/app/db", "a"} {
		if got, err := value(t.Context(), d, from); err == nil {
			t.Errorf("%s: %q", from, got)
		}
	}
}

func value(ctx context.Context, p secrets.Provider, from string) (string, error) {
	r, err := secrets.ParseReference(from)
	if err != nil {
		return "", err
	}
	return secrets.Value(ctx, p, r)
}

// one is a provider with one secret.
type one string

func (o one) Secret(context.Context, secrets.Reference) (string, error) { return string(o), nil }

func TestJSONKey(t *testing.T) {
	const secret = `{"user": "me", "port": 5432, "deep": {"a": [1]}, "quoted": "\"x\""}`
	for key, want := range map[string]string{"user": "me", "port": "5432", "deep": `{"a": [1]}`, "quoted": `"x"`} {
		if got, err := value(t.Context(), one(secret), arn+":"+key+"::"); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
	if _, err := value(t.Context(), one(secret), arn+":none::"); err == nil || !strings.Contains(err.Error(), "did not contain json key none") {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := value(t.Context(), one("hunter2"), arn+":key::"); err == nil || strings.Contains(err.Error(), "h") && strings.Contains(err.Error(), "hunter") {
		t.Errorf("no JSON: %v", err)
	}
	if user, password, err := secrets.Login(t.Context(), one(`{"username": "u", "password": "p"}`), secrets.Reference{}); user != "u" || password != "p" || err != nil {
		t.Errorf("Login: %q, %q, %v", user, password, err)
	}
	if _, _, err := secrets.Login(t.Context(), one("hunter2"), secrets.Reference{}); err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("Login without JSON: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	have := map[string]string{"S_APP_DB": "db", "S_A_B": "b"}
	e := secrets.Environment{Prefix: "S_", Lookup: func(name string) (string, bool) { v, ok := have[name]; return v, ok }}
	for from, want := range map[string]string{arn: "db", "/a/b": "b", "a.b": "b"} {
		if got, err := value(t.Context(), e, from); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", from, got, err, want)
		}
	}
	for _, from := range []string{"none", arn + "::AWSPREVIOUS:"} {
		if _, err := value(t.Context(), e, from); !errors.Is(err, secrets.ErrNotFound) {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestParseEnvironmentFile(t *testing.T) {
	kv := func(pairs ...string) (list []task.KeyValuePair) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, task.KeyValuePair{Name: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	for text, want := range map[string][]task.KeyValuePair{
		"":                           nil,
		"A=1\nB=2":                   kv("A", "1", "B", "2"),
		"A=1\r\nB=2\r\n":             kv("A", "1", "B", "2"),
		"#A=1\n #B=2\n":              kv(" #B", "2"),
		"A=\"q\" 'r' \n":             kv("A", "\"q\" 'r' "),
		"A=b=c\n":                    kv("A", "b=c"),
		"=x\nnothing\n\nA=\n":        kv("A", ""),
		"A=$HOME\\n\n":               kv("A", `$HOME\n`),
		"A=1\nB=2\nA=3\n":            kv("A", "3", "B", "2"),
		" A = 1 \nexport B=2\nü=ö\n": kv(" A ", " 1 ", "export B", "2", "ü", "ö"),
	} {
		got, err := secrets.ParseEnvironmentFile([]byte(text))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"A=1\nB=\xff\n", "A=\x00\n", "A=" + strings.Repeat("x", 70<<10)} {
		if got, err := secrets.ParseEnvironmentFile([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%.20q: %v, %v", text, got, err)
		}
	}
	merged := secrets.Merge([]string{"SET"}, kv("SET", "no", "A", "first"), kv("A", "second", "B", "b"))
	if diff := cmp.Diff(kv("A", "first", "B", "b"), merged); diff != "" {
		t.Errorf("Merge (-want +got):\n%s", diff)
	}
}

func FuzzParseEnvironmentFile(f *testing.F) {
	f.Add([]byte("A=1\n#B=2\n=\nC"))
	f.Fuzz(func(t *testing.T, data []byte) {
		vars, err := secrets.ParseEnvironmentFile(data)
		seen := map[string]bool{}
		for _, kv := range vars {
			if err != nil || kv.Name == "" || strings.ContainsAny(kv.Name, "=\x00\n") || seen[kv.Name] {
				t.Fatalf("%q: %q, %v", data, vars, err)
			}
			seen[kv.Name] = true
		}
	})
}

func TestBuckets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"bucket/a/b.env": "A=1\n"})
	b := secrets.Buckets{Dir: dir}
	bucket, key, err := secrets.SplitObjectARN("arn:aws:s3:::bucket/a/b.env")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Object(t.Context(), bucket, key); err != nil || string(got) != "A=1\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := b.Object(t.Context(), bucket, "none.env"); !errors.Is(err, secrets.ErrNotFound) {
		t.Error(err)
	}
	if _, err := b.Object(t.Context(), bucket, "../../x.env"); err == nil {
		t.Error("read outside")
	}
	for _, bad := range []string{"", "arn:aws:s3:::bucket", "arn:aws:sns:::b/k"} {
		if _, _, err := secrets.SplitObjectARN(bad); !errors.Is(err, secrets.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
