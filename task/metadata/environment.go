package metadata

import (
	"strings"

	"github.com/fardel-io/fardel/task"
)

// ContainerEnvironment is what the variables of a container depend on.
type ContainerEnvironment struct {
	TaskID        string // required
	ContainerName string // required
	LaunchType    task.LaunchType
	Region        string // empty sets no region
	// CredentialsURI is the path of the task role's credentials, such as /v2/credentials/<id>; empty without a task
	// role.
	CredentialsURI string
	// Set are the variables ("KEY=value") that the image, the environment files and the definition set. If either of
	// the two variables of the region is among them, neither is added.
	Set []string
}

// Environment returns the variables ("KEY=value") that ECS adds to a container's environment, in a fixed order. They
// win over variables of the same name from elsewhere.
func Environment(c ContainerEnvironment) []string {
	id := EndpointID(c.TaskID, c.ContainerName)
	env := []string{
		"ECS_CONTAINER_METADATA_URI=http://" + Address + "/v3/" + id,
		"ECS_CONTAINER_METADATA_URI_V4=http://" + Address + "/v4/" + id,
		"ECS_AGENT_URI=http://" + Address + "/api/" + id,
	}
	if c.CredentialsURI != "" {
		env = append(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="+c.CredentialsURI)
	}
	// What ECS says on other infrastructure is not documented.
	switch c.LaunchType {
	case task.LaunchTypeFargate:
		env = append(env, "AWS_EXECUTION_ENV=AWS_ECS_FARGATE")
	case task.LaunchTypeEC2:
		env = append(env, "AWS_EXECUTION_ENV=AWS_ECS_EC2")
	default:
	}
	if c.Region != "" && !hasRegion(c.Set) {
		env = append(env, "AWS_REGION="+c.Region, "AWS_DEFAULT_REGION="+c.Region)
	}
	return env
}

// hasRegion reports whether either variable of the region is set, to whatever value.
func hasRegion(env []string) bool {
	for _, entry := range env {
		switch key, _, _ := strings.Cut(entry, "="); key {
		case "AWS_REGION", "AWS_DEFAULT_REGION":
			return true
		}
	}
	return false
}
