//go:build linux

package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/fardel-io/fardel/internal/lane"
	"github.com/fardel-io/fardel/internal/leaktest"
	"github.com/fardel-io/fardel/policy/sts"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
)

// sdk is a program in a container that uses the AWS SDK for Go and configures nothing: the SDK's default chain finds the
// credentials, keeps them and gets new ones.
type sdk struct {
	once sync.Once
	cfg  aws.Config
	err  error
}

// credentials returns what the program would sign its next request with, as JSON.
func (s *sdk) credentials(ctx context.Context) (string, error) {
	s.once.Do(func() { s.cfg, s.err = config.LoadDefaultConfig(ctx) })
	if s.err != nil {
		return "", s.err
	}
	c, err := s.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(found{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, c.Expires})
	return string(data), err
}

// found are credentials as a program in a task found them. The AWS CLI calls the members so.
type found struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}

// is returns whose the credentials are, and fails the test if they are not good.
func (c found) is(t *testing.T, roles *sts.Service) *sts.Identity {
	t.Helper()
	id, err := roles.Authenticate(c.AccessKeyID, c.SessionToken)
	if err != nil {
		t.Fatalf("key %s until %s: %v", c.AccessKeyID, c.Expiration, err)
	}
	if c.SecretAccessKey != id.SecretAccessKey().Reveal() {
		t.Errorf("key %s has another secret", c.AccessKeyID)
	}
	return id
}

// shifted is a clock that the test moves.
type shifted struct {
	mu sync.Mutex // guards by
	by time.Duration
}

func (s *shifted) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.by)
}

func (s *shifted) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by += d
}

