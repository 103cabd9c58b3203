package sts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRestart: what was issued, and what was revoked, is so after the program has started again.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "sts.json")
	clock := newClock()
	start := func() *Service {
		s := open(t, NewFileStore(path), clock)
		must(s.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust}))(t)
		must(s.CreateUser(UserInput{Name: "alice"}))(t)
		return s
	}
	s := start()
	kept := must(s.TaskCredentials("arn:aws:iam::123456789012:role/task", taskARN, 0))(t)
	revoked := must(s.TaskCredentials("arn:aws:iam::123456789012:role/task", strings.Replace(taskARN, "task/default/0", "task/default/1", 1), 0))(t)
	key := must(s.CreateAccessKey("alice"))(t)
	wantError(t, s.RevokeKey(revoked.AccessKeyID), "")
	for range 2 {
		s = start()
		id := must(s.Authenticate(kept.AccessKeyID, kept.SessionToken.Reveal()))(t)
		if id.SecretAccessKey().Reveal() != kept.SecretAccessKey.Reveal() {
			t.Error("another secret")
		}
		if _, err := s.Authenticate(revoked.AccessKeyID, revoked.SessionToken.Reveal()); !errors.Is(err, ErrRevoked) {
			t.Errorf("got %v", err)
		}
		user := must(s.Authenticate(key.AccessKeyID, ""))(t)
		if user.SecretAccessKey().Reveal() != key.SecretAccessKey.Reveal() {
			t.Error("another secret of the user")
		}
	}

	// A service without the role does not know its sessions.
	bare := open(t, NewFileStore(path), clock)
	if _, err := bare.Authenticate(kept.AccessKeyID, kept.SessionToken.Reveal()); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("got %v", err)
	}

	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if got := must(os.Stat(name))(t).Mode(); got != want {
			t.Errorf("%s has mode %v, want %v", name, got, want)
		}
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s.new is there: %v", path, err)
	}
	// No secret stands in the file but the one that it is for.
	data := must(os.ReadFile(path))(t)
	for _, c := range []Credentials{kept, key} {
		if bytes.Contains(data, []byte(c.SecretAccessKey.Reveal())) {
			t.Error("the file holds a secret access key")
		}
	}
}

func TestFileStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sts.json")
	f := NewFileStore(path)
	if data, err := f.Load(); data != nil || err != nil {
		t.Errorf("empty: %q, %v", data, err)
	}
	// What a crash left half-written, readable by all.
	if err := os.WriteFile(path+".new", []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := f.Save([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := must(f.Load())(t); string(got) != text {
			t.Errorf("got %q, want %q", got, text)
		}
		if got := must(os.Stat(path))(t).Mode(); got != 0o600 {
			t.Errorf("mode %v", got)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("elsewhere", path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

// crashVar is set in a child process that makes access keys until it is killed. Its value is the file.
const crashVar = "FARDEL_TEST_STS_CRASH"

// TestKilledAtAnyMoment: whatever a program that was killed had been told is stored, is stored.
func TestKilledAtAnyMoment(t *testing.T) {
	if path := os.Getenv(crashVar); path != "" {
		makeKeys(path)
		return
	}
	path := filepath.Join(t.TempDir(), "sts.json")
	var told []string
	for round := range 8 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAtAnyMoment$")
		cmd.Env = append(os.Environ(), crashVar+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 2 + 3*round { // in the middle of something else each time
			if !lines.Scan() {
				t.Fatalf("the child ended: %v", cmd.Wait())
			}
			told = append(told, lines.Text())
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it was told before it died
			told = append(told, lines.Text())
		}
		_ = cmd.Wait()
		s := open(t, NewFileStore(path), newClock())
		for _, id := range told {
			if _, ok := s.state.AccessKeys[id]; !ok {
				t.Fatalf("round %d: key %s is lost", round, id)
			}
		}
	}
}

// makeKeys makes a user with a key, and another, and another, and prints each key once it is stored.
func makeKeys(path string) {
	s, err := Open(Config{Store: NewFileStore(path)})
	for i := 0; err == nil; i++ {
		var key Credentials
		name := fmt.Sprintf("user-%d-%d", os.Getpid(), i)
		if _, err = s.CreateUser(UserInput{Name: name}); err == nil {
			key, err = s.CreateAccessKey(name)
		}
		if err == nil {
			fmt.Println(key.AccessKeyID)
		}
	}
	fmt.Println(err)
}

func TestBrokenStore(t *testing.T) {
	root := strings.Repeat("A", 43) + "="
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":      {`{"key":"` + root, "not what this package writes"},
		"later layout": {`{"version":2,"key":"` + root + `"}`, "layout 2"},
		"short key":    {`{"version":1,"key":"AAAA"}`, "3 bytes"},
		"right":        {`{"version":1,"key":"` + root + `"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			store := &MemoryStore{}
			if err := store.Save([]byte(c.text)); err != nil {
				t.Fatal(err)
			}
			_, err := Open(Config{Store: store})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.Is(err, ErrStore) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "AAAA")):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestFailingStore: what could not be kept has not happened.
func TestFailingStore(t *testing.T) {
	store := &MemoryStore{}
	s := open(t, store, newClock())
	must(s.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust}))(t)
	must(s.CreateUser(UserInput{Name: "alice"}))(t)
	c := must(s.TaskCredentials("arn:aws:iam::123456789012:role/task", taskARN, 0))(t)
	store.lost = errors.New("disk full")
	for name, f := range map[string]func() error{
		"key":    func() error { _, err := s.CreateAccessKey("alice"); return err },
		"revoke": func() error { return s.RevokeKey(c.AccessKeyID) },
		"delete": func() error { return s.DeleteRole("task") },
		"open":   func() error { _, err := Open(Config{Store: &MemoryStore{lost: store.lost}}); return err },
	} {
		if err := f(); !errors.Is(err, ErrStore) || !errors.Is(err, store.lost) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	must(s.Authenticate(c.AccessKeyID, c.SessionToken.Reveal()))(t)
	if keys := must(s.AccessKeys("alice"))(t); len(keys) != 0 {
		t.Errorf("got keys %v", keys)
	}
}
