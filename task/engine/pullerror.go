package engine

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// ecrHost is a private registry of Amazon ECR: 111122223333.dkr.ecr.us-east-1.amazonaws.com, and the forms of FIPS, of dual
// stack and of China.
var ecrHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.(aws|amazonwebservices\.com\.cn))$`)

// pullFailure names an error of a pull as ECS does.
func pullFailure(launch task.LaunchType, behavior PullBehavior, container string, err error) *startError {
	said, known := errors.AsType[*runtime.PullError](err)
	if !known {
		return &startError{task.ErrorCannotPullContainer, container, err}
	}
	name := task.ErrorCannotPullContainer
	// The ECS agent asks for manifests first, and minds that it gets none with these behaviours. Fargate has one name.
	if launch != task.LaunchTypeFargate && launch != "" && said.Step == runtime.PullManifest && (behavior == PullAlways || behavior == PullOnce) {
		name = task.ErrorCannotPullImageManifest
	}
	return &startError{name, container, &pullReason{said, err}}
}

// pullReason is an error of a pull in the words of Fargate, with what to do.
type pullReason struct {
	said *runtime.PullError
	err  error // what it is of
}

func (r *pullReason) Unwrap() error { return r.err }

func (r *pullReason) Error() string {
	text := r.happened()
	if advice := pullAdvice(r.said); advice != "" {
		text += ". " + advice
	}
	return text
}

func (r *pullReason) happened() string {
	said := r.said
	switch {
	case errors.Is(said, runtime.ErrImagePlatform):
		return fmt.Sprintf("image Manifest does not contain descriptor matching platform '%s': %s: %v", said.Platform, said.Ref, said.Err)
	case said.Step == runtime.PullManifest && errors.Is(said, runtime.ErrImageNotFound):
		return fmt.Sprintf("pull image manifest has been retried %d time(s): failed to resolve ref %s: %s: not found: %v", said.Attempts, said.Ref, said.Ref, said.Err)
	case said.Step == runtime.PullManifest:
		return fmt.Sprintf("pull image manifest has been retried %d time(s): failed to resolve ref %s: %v", said.Attempts, said.Ref, said.Err)
	case said.Step == runtime.PullUnpack:
		return fmt.Sprintf("ref pull has been retried %d time(s): failed to extract layer: %s: %v", said.Attempts, said.Ref, said.Err)
	}
	return fmt.Sprintf("ref pull has been retried %d time(s): failed to copy: %s: %v", said.Attempts, said.Ref, said.Err)
}

// advice is what to do about each kind of error.
var pullAdvices = []struct {
	kind error
	text string
}{
	{runtime.ErrRegistryNotAllowed, "Name the host in Config.Registries if it is to be trusted"},
	{runtime.ErrImageLimit, "Make the image smaller, or raise Config.ImageLimits"},
	{runtime.ErrNoSpace, "Make room on the disk of the cluster's directory, or bound the images on it with Config.ImageCache"},
	{runtime.ErrTooManyRequests, "Pull with credentials, from a mirror (Config.Registries), or less often"},
	{runtime.ErrUnauthorized, "Check repositoryCredentials, or the credentials of Config.Registries, and that they may pull from the repository"},
	{runtime.ErrImagePlatform, "Check runtimePlatform of the task definition, or push the image for this platform"},
	{runtime.ErrImageNotFound, "Check whether the image exists: its repository, tag or digest"},
	{runtime.ErrImageCorrupt, "Push the image again"},
	{runtime.ErrRegistryUnavailable, "Check your network configuration, and whether this machine reaches the registry, by its name and with its certificate"},
}

func pullAdvice(err error) string {
	for _, a := range pullAdvices {
		if errors.Is(err, a.kind) {
			return a.text
		}
	}
	return ""
}

// authFailure names that the credentials for a registry could not be had.
func authFailure(launch task.LaunchType, container string, err error) *startError {
	if launch == task.LaunchTypeFargate || launch == "" {
		return &startError{task.ErrorResourceInitialization, container, err}
	}
	return &startError{task.ErrorCannotPullContainerAuth, container, err}
}

// registryFailure names that Config.RegistryAuth failed for a registry.
func registryFailure(launch task.LaunchType, container, host string, err error) *startError {
	ecr := ecrHost.MatchString(host)
	switch {
	case launch == task.LaunchTypeFargate || launch == "":
		what := "registry auth for " + host
		if ecr {
			what = "ecr registry auth"
		}
		return &startError{task.ErrorResourceInitialization, container,
			fmt.Errorf("unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve %s: %w", what, err)}
	case ecr:
		return &startError{task.ErrorCannotPullECRContainer, container, err}
	}
	return &startError{task.ErrorCannotPullContainerAuth, container, err}
}
