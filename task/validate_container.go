package task

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (s *containerScope) name() {
	switch name := s.c.Name; {
	case name == "":
		s.bad("name", "Container.name should not be null or empty.")
	case !isName(name):
		s.bad("name", badName, name)
	}
}

func (s *containerScope) image() {
	image := s.c.Image
	if image == "" {
		s.bad("image", "Container.image should not be null or empty.")
		return
	}
	name, digest, hasDigest := strings.Cut(image, "@")
	if len(name) > 255 {
		s.bad("image", "Container.image has %d characters, ECS allows 255", len(name))
	}
	if i := strings.IndexFunc(name, notInImage); i >= 0 || name == "" {
		hint := ""
		if strings.ContainsAny(name, "{}$<>") {
			hint = " It looks like a template with a placeholder left in."
		}
		s.bad("image", "Container.image contains invalid characters.%s (%q)", hint, image)
	}
	if !hasDigest {
		return
	}
	sum, ok := strings.CutPrefix(digest, "sha256:")
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != 32 {
		s.bad("image", "the digest after @ must be sha256: and 64 hexadecimal digits, not %q", digest)
	}
}

func notInImage(r rune) bool {
	return !(r < 0x80 && isName(string(r))) && !strings.ContainsRune(":./#", r)
}

// where a member of a container is not supported.
type where uint8

const (
	onFargate where = 1 << iota
	onWindows
	inAWSVPC
	butBridge // in any mode but bridge
)

// limited lists the members that some place or network mode does not have.
var limited = []struct {
	member string
	set    func(c *ContainerDefinition) bool
	not    where
}{
	{"links", func(c *ContainerDefinition) bool { return len(c.Links) > 0 }, onFargate | onWindows | butBridge},
	{"hostname", func(c *ContainerDefinition) bool { return c.Hostname != "" }, inAWSVPC},
	{"extraHosts", func(c *ContainerDefinition) bool { return len(c.ExtraHosts) > 0 }, onFargate | onWindows | inAWSVPC},
	{"dnsServers", func(c *ContainerDefinition) bool { return len(c.DNSServers) > 0 }, onFargate | onWindows},
	{"dnsSearchDomains", func(c *ContainerDefinition) bool { return len(c.DNSSearchDomains) > 0 }, onFargate | onWindows},
	{"disableNetworking", func(c *ContainerDefinition) bool { return c.DisableNetworking }, onFargate | onWindows},
	{"dockerSecurityOptions", func(c *ContainerDefinition) bool { return len(c.DockerSecurityOptions) > 0 }, onFargate},
	{"privileged", func(c *ContainerDefinition) bool { return c.Privileged }, onFargate | onWindows},
	{"readonlyRootFilesystem", func(c *ContainerDefinition) bool { return c.ReadonlyRootFilesystem }, onWindows},
	{"user", func(c *ContainerDefinition) bool { return c.User != "" }, onWindows},
	{"ulimits", func(c *ContainerDefinition) bool { return len(c.Ulimits) > 0 }, onWindows},
	{"linuxParameters", func(c *ContainerDefinition) bool { return c.LinuxParameters != nil }, onWindows},
	{"systemControls", func(c *ContainerDefinition) bool { return len(c.SystemControls) > 0 }, onWindows},
	{"linuxParameters.devices", func(c *ContainerDefinition) bool { return len(c.linux().Devices) > 0 }, onFargate},
	{"linuxParameters.sharedMemorySize", func(c *ContainerDefinition) bool { return c.linux().SharedMemorySize != 0 }, onFargate},
	{"linuxParameters.maxSwap", func(c *ContainerDefinition) bool { return c.linux().MaxSwap != nil }, onFargate},
	{"linuxParameters.swappiness", func(c *ContainerDefinition) bool { return c.linux().Swappiness != nil }, onFargate},
	{"resourceRequirements", func(c *ContainerDefinition) bool { return len(c.ResourceRequirements) > 0 }, onFargate},
}

// linux returns the container's LinuxParameters, or empty ones.
func (c *ContainerDefinition) linux() *LinuxParameters {
	if c.LinuxParameters == nil {
		return &LinuxParameters{}
	}
	return c.LinuxParameters
}

