package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

func TestPullFailure(t *testing.T) {
	const ref = "docker.io/library/app:1"
	said := func(step runtime.PullStep, attempts int, err error) error {
		return fmt.Errorf("pull app:1: %w", &runtime.PullError{Ref: ref, Platform: "linux/amd64", Step: step, Attempts: attempts, Err: err})
	}
	because := func(kind error, words string) error { return fmt.Errorf("registry docker.io: %s: %w", words, kind) }
	for _, tt := range []struct {
		name     string
		launch   task.LaunchType
		behavior PullBehavior
		err      error
		want     string
	}{
		{
			name: "not found", err: said(runtime.PullManifest, 1, because(runtime.ErrImageNotFound, "404")),
			want: "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/app:1: " +
				"docker.io/library/app:1: not found: registry docker.io: 404: runtime: image not found. " +
				"Check whether the image exists: its repository, tag or digest",
		},
		{
			name: "unreachable", err: said(runtime.PullManifest, 5, because(runtime.ErrRegistryUnavailable, "dial tcp 192.0.2.1:443: i/o timeout")),
			want: "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/app:1: " +
				"registry docker.io: dial tcp 192.0.2.1:443: i/o timeout: runtime: registry cannot be reached. Check your network configuration, " +
				"and whether this machine reaches the registry, by its name and with its certificate",
		},
		{
			name: "credentials", err: said(runtime.PullManifest, 1, because(runtime.ErrUnauthorized, "401")),
			want: "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/app:1: " +
				"registry docker.io: 401: runtime: registry refuses these credentials. Check repositoryCredentials, or the credentials of " +
				"Config.Registries, and that they may pull from the repository",
		},
		{
			name: "rate", err: said(runtime.PullManifest, 5, because(runtime.ErrTooManyRequests, "429")),
			want: "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/app:1: " +
				"registry docker.io: 429: runtime: registry wants fewer requests. Pull with credentials, from a mirror (Config.Registries), or less often",
		},
		{
			name: "platform", err: said(runtime.PullManifest, 1, because(runtime.ErrImagePlatform, "it is for linux/arm64")),
			want: "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64': docker.io/library/app:1: " +
				"registry docker.io: it is for linux/arm64: runtime: image is for another platform. Check runtimePlatform of the task " +
				"definition, or push the image for this platform",
		},
		{
			name: "broken off", err: said(runtime.PullLayers, 5, because(runtime.ErrRegistryUnavailable, "unexpected EOF")),
			want: "CannotPullContainerError: ref pull has been retried 5 time(s): failed to copy: docker.io/library/app:1: registry docker.io: " +
				"unexpected EOF: runtime: registry cannot be reached. Check your network configuration, and whether this machine reaches " +
				"the registry, by its name and with its certificate",
		},
		{
			name: "wrong content", err: said(runtime.PullLayers, 1, because(runtime.ErrImageCorrupt, "unexpected digest")),
			want: "CannotPullContainerError: ref pull has been retried 1 time(s): failed to copy: docker.io/library/app:1: registry docker.io: " +
				"unexpected digest: runtime: image is broken. Push the image again",
		},
		{
			name: "disk full", err: said(runtime.PullUnpack, 1, because(runtime.ErrNoSpace, "write /x: no space left on device")),
			want: "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer: docker.io/library/app:1: registry " +
				"docker.io: write /x: no space left on device: runtime: no space left for images. Make room on the disk of the cluster's " +
				"directory, or bound the images on it with Config.ImageCache",
		},
		{
			name: "address", err: said(runtime.PullManifest, 1, because(runtime.ErrRegistryNotAllowed, "its address is of this machine")),
			want: "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref docker.io/library/app:1: " +
				"registry docker.io: its address is of this machine: runtime: registry wants what is not allowed. Name the host in " +
				"Config.Registries if it is to be trusted",
		},
		{
			name: "too large", err: said(runtime.PullUnpack, 1, because(runtime.ErrImageLimit, "more than 10 entries")),
			want: "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer: docker.io/library/app:1: registry " +
				"docker.io: more than 10 entries: runtime: image is beyond a limit. Make the image smaller, or raise Config.ImageLimits",
		},
		{
			name: "something else", err: said(runtime.PullUnpack, 1, errors.New("odd")),
			want: "CannotPullContainerError: ref pull has been retried 1 time(s): failed to extract layer: docker.io/library/app:1: odd",
		},
		{
			name: "a driver that says nothing of it", err: because(runtime.ErrImageNotFound, "none"),
			want: "CannotPullContainerError: registry docker.io: none: runtime: image not found",
		},
		{
			name: "manifest on EC2, always", launch: task.LaunchTypeEC2, behavior: PullAlways, err: said(runtime.PullManifest, 2, errors.New("odd")),
			want: "CannotPullImageManifestError: pull image manifest has been retried 2 time(s): failed to resolve ref docker.io/library/app:1: odd",
		},
		{
			name: "manifest on EC2, default", launch: task.LaunchTypeEC2, behavior: PullDefault, err: said(runtime.PullManifest, 2, errors.New("odd")),
			want: "CannotPullContainerError: pull image manifest has been retried 2 time(s): failed to resolve ref docker.io/library/app:1: odd",
		},
		{
			name: "layers on EC2, always", launch: task.LaunchTypeEC2, behavior: PullAlways, err: said(runtime.PullLayers, 2, errors.New("odd")),
			want: "CannotPullContainerError: ref pull has been retried 2 time(s): failed to copy: docker.io/library/app:1: odd",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.launch == "" {
				tt.launch = task.LaunchTypeFargate
			}
			got := pullFailure(tt.launch, tt.behavior, "app", tt.err)
			if diff := cmp.Diff(tt.want, got.reason()); diff != "" {
				t.Errorf("reason (-want +got):\n%s", diff)
			}
			if !errors.Is(got, tt.err) {
				t.Error("it does not wrap the driver's error")
			}
		})
	}
}

func TestRegistryFailure(t *testing.T) {
	const ecr, other = "111122223333.dkr.ecr.eu-west-1.amazonaws.com", "registry.example"
	for _, tt := range []struct {
		launch task.LaunchType
		host   string
		want   string
	}{
		{task.LaunchTypeFargate, ecr, "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: no"},
		{task.LaunchTypeFargate, other, "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve registry auth for registry.example: no"},
		{task.LaunchTypeEC2, ecr, "CannotPullECRContainerError: no"},
		{task.LaunchTypeEC2, strings.Replace(ecr, "dkr.ecr", "dkr.ecr-fips", 1), "CannotPullECRContainerError: no"},
		{task.LaunchTypeEC2, other, "CannotPullContainerAuthError: no"},
	} {
		if got := registryFailure(tt.launch, "app", tt.host, errors.New("no")).reason(); got != tt.want {
			t.Errorf("%s at %s: got %q, want %q", tt.launch, tt.host, got, tt.want)
		}
	}
}
