package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var launchTypes = []LaunchType{LaunchTypeEC2, LaunchTypeFargate, LaunchTypeExternal, LaunchTypeManagedInstances}

func (v *validator) launchTypes() {
	if !slices.Contains(launchTypes, v.lt) {
		v.bad("requiresCompatibilities", "cannot validate for launch type %q: launch type should be one of [EC2,FARGATE,EXTERNAL]", v.lt)
	}
	for i, lt := range v.def.RequiresCompatibilities {
		if !slices.Contains(launchTypes, lt) {
			v.bad(fmt.Sprintf("requiresCompatibilities[%d]", i), "%s", oneOf(lt, launchTypes))
		}
	}
}

func (v *validator) family() {
	switch {
	case v.def.Family == "":
		v.bad("family", "Family should not be null or empty.")
	case !isName(v.def.Family):
		v.bad("family", badName, v.def.Family)
	}
}

// maxDefinition is the size in bytes that ECS allows a definition, as compact
// JSON without what ECS itself adds.
const maxDefinition = 64 << 10

func (v *validator) documentSize() {
	request := *v.def
	request.TaskDefinitionARN, request.Revision, request.Status = "", 0, ""
	request.RequiresAttributes, request.Compatibilities, request.RegisteredBy = nil, nil, ""
	request.RegisteredAt, request.DeregisteredAt, request.DeleteRequestedAt = time.Time{}, time.Time{}, time.Time{}
	data, err := request.MarshalJSON()
	if err != nil {
		v.bad("extra", "%v", err)
	}
	if len(data) > maxDefinition {
		v.bad("containerDefinitions", "the definition has %d bytes as compact JSON, ECS allows %d", len(data), maxDefinition)
	}
}

func (v *validator) roles() {
	for _, r := range []struct{ member, role string }{
		{"taskRoleArn", v.def.TaskRoleARN},
		{"executionRoleArn", v.def.ExecutionRoleARN},
	} {
		if r.role != "" && !isRole(r.role) {
			v.bad(r.member, "Role is not valid: want a role's name or ARN, not %q", r.role)
		}
	}
}

// isRole reports whether s can be the ARN of an IAM role or a role's name. Names
// are not held to IAM's characters, since a role is looked up when it is used.
func isRole(s string) bool {
	if strings.HasPrefix(s, "arn:") {
		a, err := ParseARN(s)
		return err == nil && a.Service == "iam" && strings.HasPrefix(a.Resource, "role/") && !strings.HasSuffix(s, "/")
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == ':' || r == '/'
	})
}

// executionRole wants the role where ECS itself acts for the task.
func (v *validator) executionRole() {
	if v.def.ExecutionRoleARN != "" {
		return
	}
	needs := make(map[string]bool)
	need := func(when bool, text string) {
		if when && !needs[text] {
			needs[text] = true
			v.bad("executionRoleArn", "%s", text)
		}
	}
	for i := range v.def.ContainerDefinitions {
		c := &v.def.ContainerDefinitions[i]
		log := c.LogConfiguration
		need(len(c.Secrets) > 0 || log != nil && len(log.SecretOptions) > 0,
			"When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.")
		need(len(c.EnvironmentFiles) > 0, "must be set to read environment files")
		need(c.RepositoryCredentials != nil, "must be set to read the credentials of a private registry")
		need(v.fargate && log != nil && log.LogDriver == LogDriverAWSLogs,
			"Fargate requires task definition to have execution role ARN to support log driver awslogs.")
		need(v.fargate && strings.Contains(c.Image, ".dkr.ecr."),
			"Fargate requires task definition to have execution role ARN to support ECR images.")
	}
}

var networkModes = []NetworkMode{NetworkModeNone, NetworkModeBridge, NetworkModeAWSVPC, NetworkModeHost}

func (v *validator) networkMode() {
	mode := v.def.NetworkMode
	switch {
	case v.fargate && mode != NetworkModeAWSVPC:
		v.bad("networkMode", "Fargate only supports network mode 'awsvpc'.")
	case v.windows && v.mode != NetworkModeDefault && v.mode != NetworkModeAWSVPC:
		v.bad("networkMode", "must be default or awsvpc for Windows containers, not %q", mode)
	case !v.windows && mode != "" && !slices.Contains(networkModes, mode):
		v.bad("networkMode", "%s", oneOf(mode, networkModes))
	case v.lt == LaunchTypeExternal && mode == NetworkModeAWSVPC:
		v.bad("networkMode", "awsvpc is not supported on external instances: want bridge, host or none")
	}
}