func (s *containerScope) unsupported() {
	for _, l := range limited {
		if !l.set(s.c) {
			continue
		}
		switch {
		case l.not&onFargate != 0 && s.fargate:
			s.bad(l.member, notOnFargate)
		case l.not&onWindows != 0 && s.windows:
			s.bad(l.member, notOnWindows)
		case l.not&inAWSVPC != 0 && s.mode == NetworkModeAWSVPC:
			s.bad(l.member, "is not supported when networkMode=awsvpc")
		case l.not&butBridge != 0 && s.mode != NetworkModeBridge:
			s.bad(l.member, "is supported with networkMode=bridge only, not %s", s.mode)
		}
	}
}

// user checks the forms user, user:group, uid, uid:gid, user:gid and uid:group.
func (s *containerScope) user() {
	if s.c.User == "" {
		return
	}
	user, group, hasGroup := strings.Cut(s.c.User, ":")
	for _, part := range []string{user, group} {
		if part == "" && (part == user || hasGroup) || strings.ContainsAny(part, ": \t\n") {
			s.bad("user", "must be a user, or user:group, each by name or number, not %q", s.c.User)
			return
		}
		if n, err := strconv.ParseInt(part, 10, 64); err == nil && (n < 0 || n > 1<<32-2) {
			s.bad("user", "%d is not a user or group number", n)
		}
	}
}

func (s *containerScope) timeouts() {
	for _, t := range []struct {
		member string
		value  int
	}{{"startTimeout", s.c.StartTimeout}, {"stopTimeout", s.c.StopTimeout}} {
		switch {
		case t.value < 0:
			s.bad(t.member, "must not be negative")
		case s.fargate && t.value != 0 && (t.value < 2 || t.value > 120):
			s.bad(t.member, "must be 2 to 120 seconds on Fargate, not %d", t.value)
		}
	}
}

func (s *containerScope) versionConsistency() {
	if v := s.c.VersionConsistency; v != "" && v != "enabled" && v != "disabled" {
		s.bad("versionConsistency", "%s", oneOf(v, []string{"enabled", "disabled"}))
	}
}

func (s *containerScope) credentials() {
	r := s.c.RepositoryCredentials
	if r == nil {
		return
	}
	p := r.CredentialsParameter
	a, err := ParseARN(p)
	switch {
	case p == "":
		s.bad("repositoryCredentials.credentialsParameter", "must be set")
	case strings.HasPrefix(p, "arn:") && (err != nil || a.Service != "secretsmanager"):
		s.bad("repositoryCredentials.credentialsParameter", "must be the ARN or name of a Secrets Manager secret, not %q", p)
	}
}

func (s *containerScope) credentialSpecs() {
	if n := len(s.c.CredentialSpecs); n > 1 {
		s.bad("credentialSpecs", "has %d ARNs, ECS allows 1", n)
	}
	for i, spec := range s.c.CredentialSpecs {
		kind, arn, _ := strings.Cut(spec, ":")
		_, err := ParseARN(arn)
		member := fmt.Sprintf("credentialSpecs[%d]", i)
		switch {
		case kind != "credentialspec" && kind != "credentialspecdomainless" || err != nil:
			s.bad(member, "must be credentialspec:ARN or credentialspecdomainless:ARN, not %q", spec)
		case s.fargate && kind == "credentialspec":
			s.bad(member, "must be credentialspecdomainless:ARN on Fargate")
		}
	}
}

func (s *containerScope) securityOptions() {
	for i, o := range s.c.DockerSecurityOptions {
		kind, value, hasValue := strings.Cut(o, ":")
		ok := kind == "no-new-privileges" && (!hasValue || value == "true" || value == "false")
		ok = ok || value != "" && slices.Contains([]string{"apparmor", "label", "credentialspec"}, kind)
		if !ok {
			s.bad(fmt.Sprintf("dockerSecurityOptions[%d]", i), "must be no-new-privileges, apparmor:PROFILE, label:VALUE or credentialspec:PATH, not %q", o)
		}
	}
}

func (s *containerScope) healthCheck() {
	h := s.c.HealthCheck
	if h == nil {
		return
	}
	switch {
	case len(h.Command) == 0 || h.Command[0] != "CMD" && h.Command[0] != "CMD-SHELL":
		s.bad("healthCheck.command", "must start with CMD or CMD-SHELL")
	case len(h.Command) == 1:
		s.bad("healthCheck.command", "must have a command after %s", h.Command[0])
	}
	for _, r := range []struct {
		member      string
		value       int
		least, most int
		unit        string
	}{
		{"interval", h.Interval, 5, 300, " seconds"},
		{"timeout", h.Timeout, 2, 60, " seconds"},
		{"retries", h.Retries, 1, 10, ""},
		{"startPeriod", h.StartPeriod, 0, 300, " seconds"},
	} {
		if r.value != 0 && (r.value < r.least || r.value > r.most) {
			s.bad("healthCheck."+r.member, "must be %d to %d%s, not %d", r.least, r.most, r.unit, r.value)
		}
	}
}

