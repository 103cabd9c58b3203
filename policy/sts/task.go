package sts

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// TaskService is the service that assumes the roles of tasks, which their trust policies must allow.
const TaskService = "ecs-tasks.amazonaws.com"

// TaskDuration is how long the credentials of tasks are good for, as in ECS. The role's maximum does not bind services.
const TaskDuration = 6 * time.Hour

// TaskRoleError says that the role of a task cannot be assumed, in the words of ECS.
type TaskRoleError struct {
	RoleARN string
	Err     error // why
}

// Error is ECS's text. The reason is behind it, for errors.As: it says whether a role exists, which is not everybody's to
// know.
func (e *TaskRoleError) Error() string {
	return fmt.Sprintf("ECS was unable to assume the role '%s' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.", e.RoleARN)
}

// Unwrap returns the reason.
func (e *TaskRoleError) Unwrap() error { return e.Err }

// TaskCredentials issues credentials of a role to a task as ECS does: the caller is the service
// ecs-tasks.amazonaws.com, the session has the task's ID as its name, and the trust policy can tell the task by
// aws:SourceArn and aws:SourceAccount. d is how long they are good for, 15 minutes to 12 hours; 0 is [TaskDuration].
// Its error is a *[TaskRoleError] when the role does not exist or does not trust the service.
func (s *Service) TaskCredentials(roleARN, taskARN string, d time.Duration) (Credentials, error) {
	caller, in, err := taskRequest(roleARN, taskARN, d)
	if err != nil {
		return Credentials{}, err
	}
	out, err := s.AssumeRole(caller, in)
	if err != nil {
		return Credentials{}, taskError(roleARN, err)
	}
	return out.Credentials, nil
}

// CheckTaskRole returns the error that [Service.TaskCredentials] would return, and issues nothing.
func (s *Service) CheckTaskRole(roleARN, taskARN string) error {
	_, err := s.TaskIdentity(roleARN, taskARN)
	return err
}

// TaskCaller is [Service.TaskIdentity] as verbs are authorized with it.
func (s *Service) TaskCaller(roleARN, taskARN string) (policy.Caller, error) {
	id, err := s.TaskIdentity(roleARN, taskARN)
	if err != nil {
		return policy.Caller{}, err
	}
	return id.Caller(), nil
}

// TaskIdentity is the session that a task has of a role, without a key, for what the program does in its name: with the
// execution role, which the task itself never sees, it asks whether a secret may be read for the task. The name of the
// session is the task's ID. Its error is that of [Service.TaskCredentials].
func (s *Service) TaskIdentity(roleARN, taskARN string) (*Identity, error) {
	caller, in, err := taskRequest(roleARN, taskARN, 0)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, taskError(roleARN, err)
	}
	if err := s.trusts(caller, &in, nil, nil); err != nil {
		return nil, taskError(roleARN, err)
	}
	s.mu.RLock()
	r := s.roleByARN(roleARN)
	s.mu.RUnlock()
	if r == nil { // another service's, in a directory that both use
		return nil, taskError(roleARN, fail(codeNoSuchEntity, "The role with name %s cannot be found.", roleARN))
	}
	return s.Principal(s.stsARN("assumed-role/" + r.name + "/" + in.RoleSessionName))
}

func taskRequest(roleARN, taskARN string, d time.Duration) (*Identity, AssumeRoleInput, error) {
	caller, err := ServicePrincipal(TaskService)
	return caller, AssumeRoleInput{
		RoleARN: roleARN, RoleSessionName: taskARN[strings.LastIndexByte(taskARN, '/')+1:], Duration: cmp.Or(d, TaskDuration),
		Conditions: map[string][]string{"aws:SourceArn": {taskARN}, "aws:SourceAccount": {accountOf(taskARN)}},
	}, err
}

// taskError words the errors that are about the role.
func taskError(roleARN string, err error) error {
	if errors.Is(err, ErrAccessDenied) || errors.Is(err, ErrNoSuchEntity) || errors.Is(err, ErrValidation) {
		return &TaskRoleError{RoleARN: roleARN, Err: err}
	}
	return err
}

// counts reports whether credentials are neither expired nor revoked, and their role exists.
func (s *Service) counts(c Credentials) bool {
	_, err := s.Authenticate(c.AccessKeyID, c.SessionToken.Reveal())
	return err == nil
}