// namespaces checks pidMode and ipcMode.
func (v *validator) namespaces() {
	pid, ipc := v.def.PIDMode, v.def.IPCMode
	switch {
	case pid == "":
	case v.windows:
		v.bad("pidMode", notOnWindows)
	case pid != PIDModeHost && pid != PIDModeTask:
		v.bad("pidMode", "%s", oneOf(pid, []PIDMode{PIDModeHost, PIDModeTask}))
	case v.fargate && pid != PIDModeTask:
		v.bad("pidMode", "must be task on Fargate, not %q", pid)
	}
	switch {
	case ipc == "":
	case v.fargate:
		v.bad("ipcMode", notOnFargate)
	case v.windows:
		v.bad("ipcMode", notOnWindows)
	case ipc != IPCModeHost && ipc != IPCModeTask && ipc != IPCModeNone:
		v.bad("ipcMode", "%s", oneOf(ipc, []IPCMode{IPCModeHost, IPCModeTask, IPCModeNone}))
	}
}

// osFamilies are the operating systems of ECS and whether Fargate runs them.
var osFamilies = []struct {
	name    OSFamily
	fargate bool
}{
	{OSFamilyLinux, true},
	{"WINDOWS_SERVER_2016_FULL", false},
	{"WINDOWS_SERVER_2004_CORE", false},
	{"WINDOWS_SERVER_20H2_CORE", false},
	{"WINDOWS_SERVER_2019_FULL", true},
	{"WINDOWS_SERVER_2019_CORE", true},
	{"WINDOWS_SERVER_2022_FULL", true},
	{"WINDOWS_SERVER_2022_CORE", true},
	{"WINDOWS_SERVER_2025_FULL", true},
	{"WINDOWS_SERVER_2025_CORE", true},
}

func (v *validator) platform() {
	p := v.def.RuntimePlatform
	if p == nil {
		return
	}
	if family := p.OperatingSystemFamily; family != "" {
		known := false
		var names []OSFamily
		for _, f := range osFamilies {
			if f.fargate || !v.fargate {
				known = known || f.name == family
				names = append(names, f.name)
			}
		}
		if !known {
			v.bad("runtimePlatform.operatingSystemFamily", "%s", oneOf(family, names))
		}
	}
	switch arch := p.CPUArchitecture; {
	case arch == "" || arch == CPUArchitectureX8664:
	case arch != CPUArchitectureARM64:
		v.bad("runtimePlatform.cpuArchitecture", "%s", oneOf(arch, []CPUArchitecture{CPUArchitectureX8664, CPUArchitectureARM64}))
	case v.windows:
		v.bad("runtimePlatform.cpuArchitecture", "ARM64 is supported for Linux only")
	}
}

func (v *validator) ephemeralStorage() {
	if e := v.def.EphemeralStorage; e != nil && (e.SizeInGiB < 21 || e.SizeInGiB > 200) {
		v.bad("ephemeralStorage.sizeInGiB", "must be 21 to 200, not %d", e.SizeInGiB)
	}
}

func (v *validator) placement() {
	list := v.def.PlacementConstraints
	if len(list) > 0 && v.fargate {
		v.bad("placementConstraints", notOnFargate)
		return
	}
	if len(list) > 10 {
		v.bad("placementConstraints", "has %d constraints, ECS allows 10", len(list))
	}
	for i, c := range list {
		path := fmt.Sprintf("placementConstraints[%d]", i)
		if c.Type != "memberOf" {
			v.bad(path+".type", "%s", oneOf(c.Type, []string{"memberOf"}))
		}
		switch n := utf8.RuneCountInString(c.Expression); {
		case n == 0:
			v.bad(path+".expression", "must be set")
		case n > 2000:
			v.bad(path+".expression", "has %d characters, ECS allows 2000", n)
		}
	}
}

