package task

import (
	"fmt"
	"strings"
)

func (s *containerScope) environment() {
	for i, kv := range s.c.Environment {
		member := fmt.Sprintf("environment[%d].name", i)
		switch {
		case kv.Name == "":
			s.bad(member, "must be set")
		case strings.ContainsAny(kv.Name, "=\x00"):
			s.bad(member, "must not have an equals sign or zero byte, as %q has", kv.Name)
		}
		if strings.Contains(kv.Value, "\x00") {
			s.bad(fmt.Sprintf("environment[%d].value", i), "must not have a zero byte")
		}
	}
}

// maxEnvironmentFiles is how many files ECS allows a whole definition.
const maxEnvironmentFiles = 10

func (v *validator) environmentFileCount() {
	n := 0
	for i := range v.def.ContainerDefinitions {
		n += len(v.def.ContainerDefinitions[i].EnvironmentFiles)
	}
	if n > maxEnvironmentFiles {
		v.bad("containerDefinitions", "the containers have %d environment files together, ECS allows %d", n, maxEnvironmentFiles)
	}
}

func (s *containerScope) environmentFiles() {
	for i, f := range s.c.EnvironmentFiles {
		member := fmt.Sprintf("environmentFiles[%d]", i)
		if f.Type != "s3" {
			s.bad(member+".type", "%s", oneOf(f.Type, []string{"s3"}))
		}
		a, err := ParseARN(f.Value)
		bucket, key, _ := strings.Cut(a.Resource, "/")
		switch {
		case err != nil || a.Service != "s3" || bucket == "" || key == "":
			s.bad(member+".value", "must be the ARN of an S3 object, not %q", f.Value)
		case !strings.HasSuffix(key, ".env"):
			s.bad(member+".value", "must name a file with the extension .env, not %q", f.Value)
		}
	}
}

// secrets checks the container's secrets and the secret options of its log.
func (s *containerScope) secrets() {
	used := make(map[string]bool)
	for _, kv := range s.c.Environment {
		used[kv.Name] = true
	}
	for i, secret := range s.c.Secrets {
		member := fmt.Sprintf("secrets[%d]", i)
		s.secret(member, secret)
		if used[secret.Name] && secret.Name != "" {
			s.bad(member+".name", "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '%s'.", secret.Name)
		}
		used[secret.Name] = true
	}
	if s.c.LogConfiguration == nil {
		return
	}
	for i, secret := range s.c.LogConfiguration.SecretOptions {
		member := fmt.Sprintf("logConfiguration.secretOptions[%d]", i)
		s.secret(member, secret)
		if _, ok := s.c.LogConfiguration.Options[secret.Name]; ok {
			s.bad(member+".name", "%q is among the options already", secret.Name)
		}
	}
}

func (s *containerScope) secret(member string, secret Secret) {
	if secret.Name == "" {
		s.bad(member+".name", "must be set")
	}
	if err := checkSecretReference(secret.ValueFrom); err != nil {
		s.bad(member+".valueFrom", "%v", err)
	}
}

// checkSecretReference says what is wrong with a secret's valueFrom: the ARN of
// a Secrets Manager secret, maybe with :json-key:version-stage:version-id, the
// ARN of an SSM parameter, or a parameter's name.
func checkSecretReference(ref string) error {
	if !strings.HasPrefix(ref, "arn:") {
		return checkParameterName(ref)
	}
	a, err := ParseARN(ref)
	if err != nil {
		return fmt.Errorf("%s", sentence(err))
	}
	switch parts := strings.Split(a.Resource, ":"); {
	case a.Service == "ssm" && len(a.Resource) > len("parameter/") && strings.HasPrefix(a.Resource, "parameter/"):
		return nil
	case a.Service == "secretsmanager" && parts[0] == "secret" && len(parts) > 1 && parts[1] != "":
		if len(parts) != 2 && len(parts) != 5 {
			return fmt.Errorf("%q must end after the secret's name, or have all the colons of :json-key:version-stage:version-id", ref)
		}
		return nil
	}
	return fmt.Errorf("must be the ARN of a Secrets Manager secret or SSM parameter, or a parameter's name, not %q", ref)
}

func checkParameterName(name string) error {
	if name == "" {
		return fmt.Errorf("must be set")
	}
	for _, r := range name {
		if !(r < 0x80 && isName(string(r))) && !strings.ContainsRune("./:", r) {
			return fmt.Errorf("%q is neither an ARN nor the name of an SSM parameter: it has %q", name, r)
		}
	}
	return nil
}
