package secrets

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fardel-io/fardel/task"
)

// Service is where a secret is kept.
type Service string

// The services that valueFrom can name.
const (
	SecretsManager Service = "secretsmanager"
	ParameterStore Service = "ssm"
)

// Reference is the valueFrom of a secret, taken apart.
type Reference struct {
	Service Service
	ARN     string // of the secret or parameter, without what follows; "" when only its name was given
	Name    string // of the secret with its six random characters, or of the parameter with its leading slash if it has one

	JSONKey      string // of Secrets Manager: one member of the secret's JSON; "" is all of it
	VersionStage string // of Secrets Manager; "" is AWSCURRENT
	VersionID    string // of Secrets Manager; "" is that of the stage
}

// ErrInvalid is matched when a reference has a form that ECS does not know.
var ErrInvalid = errors.New("secrets: invalid reference")

// ParseReference takes a valueFrom apart: the ARN of a Secrets Manager secret, maybe with :json-key:version-stage:version-id,
// the ARN of an SSM parameter, or the name of a parameter in the task's region.
func ParseReference(valueFrom string) (Reference, error) {
	if valueFrom == "" {
		return Reference{}, fmt.Errorf("%w: it is empty", ErrInvalid)
	}
	if !strings.HasPrefix(valueFrom, "arn:") {
		return Reference{Service: ParameterStore, Name: valueFrom}, nil
	}
	a, err := task.ParseARN(valueFrom)
	if err != nil {
		return Reference{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch parts := strings.Split(a.Resource, ":"); {
	case a.Service == string(ParameterStore) && strings.HasPrefix(a.Resource, "parameter/"):
		name := strings.TrimPrefix(a.Resource, "parameter")
		if strings.Count(name, "/") == 1 { // the ARN of a parameter without a path has a slash that its name has not
			name = name[1:]
		}
		return Reference{Service: ParameterStore, ARN: valueFrom, Name: name}, nil
	case a.Service == string(SecretsManager) && parts[0] == "secret" && (len(parts) == 2 || len(parts) == 5) && parts[1] != "":
		r := Reference{Service: SecretsManager, ARN: valueFrom, Name: parts[1]}
		if len(parts) == 5 {
			r.JSONKey, r.VersionStage, r.VersionID = parts[2], parts[3], parts[4]
			r.ARN = strings.TrimSuffix(valueFrom, ":"+strings.Join(parts[2:], ":"))
		}
		return r, nil
	}
	return Reference{}, fmt.Errorf("%w: %q is neither a Secrets Manager secret nor an SSM parameter", ErrInvalid, valueFrom)
}

// ParseCredentialsParameter takes the credentialsParameter of repositoryCredentials apart: the ARN or, in the task's
// region, the name of a Secrets Manager secret.
func ParseCredentialsParameter(parameter string) (Reference, error) {
	if parameter != "" && !strings.HasPrefix(parameter, "arn:") {
		return Reference{Service: SecretsManager, Name: parameter}, nil
	}
	r, err := ParseReference(parameter)
	if err == nil && r.Service != SecretsManager {
		err = fmt.Errorf("%w: %q is not a Secrets Manager secret", ErrInvalid, parameter)
	}
	return r, err
}

// Action is what IAM calls reading the secret.
func (r Reference) Action() string {
	if r.Service == ParameterStore {
		return "ssm:GetParameters"
	}
	return "secretsmanager:GetSecretValue"
}

// Resource is the ARN that IAM decides on, in a region and account for what was given by name only.
func (r Reference) Resource(partition, region, account string) string {
	if r.ARN != "" {
		return r.ARN
	}
	kind := "secret:"
	if r.Service == ParameterStore {
		kind = "parameter/"
	}
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s%s", partition, r.Service, region, account, kind, strings.TrimPrefix(r.Name, "/"))
}

// String is the reference without anything secret, as errors name it.
func (r Reference) String() string {
	if r.ARN != "" {
		return r.ARN
	}
	return r.Name
}