func (v *validator) proxy() {
	p := v.def.ProxyConfiguration
	switch {
	case p == nil:
		return
	case v.windows:
		v.bad("proxyConfiguration", notOnWindows)
		return
	case v.lt == LaunchTypeExternal:
		v.bad("proxyConfiguration", "App Mesh is not supported on external instances")
		return
	}
	if p.Type != "" && p.Type != "APPMESH" {
		v.bad("proxyConfiguration.type", "%s", oneOf(p.Type, []string{"APPMESH"}))
	}
	if v.container(p.ContainerName) == nil {
		v.bad("proxyConfiguration.containerName", "%s", v.def.noContainer(p.ContainerName))
	}
	uid, _ := p.Property("IgnoredUID")
	gid, _ := p.Property("IgnoredGID")
	if uid == "" && gid == "" {
		v.bad("proxyConfiguration.properties", "IgnoredUID or IgnoredGID must be set")
	}
	for _, name := range []string{"AppPorts", "ProxyIngressPort", "ProxyEgressPort"} {
		if value, _ := p.Property(name); value == "" {
			v.bad("proxyConfiguration.properties", "%s must be set", name)
		}
	}
	for i, kv := range p.Properties {
		if strings.HasSuffix(kv.Name, "Port") || strings.HasSuffix(kv.Name, "Ports") {
			for port := range strings.SplitSeq(kv.Value, ",") {
				if n, err := strconv.Atoi(strings.TrimSpace(port)); kv.Value != "" && (err != nil || n < 1 || n > maxPort) {
					v.bad(fmt.Sprintf("proxyConfiguration.properties[%d].value", i), "%s: %q is not a port", kv.Name, port)
				}
			}
		}
	}
}

func (v *validator) accelerators() {
	if len(v.def.InferenceAccelerators) > 0 && v.fargate {
		v.bad("inferenceAccelerators", notOnFargate)
		return
	}
	for i, a := range v.def.InferenceAccelerators {
		path := fmt.Sprintf("inferenceAccelerators[%d]", i)
		if a.DeviceName == "" {
			v.bad(path+".deviceName", "must be set")
		}
		if a.DeviceType == "" {
			v.bad(path+".deviceType", "must be set")
		}
	}
}

func (v *validator) tags() {
	if n := len(v.def.Tags); n > 50 {
		v.bad("tags", "has %d tags, ECS allows 50", n)
	}
	seen := make(map[string]bool)
	for i, t := range v.def.Tags {
		path := fmt.Sprintf("tags[%d]", i)
		switch n := utf8.RuneCountInString(t.Key); {
		case n == 0 || n > 128:
			v.bad(path+".key", "must have 1 to 128 characters, not %d", n)
		case len(t.Key) >= 4 && strings.EqualFold(t.Key[:4], "aws:"):
			v.bad(path+".key", "the prefix %q is reserved for AWS", t.Key[:4])
		case seen[t.Key]:
			v.bad(path+".key", "duplicate key %q", t.Key)
		}
		seen[t.Key] = true
		if n := utf8.RuneCountInString(t.Value); n > 256 {
			v.bad(path+".value", "has %d characters, ECS allows 256", n)
		}
		for _, m := range []struct{ member, text string }{{"key", t.Key}, {"value", t.Value}} {
			if i := strings.IndexFunc(m.text, notInTag); i >= 0 {
				r, _ := utf8.DecodeRuneInString(m.text[i:])
				v.bad(path+"."+m.member, "has %q: letters, digits, spaces and + - = . _ : / @ are allowed", r)
			}
		}
	}
}

func notInTag(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Zs, r) && !strings.ContainsRune("+-=._:/@", r)
}

// maxContainers is a quota of ECS that cannot be raised.
const maxContainers = 10

// containers checks the list as a whole.
func (v *validator) containers() {
	list := v.def.ContainerDefinitions
	if n := len(list); n == 0 || n > maxContainers {
		v.bad("containerDefinitions", "must have 1 to %d containers, not %d", maxContainers, n)
	}
	essential := false
	first := make(map[string]int)
	for i := range list {
		c := &list[i]
		essential = essential || c.IsEssential()
		if j, ok := first[c.Name]; ok && c.Name != "" {
			v.bad(fmt.Sprintf("containerDefinitions[%d].name", i), "%q is the name of containerDefinitions[%d] already", c.Name, j)
			continue
		}
		first[c.Name] = i
	}
	if len(list) > 0 && !essential {
		v.bad("containerDefinitions", "at least one container must be essential")
	}
}

// container returns the container of that name, or nil; one without a name is
// no container to refer to.
func (v *validator) container(name string) *ContainerDefinition {
	if name == "" {
		return nil
	}
	return v.def.Container(name)
}