const (
	tasksTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	usersTrust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}`
)

// openRoles returns a service with the roles app and execution, which tasks can have, and people, which they cannot.
func openRoles(t *testing.T, clock *shifted) *sts.Service {
	t.Helper()
	roles, err := sts.Open(sts.Config{Store: sts.NewFileStore(filepath.Join(t.TempDir(), "sts.json")), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	for name, trust := range map[string]string{"app": tasksTrust, "execution": tasksTrust, "people": usersTrust} {
		if _, err := roles.CreateRole(sts.RoleInput{Name: name, TrustPolicy: trust}); err != nil {
			t.Fatal(err)
		}
	}
	return roles
}

const credentialsURL = "http://169.254.170.2${AWS_CONTAINER_CREDENTIALS_RELATIVE_URI}"

// TestTaskRole: a program in a task has its role's credentials, fresh ones before those end, and nobody else's.
func TestTaskRole(t *testing.T) {
	clock := &shifted{}
	roles := openRoles(t, clock)
	c := open(t, func(cfg *local.Config) { cfg.Roles = roles })
	def := define([]string{"app", "relay " + relayPort})
	def.TaskRoleARN, def.ExecutionRoleARN = "app", "arn:aws:iam::000000000000:role/execution"
	// Issued four minutes before they end, if the test's clock is right: the SDK wants new ones from five minutes on.
	clock.add(-sts.TaskDuration + 4*time.Minute)
	one := startRelay(t, c, def, scheduler.RunOptions{})
	two := startRelay(t, c, def, scheduler.RunOptions{})

	sdkOf := func(run *scheduler.Run) (got found) {
		t.Helper()
		if err := json.Unmarshal([]byte(inside(t, run, "SDK", "", "").Body), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := sdkOf(one)
	for run, got := range map[*scheduler.Run]found{one: first, two: sdkOf(two)} {
		id := got.is(t, roles)
		if want := "arn:aws:sts::000000000000:assumed-role/app/" + run.ID(); id.Principal.Name != want {
			t.Errorf("task %s is %s", run.ID(), id.Principal.Name)
		}
		if got := inside(t, run, "GET", credentialsURL, ""); got.Code != 200 || strings.Contains(got.Body, "execution") {
			t.Errorf("task %s: %d", run.ID(), got.Code)
		}
	}

	// The same program, still running, some time later: before the first credentials have ended it has others.
	clock.add(sts.TaskDuration - 20*time.Minute)
	second := sdkOf(one)
	if second.AccessKeyID == first.AccessKeyID || !second.Expiration.After(first.Expiration.Add(5*time.Hour)) {
		t.Errorf("key %s until %s became %s until %s", first.AccessKeyID, first.Expiration, second.AccessKeyID, second.Expiration)
	}
	first.is(t, roles)
	second.is(t, roles)
	if again := sdkOf(one); again.AccessKeyID != second.AccessKeyID {
		t.Error("the program asks for new credentials each time")
	}

	// Another task's, the execution role's, or in another's name.
	other := engine.CredentialsID(two.ID())
	for _, url := range []string{
		"http://169.254.170.2/v2/credentials/" + other, "http://169.254.170.2/v1/credentials?id=" + other,
		"http://169.254.170.2/v2/credentials/execution", "http://169.254.170.2/v2/credentials/" + one.ID(),
	} {
		if got := inside(t, one, "GET", url, ""); got.Code != 400 || !strings.Contains(got.Body, `"code":"InvalidIdInRequest"`) {
			t.Errorf("%s: %d %s", url, got.Code, got.Body)
		}
	}
	if env := inside(t, one, "ENV", "", "").Body; strings.Contains(env, "execution") {
		t.Errorf("the environment tells of the execution role: %s", env)
	}

	// Revoked for one of them, and it has others at once.
	if err := roles.RevokeSession("app", one.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := roles.Authenticate(second.AccessKeyID, second.SessionToken); !errors.Is(err, sts.ErrRevoked) {
		t.Errorf("got %v", err)
	}
	var third found
	if err := json.Unmarshal([]byte(inside(t, one, "GET", credentialsURL, "").Body), &third); err != nil || third.AccessKeyID == second.AccessKeyID {
		t.Errorf("got key %s, %v", third.AccessKeyID, err)
	}
}

// TestTaskRoleAfterRestart: a task that outlives the host program keeps the credentials that it has, and gets others from
// the next host program.
func TestTaskRoleAfterRestart(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "c")
	before := leaktest.Take(t, dir, local.Owner(dir))
	hostProgram := func() (*local.Cluster, *sts.Service) {
		t.Helper()
		roles, err := sts.Open(sts.Config{Store: sts.NewFileStore(filepath.Join(dir, "sts.json"))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := roles.CreateRole(sts.RoleInput{Name: "app", TrustPolicy: tasksTrust}); err != nil {
			t.Fatal(err)
		}
		c, err := local.Open(t.Context(), local.Config{Dir: dir, Roles: roles})
		if err != nil {
			t.Fatal(err)
		}
		return c, roles
	}
	credentials := func(a answered) (got found) {
		t.Helper()
		var served struct{ AccessKeyID, SecretAccessKey, Token string }
		if err := json.Unmarshal([]byte(a.Body), &served); err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
		return found{AccessKeyID: served.AccessKeyID, SecretAccessKey: served.SecretAccessKey, SessionToken: served.Token}
	}
	c, roles := hostProgram()
	addGuest(t, c)
	def := define([]string{"app", "relay " + relayPort})
	def.TaskRoleARN = "app"
	run := startRelay(t, c, def, scheduler.RunOptions{})
	first := credentials(inside(t, run, "GET", credentialsURL, ""))
	first.is(t, roles)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c, roles = hostProgram()
	adopted, err := c.Lookup(t.Context(), run.ARN())
	if err != nil {
		t.Fatal(err)
	}
	if id := first.is(t, roles); id.SessionName != adopted.ID() {
		t.Errorf("got session %s, want %s", id.SessionName, adopted.ID())
	}
	deadline := time.Now().Add(time.Minute)
	a := ask(t, adopted, "GET", credentialsURL, "")
	for a.Code != 200 && time.Now().Before(deadline) { // the endpoint comes back with the task, after Open
		<-time.After(50 * time.Millisecond)
		a = ask(t, adopted, "GET", credentialsURL, "")
	}
	second := credentials(a)
	if id := second.is(t, roles); id.SessionName != adopted.ID() {
		t.Errorf("got session %s, want %s", id.SessionName, adopted.ID())
	}
	if err := c.Purge(t.Context()); err != nil {
		t.Error(err)
	}
	before.Check()
}

// TestTaskRoleRefused: what could never get credentials is not started.
func TestTaskRoleRefused(t *testing.T) {
	clock := &shifted{}
	roles := openRoles(t, clock)
	c := open(t, func(cfg *local.Config) { cfg.Roles = roles })
	for _, role := range []string{"none", "people", "arn:aws:iam::999999999999:role/app"} {
		def := define([]string{"app", "exit 0"})
		def.TaskRoleARN = role
		_, err := c.Run(t.Context(), def, scheduler.RunOptions{})
		var refused *sts.TaskRoleError
		if !errors.Is(err, scheduler.ErrRole) || !errors.As(err, &refused) {
			t.Errorf("%s: got %v", role, err)
			continue
		}
		want := "ECS was unable to assume the role '" + (task.Scope{Region: "us-east-1", Account: "000000000000"}).Role(role) + "' that was provided for this task."
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", role, err, want)
		}
	}
	// A role that went away under a running task: an error, and nothing of another role.
	def := define([]string{"app", "relay " + relayPort})
	def.TaskRoleARN = "app"
	run := startRelay(t, c, def, scheduler.RunOptions{})
	if err := roles.DeleteRole("app"); err != nil {
		t.Fatal(err)
	}
	if got := inside(t, run, "GET", credentialsURL, ""); got.Code != 503 || !strings.Contains(got.Body, `"code":"CredentialsUninitialized"`) {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
}

// TestTaskRoleWithAWSCLI: the AWS CLI of the distribution in a container finds the role's credentials, too.
func TestTaskRoleWithAWSCLI(t *testing.T) {
	needRoot(t)
	const program = "/usr/bin/aws"
	lane.Command(t, program)
	clock := &shifted{}
	roles := openRoles(t, clock)
	c := open(t, func(cfg *local.Config) { cfg.Roles = roles })
	def := define([]string{"app", program, "configure", "export-credentials", "--format", "process"})
	def.CPU, def.Memory = "1024", "2048"
	def.RequiresCompatibilities = []task.LaunchType{task.LaunchTypeEC2}
	def.TaskRoleARN = "app"
	app := &def.ContainerDefinitions[0]
	app.EntryPoint = []string{"/usr/bin/python3"}
	app.Environment = []task.KeyValuePair{{Name: "HOME", Value: "/tmp"}, {Name: "PYTHONDONTWRITEBYTECODE", Value: "1"}}
	// The machine's own programs and libraries, for its interpreter and its CLI.
	for name, path := range map[string]string{"usr": "/usr", "lib": "/lib", "lib64": "/lib64"} {
		source, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		def.Volumes = append(def.Volumes, task.Volume{Name: name, Host: &task.HostVolume{SourcePath: source}})
		app.MountPoints = append(app.MountPoints, task.MountPoint{SourceVolume: name, ContainerPath: path, ReadOnly: true})
	}
	run := start(t, c, def, scheduler.RunOptions{LaunchType: task.LaunchTypeEC2})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	stopped, err := run.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got found
	if out := output(t, run, "app"); json.Unmarshal([]byte(out), &got) != nil {
		t.Fatalf("%s: %s", stopped.StoppedReason, out)
	}
	id := got.is(t, roles)
	if want := "arn:aws:sts::000000000000:assumed-role/app/" + run.ID(); id.Principal.Name != want {
		t.Errorf("got %s, want %s", id.Principal.Name, want)
	}
}