func (s *containerScope) restartPolicy() {
	p := s.c.RestartPolicy
	if p == nil {
		return
	}
	if t := p.RestartAttemptPeriod; t != 0 && (t < 60 || t > 1800) {
		s.bad("restartPolicy.restartAttemptPeriod", "must be 60 to 1800 seconds, not %d", t)
	}
	if n := len(p.IgnoredExitCodes); n > 50 {
		s.bad("restartPolicy.ignoredExitCodes", "has %d codes, ECS allows 50", n)
	}
}

var resourceTypes = []ResourceType{ResourceGPU, ResourceNeuronDevice, ResourceInferenceAccelerator}

func (s *containerScope) resources() {
	if s.fargate {
		return // unsupported has said so
	}
	for i := range s.c.ResourceRequirements {
		r := &s.c.ResourceRequirements[i]
		member := fmt.Sprintf("resourceRequirements[%d]", i)
		if r.SharingStrategy != nil {
			s.sharing(member, r)
			continue
		}
		switch r.Type {
		case ResourceGPU:
			if n, err := strconv.Atoi(r.Value); r.Value != "ALL" && (err != nil || n < 1) {
				s.bad(member+".value", "must be a number of GPUs or ALL, not %q", r.Value)
			}
		case ResourceNeuronDevice:
			if r.Value != "ALL" {
				s.bad(member+".value", "must be ALL for Neuron devices, not %q", r.Value)
			}
			if s.lt != LaunchTypeManagedInstances {
				s.bad(member+".type", "NeuronDevice is supported on managed instances only")
			}
		case ResourceInferenceAccelerator:
			if !slices.ContainsFunc(s.def.InferenceAccelerators, func(a InferenceAccelerator) bool {
				return a.DeviceName == r.Value && r.Value != ""
			}) {
				s.bad(member+".value", "must be the deviceName of one of the inferenceAccelerators, not %q", r.Value)
			}
		default:
			s.bad(member+".type", "%s", oneOf(r.Type, resourceTypes))
		}
	}
}

// sharing checks a requirement of a part of a GPU.
func (s *containerScope) sharing(member string, r *ResourceRequirement) {
	if r.Type != ResourceGPU {
		s.bad(member+".sharingStrategy", "is supported for type GPU only")
	}
	if r.Value != "" {
		s.bad(member+".sharingStrategy", "cannot be set together with value")
	}
	if s.lt == LaunchTypeExternal {
		s.bad(member+".sharingStrategy", "is not supported on external instances")
	}
	mps := r.SharingStrategy.NvidiaMPS
	if mps == nil {
		s.bad(member+".sharingStrategy", "must have nvidiaMps")
		return
	}
	if mps.Memory < 1 {
		s.bad(member+".sharingStrategy.nvidiaMps.memory", "must be a positive number of MiB")
	}
	if p := mps.MaxComputePercent; p < 0 || p > 100 {
		s.bad(member+".sharingStrategy.nvidiaMps.maxComputePercent", "must be 1 to 100, not %d", p)
	}
}

// sharedGPUs wants all containers to have whole GPUs, or all to share one, and
// one container at most to have Neuron devices.
func (v *validator) sharedGPUs() {
	var whole, shared, neuron int
	for i := range v.def.ContainerDefinitions {
		for _, r := range v.def.ContainerDefinitions[i].ResourceRequirements {
			switch {
			case r.Type == ResourceNeuronDevice:
				neuron++
			case r.Type == ResourceGPU && r.SharingStrategy != nil:
				shared++
			case r.Type == ResourceGPU:
				whole++
			}
		}
	}
	if whole > 0 && shared > 0 {
		v.bad("containerDefinitions", "the containers that require GPUs must all use value, or all sharingStrategy")
	}
	if neuron > 1 {
		v.bad("containerDefinitions", "one container can require Neuron devices, not %d", neuron)
	}
}
