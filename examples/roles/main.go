// Command roles has a program with something to protect, a vault of two secrets, and a task that may read one of them. The
// task's role says so, in a policy of the same language that says what operators may do with tasks.
//
//	sudo roles
//
// The task finds its role's credentials as it would on AWS, signs its requests with the AWS SDK, and the program verifies
// the signature and decides. Every decision is printed.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/fardel-io/fardel/policy"
	"github.com/fardel-io/fardel/policy/audit"
	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/policy/sts"
	"github.com/fardel-io/fardel/runtime/image"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

const (
	account  = "123456789012"
	region   = "us-east-1"
	operator = "arn:aws:iam::" + account + ":user/operator"
	port     = 8200 // of the vault, at 169.254.170.2
)

//go:embed task.json
var definition string

// tasksTrust lets tasks have a role.
const tasksTrust = `{"Version": "2012-10-17", "Statement": {
	"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}}`

// readDatabase is what the task may do. The action and the ARN are this program's own.
const readDatabase = `{"Version": "2012-10-17", "Statement": {
	"Effect": "Allow", "Action": "vault:GetSecretValue", "Resource": "arn:aws:vault:*:*:secret/database"}}`

// runTasks is what the operator may do: run tasks, with the role reader and no other, and look after them.
const runTasks = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:DescribeTasks", "logs:GetLogEvents"], "Resource": "*"},
	{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/reader",
		"Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}}]}`

func main() {
	if local.Reexec() { // the embedded runtime starts this program again as its shim
		return
	}
	dir := flag.String("dir", "/var/lib/fardel-roles", "directory of the cluster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if flag.NArg() > 0 {
		err = inContainer(ctx, flag.Args()) // the command of task.json
	} else {
		err = run(ctx, *dir, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "roles:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, out io.Writer) (err error) {
	out = &shared{w: out} // the vault and the operator both print
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	roles, err := permissions(sts.NewFileStore(filepath.Join(dir, "sts.json")))
	if err != nil {
		return err
	}
	auth, err := authz.New(authz.Config{Directory: roles.Directory(), Audit: printer{log.New(out, "", 0)}, Region: region})
	if err != nil {
		return err
	}
	vault, err := newVault(roles, auth)
	if err != nil {
		return err
	}
	cluster, err := local.Open(ctx, local.Config{Dir: filepath.Join(dir, "cluster"), Account: account, Roles: roles, Authorizer: auth})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	self, err := image.Self(image.Config{Ref: "roles:latest"})
	if err != nil {
		return err
	}
	if _, err := cluster.AddImage(ctx, self); err != nil {
		return err
	}
	listener, err := cluster.Listen(ctx, "", port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: vault}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		_ = server.Close()
		<-served
	}()
	return operate(ctx, cluster.As(operator), out)
}

// permissions makes the role of tasks and the user who operates.
func permissions(store sts.Store) (*sts.Service, error) {
	roles, err := sts.Open(sts.Config{Account: account, Store: store})
	if err != nil {
		return nil, err
	}
	for name, inline := range map[string]map[string]string{"reader": {"read-database": readDatabase}, "admin": nil} {
		if _, err := roles.CreateRole(sts.RoleInput{Name: name, TrustPolicy: tasksTrust, Inline: inline}); err != nil {
			return nil, err
		}
	}
	_, err = roles.CreateUser(sts.UserInput{Name: "operator", Inline: map[string]string{"run-tasks": runTasks}})
	return roles, err
}

// operate is what the operator does: tries to run a task with a role that is not theirs to give, and runs one.
func operate(ctx context.Context, cluster *scheduler.Cluster, out io.Writer) error {
	def, err := task.DecodeDefinition(strings.NewReader(definition))
	if err != nil {
		return err
	}
	_, err = cluster.Run(ctx, def, scheduler.RunOptions{Overrides: &task.TaskOverride{TaskRoleARN: "arn:aws:iam::" + account + ":role/admin"}})
	if !errors.Is(err, scheduler.ErrAccessDenied) {
		return fmt.Errorf("a task with the role admin: %w, want a denial", err)
	}
	fmt.Fprintln(out, err)
	run, err := cluster.Run(ctx, def, scheduler.RunOptions{})
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, run.Logs(ctx, "app")); err != nil {
		return err
	}
	stopped, err := run.Wait(ctx)
	if err != nil {
		return err
	}
	if code := stopped.Container("app").ExitCode; code == nil || *code != 0 {
		return fmt.Errorf("the task stopped: %s %s", stopped.StopCode, stopped.StoppedReason)
	}
	return nil
}

// shared is a writer for several to use.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// printer is an audit trail for people.
type printer struct{ log *log.Logger }

// Record implements [audit.Sink].
func (p printer) Record(r audit.Record) {
	resource := "*"
	if len(r.Resources) > 0 {
		resource = r.Resources[0].ARN
	}
	who, err := policy.ParsePrincipal(r.UserIdentity.ARN)
	if err != nil {
		return // nobody else asks
	}
	p.log.Printf("%-16s %s %s %s", r.AdditionalEventData.Outcome, who.String(), r.AdditionalEventData.Action, resource)
}
