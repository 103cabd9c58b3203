package sts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestNothingSecretShows formats everything that holds a secret in every way there is.
func TestNothingSecretShows(t *testing.T) {
	store := &MemoryStore{}
	s := open(t, store, newClock())
	must(s.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust}))(t)
	must(s.CreateUser(UserInput{Name: "alice"}))(t)
	c := must(s.TaskCredentials("arn:aws:iam::123456789012:role/task", taskARN, 0))(t)
	key := must(s.CreateAccessKey("alice"))(t)
	id := must(s.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t)
	p := must(NewTaskProvider(s, 0))(t)
	given := must(p.Retrieve(t.Context(), c.RoleARN, taskARN))(t)
	provider := must(p.provider(taskKey{taskARN, c.RoleARN}))(t)
	_, failed := s.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()+"x")
	out := &AssumeRoleOutput{Credentials: c}

	rootJSON := must(json.Marshal(s.keys.root))(t)
	secrets := map[string]string{
		"root key":   string(s.keys.root),
		"root JSON":  strings.Trim(string(rootJSON), `"`),
		"root %v":    fmt.Sprint(s.keys.root[:8])[1:20],
		"root %x":    fmt.Sprintf("%x", s.keys.root[:8]),
		"secret":     c.SecretAccessKey.Reveal(),
		"token":      c.SessionToken.Reveal()[:40],
		"key":        key.SecretAccessKey.Reveal(),
		"task":       given.SecretAccessKey.Reveal(),
		"task token": given.SessionToken.Reveal()[:40],
	}
	values := map[string]any{
		"Secret": c.SecretAccessKey, "*Secret": &c.SecretAccessKey, "Credentials": c, "*Credentials": &c, "key": key,
		"[]Credentials": []Credentials{c, key}, "map": map[string]Credentials{"a": c}, "nested": struct{ c Credentials }{c},
		"AssumeRoleOutput": out, "AssumeRoleOutput value": *out, "*Identity": id, "Identity": *id, "Service": s,
		"Config": s.cfg, "store": store, "Provider": provider, "TaskProvider": p, "keyring": s.keys, "state": s.state, "error": failed,
		"holder of all": struct {
			S *Service
			P *TaskProvider
			I *Identity
			c Credentials
		}{s, p, id, c},
	}
	for name, v := range values {
		for what, text := range formats(v) {
			for secret, hidden := range secrets {
				if strings.Contains(text, hidden) {
					t.Errorf("%s of %s shows the %s: %s", what, name, secret, text)
				}
			}
		}
	}
	// The checks above can fail.
	if got := fmt.Sprintf("%s %v", c.SecretAccessKey.Reveal(), s.keys.root); !strings.Contains(got, secrets["secret"]) || !strings.Contains(got, secrets["root %v"]) {
		t.Error("what is looked for would not be found")
	}
	if got := (Secret{}).Reveal(); got != "" || !(Secret{}).IsZero() || c.SecretAccessKey.IsZero() {
		t.Errorf("an empty secret is %q", got)
	}
}

func formats(v any) map[string]string {
	texts := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb, v)
	}
	data, err := json.Marshal(v)
	texts["JSON"] = fmt.Sprint(string(data), err)
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v, slog.Group("g", "v", v))
	texts["slog"] = b.String()
	texts["error"] = fmt.Errorf("wrapped: %v", v).Error()
	return texts
}
