package task

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fargate and ec2 return the smallest definitions valid for these launch types;
// both have an essential container "app" and another one "side".
func fargate() *TaskDefinition {
	d := ec2()
	d.NetworkMode, d.CPU, d.Memory = NetworkModeAWSVPC, "512", "1024"
	d.ExecutionRoleARN = "execution"
	return d
}

func ec2() *TaskDefinition {
	no := false
	return &TaskDefinition{
		Family: "web",
		ContainerDefinitions: []ContainerDefinition{
			{Name: "app", Image: "nginx", Memory: 128},
			{Name: "side", Image: "busybox", Memory: 64, Essential: &no},
		},
	}
}

func windows() *TaskDefinition {
	d := ec2()
	d.RuntimePlatform = &RuntimePlatform{OperatingSystemFamily: "WINDOWS_SERVER_2022_CORE"}
	return d
}

func problemsOf(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %T, want *ValidationError: %v", err, err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.String())
	}
	return got
}

type change = func(d *TaskDefinition, app *ContainerDefinition)

// rules has, for each rule, definitions that break it and some that nearly do.
// want lists the problems, of which those of the container app start at the
// member.
var rules = []struct {
	name   string
	base   func() *TaskDefinition
	lt     LaunchType
	change change
	want   []string
}{
	{"plain ec2", ec2, LaunchTypeEC2, func(*TaskDefinition, *ContainerDefinition) {}, nil},
	{"plain fargate", fargate, LaunchTypeFargate, func(*TaskDefinition, *ContainerDefinition) {}, nil},
	{"plain windows", windows, LaunchTypeEC2, func(*TaskDefinition, *ContainerDefinition) {}, nil},
	{"plain external", ec2, LaunchTypeExternal, func(*TaskDefinition, *ContainerDefinition) {}, nil},

	{"launch type", ec2, "LAMBDA", func(*TaskDefinition, *ContainerDefinition) {},
		[]string{`requiresCompatibilities: cannot validate for launch type "LAMBDA": launch type should be one of [EC2,FARGATE,EXTERNAL]`}},
	{"compatibility", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.RequiresCompatibilities = []LaunchType{"EC2", "fargate"}
	}, []string{`requiresCompatibilities[1]: must be EC2, FARGATE, EXTERNAL or MANAGED_INSTANCES, not "fargate"`}},

	{"no family", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.Family = "" },
		[]string{"family: Family should not be null or empty."}},
	{"family characters", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.Family = "my.app" },
		[]string{`family: must be 1 to 255 letters, digits, hyphens and underscores, not "my.app"`}},
	{"longest family", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.Family = strings.Repeat("f", 255) }, nil},
	{"family too long", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.Family = strings.Repeat("f", 256) },
		[]string{fmt.Sprintf("family: must be 1 to 255 letters, digits, hyphens and underscores, not %q", strings.Repeat("f", 256))}},

	{"role names and ARNs", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.TaskRoleARN, d.ExecutionRoleARN = "arn:aws-cn:iam::111122223333:role/a/b", "my+role=,.@-_"
	}, nil},
	{"role of another service", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.TaskRoleARN, d.ExecutionRoleARN = "arn:aws:s3:::role/a", "arn:aws:iam::1:user/a"
	}, []string{
		`taskRoleArn: Role is not valid: want a role's name or ARN, not "arn:aws:s3:::role/a"`,
		`executionRoleArn: Role is not valid: want a role's name or ARN, not "arn:aws:iam::1:user/a"`,
	}},
	{"role with spaces", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.TaskRoleARN = "my role" },
		[]string{`taskRoleArn: Role is not valid: want a role's name or ARN, not "my role"`}},

	{"execution role for secrets", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Secrets = []Secret{{Name: "A", ValueFrom: "a"}, {Name: "B", ValueFrom: "b"}}
	}, []string{"executionRoleArn: When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."}},
	{"execution role for files and registry", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.EnvironmentFiles = []EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::b/a.env"}}
		app.RepositoryCredentials = &RepositoryCredentials{CredentialsParameter: "login"}
	}, []string{
		"executionRoleArn: must be set to read environment files",
		"executionRoleArn: must be set to read the credentials of a private registry",
	}},
	{"execution role on Fargate", fargate, LaunchTypeFargate, func(d *TaskDefinition, app *ContainerDefinition) {
		d.ExecutionRoleARN = ""
		app.Image = "111122223333.dkr.ecr.us-east-1.amazonaws.com/app:1"
		app.LogConfiguration = &LogConfiguration{LogDriver: LogDriverAWSLogs, Options: map[string]string{
			"awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p",
		}}
	}, []string{
		"executionRoleArn: Fargate requires task definition to have execution role ARN to support log driver awslogs.",
		"executionRoleArn: Fargate requires task definition to have execution role ARN to support ECR images.",
	}},

	{"no cpu", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU = "" },
		[]string{"cpu: Fargate requires that 'cpu' be defined at the task level."}},
	{"no memory", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) { d.Memory = "" },
		[]string{"memory: Fargate requires that 'memory' be defined at the task level."}},
	{"no Fargate pair", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) { d.Memory = "512" }, []string{
		"cpu: No Fargate configuration exists for given values: 512 CPU, 512 memory. See the Amazon ECS documentation for the valid values. (with 512 CPU the memory is 1024 to 4096 in steps of 1024)",
	}},
	{"no Fargate pair though EC2 is asked", fargate, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.RequiresCompatibilities, d.CPU = []LaunchType{"EC2", "FARGATE"}, "600"
	}, []string{
		"cpu: No Fargate configuration exists for given values: 600 CPU, 1024 memory. See the Amazon ECS documentation for the valid values. (the CPU is one of 256 512 1024 2048 4096 8192 16384 32768)",
	}},
	{"unreadable size", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU, d.Memory = "lots", "512MB" }, []string{
		`cpu: Invalid 'cpu' setting for task. cpu "lots" is not an amount: want CPU units such as "256", or vCPUs such as ".25 vCPU"`,
		`memory: Invalid 'memory' setting for task. memory "512MB" is not an amount: want MiB such as "512", or GB such as "0.5 GB"`,
	}},
	{"least EC2 cpu", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU = "128" }, nil},
	{"most EC2 cpu", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU = "192 vCPU" }, nil},
	{"EC2 cpu too small", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU = "127" },
		[]string{"cpu: Invalid 'cpu' setting for task. It must be 128 to 196608 units, not 127"}},
	{"EC2 cpu too big", ec2, LaunchTypeExternal, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU = "196609" },
		[]string{"cpu: Invalid 'cpu' setting for task. It must be 128 to 196608 units, not 196609"}},
	{"Windows ignores it", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.CPU = "1" }, nil},

	{"cpu sum equal", fargate, LaunchTypeFargate, func(d *TaskDefinition, app *ContainerDefinition) {
		app.CPU, d.ContainerDefinitions[1].CPU = 500, 12
	}, nil},
	{"cpu sum above", fargate, LaunchTypeFargate, func(d *TaskDefinition, app *ContainerDefinition) {
		app.CPU, d.ContainerDefinitions[1].CPU = 500, 13
	}, []string{"cpu: The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'. (513 of 512)"}},
	{"memory sum equal", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) { app.Memory = 960 }, nil},
	{"memory sum above", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) { app.Memory = 961 },
		[]string{"memory: The sum of all container memory reservations cannot be greater than the value of the task 'memory'. (1025 of 1024)"}},
	{"memory limits above, reservations not", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Memory, app.MemoryReservation = 1024, 900
	}, nil},
	{"container above task", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Memory, app.MemoryReservation = 1025, 100
	}, []string{"memory: The 'memory' setting for container 'app' is greater than for the task."}},
	{"memory not above reservation", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.MemoryReservation = 128 },
		[]string{"memory: Invalid setting for container 'app'. 'memory' must be greater than 'memoryReservation'."}},
	{"no memory at all", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Memory = 0 },
		[]string{"memory: Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified."}},
	{"reservation alone", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Memory, app.MemoryReservation = 0, 6 }, nil},
	{"task memory alone", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) { d.Memory, app.Memory = "128", 0 }, nil},
	{"amounts out of range", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.CPU, app.Memory, app.MemoryReservation = -1, 1<<31, 5
	}, []string{"cpu: must be 0 to 2147483647, not -1", "memory: must be 6 to 2147483647 MiB, not 2147483648", "memoryReservation: must be 6 to 2147483647 MiB, not 5"}},

	{"Fargate without awsvpc", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) { d.NetworkMode = "" },
		[]string{"networkMode: Fargate only supports network mode 'awsvpc'."}},
	{"unknown network mode", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.NetworkMode = "default" },
		[]string{`networkMode: must be none, bridge, awsvpc or host, not "default"`}},
	{"Windows network mode", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.NetworkMode = NetworkModeHost },
		[]string{`networkMode: must be default or awsvpc for Windows containers, not "host"`}},
	{"external awsvpc", ec2, LaunchTypeExternal, func(d *TaskDefinition, _ *ContainerDefinition) { d.NetworkMode = NetworkModeAWSVPC },
		[]string{"networkMode: awsvpc is not supported on external instances: want bridge, host or none"}},

	{"namespaces", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.PIDMode, d.IPCMode = "none", "private" },
		[]string{`pidMode: must be host or task, not "none"`, `ipcMode: must be host, task or none, not "private"`}},
	{"namespaces on Fargate", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) { d.PIDMode, d.IPCMode = "host", "task" },
		[]string{`pidMode: must be task on Fargate, not "host"`, "ipcMode: is not supported on Fargate"}},
	{"namespaces on Windows", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.PIDMode, d.IPCMode = "task", "task" },
		[]string{"pidMode: is not supported for Windows containers", "ipcMode: is not supported for Windows containers"}},

	{"architecture", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.RuntimePlatform = &RuntimePlatform{CPUArchitecture: "arm64", OperatingSystemFamily: "WINDOWS_SERVER_2016_CORE"}
	}, []string{
		"runtimePlatform.operatingSystemFamily: must be LINUX, WINDOWS_SERVER_2016_FULL, WINDOWS_SERVER_2004_CORE, WINDOWS_SERVER_20H2_CORE, WINDOWS_SERVER_2019_FULL, WINDOWS_SERVER_2019_CORE, WINDOWS_SERVER_2022_FULL, WINDOWS_SERVER_2022_CORE, WINDOWS_SERVER_2025_FULL or WINDOWS_SERVER_2025_CORE, not \"WINDOWS_SERVER_2016_CORE\"",
		`runtimePlatform.cpuArchitecture: must be X86_64 or ARM64, not "arm64"`,
	}},
	{"Windows on ARM", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.RuntimePlatform.CPUArchitecture = CPUArchitectureARM64
	},
		[]string{"runtimePlatform.cpuArchitecture: ARM64 is supported for Linux only"}},

	{"storage too small", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.EphemeralStorage = &EphemeralStorage{SizeInGiB: 20}
	}, []string{"ephemeralStorage.sizeInGiB: must be 21 to 200, not 20"}},
	{"storage too big", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.EphemeralStorage = &EphemeralStorage{SizeInGiB: 201}
	}, []string{"ephemeralStorage.sizeInGiB: must be 21 to 200, not 201"}},
	{"storage", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.EphemeralStorage = &EphemeralStorage{SizeInGiB: 21}
	}, nil},

	{"placement on Fargate", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.PlacementConstraints = []PlacementConstraint{{Type: "memberOf", Expression: "x"}}
	}, []string{"placementConstraints: is not supported on Fargate"}},
	{"placement", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.PlacementConstraints = []PlacementConstraint{
			{Type: "memberOf", Expression: strings.Repeat("x", 2000)},
			{Type: "distinctInstance", Expression: strings.Repeat("x", 2001)},
			{Type: "memberOf"},
		}
	}, []string{
		`placementConstraints[1].type: must be memberOf, not "distinctInstance"`,
		"placementConstraints[1].expression: has 2001 characters, ECS allows 2000",
		"placementConstraints[2].expression: must be set",
	}},
	{"many placement constraints", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.PlacementConstraints = slices.Repeat([]PlacementConstraint{{Type: "memberOf", Expression: "x"}}, 11)
	}, []string{"placementConstraints: has 11 constraints, ECS allows 10"}},

	{"proxy", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.ProxyConfiguration = &ProxyConfiguration{ContainerName: "side", Properties: []KeyValuePair{
			{Name: "IgnoredGID", Value: "1337"}, {Name: "AppPorts", Value: "80, 443"}, {Name: "ProxyIngressPort", Value: "15000"},
			{Name: "ProxyEgressPort", Value: "15001"}, {Name: "EgressIgnoredPorts"}, {Name: "EgressIgnoredIPs"},
		}}
	}, nil},
	{"proxy wrong", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.ProxyConfiguration = &ProxyConfiguration{Type: "ISTIO", ContainerName: "envoy", Properties: []KeyValuePair{{Name: "AppPorts", Value: "80,http"}}}
	}, []string{
		`proxyConfiguration.type: must be APPMESH, not "ISTIO"`,
		`proxyConfiguration.containerName: unknown container "envoy", the definition has "app" and "side"`,
		"proxyConfiguration.properties: IgnoredUID or IgnoredGID must be set",
		"proxyConfiguration.properties: ProxyIngressPort must be set",
		"proxyConfiguration.properties: ProxyEgressPort must be set",
		`proxyConfiguration.properties[0].value: AppPorts: "http" is not a port`,
	}},
	{"proxy on Windows", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.ProxyConfiguration = &ProxyConfiguration{} },
		[]string{"proxyConfiguration: is not supported for Windows containers"}},
	{"proxy on external", ec2, LaunchTypeExternal, func(d *TaskDefinition, _ *ContainerDefinition) { d.ProxyConfiguration = &ProxyConfiguration{} },
		[]string{"proxyConfiguration: App Mesh is not supported on external instances"}},

	{"accelerators", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.InferenceAccelerators = []InferenceAccelerator{{}}
	}, []string{"inferenceAccelerators[0].deviceName: must be set", "inferenceAccelerators[0].deviceType: must be set"}},
	{"accelerators on Fargate", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.InferenceAccelerators = []InferenceAccelerator{{}}
	}, []string{"inferenceAccelerators: is not supported on Fargate"}},

	{"tags", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Tags = []Tag{
			{Key: strings.Repeat("k", 128), Value: strings.Repeat("ü", 256)},
			{Key: "a+b-c=d.e_f:g/h@i j"},
			{Key: strings.Repeat("k", 129)},
			{},
			{Key: "AWS:name"},
			{Key: "twice"}, {Key: "twice"}, {Key: "Twice"},
			{Key: "v", Value: strings.Repeat("v", 257)},
			{Key: "w", Value: "50%"},
		}
	}, []string{
		"tags[2].key: must have 1 to 128 characters, not 129",
		"tags[3].key: must have 1 to 128 characters, not 0",
		`tags[4].key: the prefix "AWS:" is reserved for AWS`,
		`tags[6].key: duplicate key "twice"`,
		"tags[8].value: has 257 characters, ECS allows 256",
		"tags[9].value: has '%': letters, digits, spaces and + - = . _ : / @ are allowed",
	}},
	{"many tags", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		for i := range 51 {
			d.Tags = append(d.Tags, Tag{Key: fmt.Sprint(i)})
		}
	}, []string{"tags: has 51 tags, ECS allows 50"}},

	{"no containers", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.ContainerDefinitions = nil },
		[]string{"containerDefinitions: must have 1 to 10 containers, not 0"}},
	{"eleven containers", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		for i := range 9 {
			d.ContainerDefinitions = append(d.ContainerDefinitions, ContainerDefinition{Name: fmt.Sprint(i), Image: "i", Memory: 6})
		}
	}, []string{"containerDefinitions: must have 1 to 10 containers, not 11"}},
	{"none essential", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Essential = new(bool) },
		[]string{"containerDefinitions: at least one container must be essential"}},
	{"same name", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) { d.ContainerDefinitions[1].Name = "app" },
		[]string{`containerDefinitions[1].name: "app" is the name of containerDefinitions[0] already`}},
	{"name and image", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Name, app.Image = "", "" },
		[]string{"name: Container.name should not be null or empty.", "image: Container.image should not be null or empty."}},
	{"name characters", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Name = "my app" },
		[]string{`name: must be 1 to 255 letters, digits, hyphens and underscores, not "my app"`}},

	{"image characters", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Image = "nginx latest" },
		[]string{`image: Container.image contains invalid characters. ("nginx latest")`}},
	{"image of a template", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Image = "${IMAGE}" },
		[]string{`image: Container.image contains invalid characters. It looks like a template with a placeholder left in. ("${IMAGE}")`}},
	{"longest image", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Image = strings.Repeat("i", 255) + "@sha256:" + strings.Repeat("aF", 32)
	}, nil},
	{"image too long", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Image = strings.Repeat("i", 256) },
		[]string{"image: Container.image has 256 characters, ECS allows 255"}},
	{"image digest", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.Image = "nginx@sha512:00" },
		[]string{`image: the digest after @ must be sha256: and 64 hexadecimal digits, not "sha512:00"`}},

	{"hostname in awsvpc", fargate, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Hostname, app.ExtraHosts, app.Links = "h", []HostEntry{{Hostname: "a", IPAddress: "1.2.3.4"}}, []string{"side"}
	}, []string{
		"links: is supported with networkMode=bridge only, not awsvpc",
		"hostname: is not supported when networkMode=awsvpc",
		"extraHosts: is not supported when networkMode=awsvpc",
	}},
	{"Linux members on Windows", windows, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.User, app.ReadonlyRootFilesystem, app.Privileged, app.DisableNetworking = "a", true, true, true
		app.LinuxParameters, app.DNSServers, app.DNSSearchDomains = &LinuxParameters{}, []string{"a"}, []string{"a"}
		app.Ulimits = []Ulimit{{Name: "core"}}
		app.Links, app.ExtraHosts = []string{"side"}, []HostEntry{{Hostname: "a", IPAddress: "::1"}}
		app.SystemControls = []SystemControl{{Namespace: "net.a", Value: "1"}}
	}, []string{
		"links: is not supported for Windows containers",
		"extraHosts: is not supported for Windows containers",
		"dnsServers: is not supported for Windows containers",
		"dnsSearchDomains: is not supported for Windows containers",
		"disableNetworking: is not supported for Windows containers",
		"privileged: is not supported for Windows containers",
		"readonlyRootFilesystem: is not supported for Windows containers",
		"user: is not supported for Windows containers",
		"ulimits: is not supported for Windows containers",
		"linuxParameters: is not supported for Windows containers",
		"systemControls: is not supported for Windows containers",
	}},
	{"extra hosts", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.ExtraHosts = []HostEntry{{IPAddress: "host-gateway"}, {Hostname: "a", IPAddress: "a"}}
	}, []string{"extraHosts[0].hostname: must be set", `extraHosts[1].ipAddress: must be an IP address, not "a"`}},
	{"names that would be lines of files", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Hostname, app.ExtraHosts = "a b", []HostEntry{{Hostname: "a\n::1 b", IPAddress: "::1"}}
		app.DNSServers, app.DNSSearchDomains = []string{"10.0.0.2", "dns"}, []string{"a.internal", "b\nnameserver 1.1.1.1"}
	}, []string{
		`hostname: must be at most 64 letters, digits, - _ and ., not "a b"`,
		`extraHosts[0].hostname: must be letters, digits, - _ and ., not "a\n::1 b"`,
		`dnsServers[1]: must be an IP address, not "dns"`,
		`dnsSearchDomains[1]: must be letters, digits, - _ and ., not "b\nnameserver 1.1.1.1"`,
	}},

	{"user and group", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.User = "app:0" }, nil},
	{"user with empty group", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.User = "app:" },
		[]string{`user: must be a user, or user:group, each by name or number, not "app:"`}},
	{"user with three parts", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.User = "a:b:c" },
		[]string{`user: must be a user, or user:group, each by name or number, not "a:b:c"`}},
	{"negative user", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.User = "-5" },
		[]string{"user: -5 is not a user or group number"}},

	{"timeouts on EC2", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.StartTimeout, app.StopTimeout = 1, 3600 }, nil},
	{"negative timeouts", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.StartTimeout, app.StopTimeout = -1, -1 },
		[]string{"startTimeout: must not be negative", "stopTimeout: must not be negative"}},
	{"timeouts on Fargate", fargate, LaunchTypeFargate, func(d *TaskDefinition, app *ContainerDefinition) {
		app.StartTimeout, app.StopTimeout = 1, 121
		d.ContainerDefinitions[1].StartTimeout, d.ContainerDefinitions[1].StopTimeout = 120, 2
	}, []string{"startTimeout: must be 2 to 120 seconds on Fargate, not 1", "stopTimeout: must be 2 to 120 seconds on Fargate, not 121"}},

	{"version consistency", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) { app.VersionConsistency = "yes" },
		[]string{`versionConsistency: must be enabled or disabled, not "yes"`}},
	{"registry credentials", fargate, LaunchTypeFargate, func(d *TaskDefinition, app *ContainerDefinition) {
		app.RepositoryCredentials = &RepositoryCredentials{CredentialsParameter: "arn:aws:ssm:r:a:parameter/x"}
		d.ContainerDefinitions[1].RepositoryCredentials = &RepositoryCredentials{CredentialsParameter: "arn:aws:secretsmanager:r:a:secret:x"}
	}, []string{`repositoryCredentials.credentialsParameter: must be the ARN or name of a Secrets Manager secret, not "arn:aws:ssm:r:a:parameter/x"`}},
	{"credential specs", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.CredentialSpecs = []string{"credentialspec:arn:aws:s3:::a/b.json", "arn:aws:s3:::a/b.json"}
	}, []string{
		"credentialSpecs: has 2 ARNs, ECS allows 1",
		`credentialSpecs[1]: must be credentialspec:ARN or credentialspecdomainless:ARN, not "arn:aws:s3:::a/b.json"`,
	}},
	{"security options", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.DockerSecurityOptions = []string{"no-new-privileges", "label:type:x", "apparmor:p", "credentialspec:file://x", "seccomp:unconfined"}
	}, []string{`dockerSecurityOptions[4]: must be no-new-privileges, apparmor:PROFILE, label:VALUE or credentialspec:PATH, not "seccomp:unconfined"`}},

	{"health check at its limits", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.HealthCheck = &HealthCheck{Command: []string{"CMD", "true"}, Interval: 5, Timeout: 2, Retries: 1}
		d.ContainerDefinitions[1].HealthCheck = &HealthCheck{Command: []string{"CMD-SHELL", "true"}, Interval: 300, Timeout: 60, Retries: 10, StartPeriod: 300}
	}, nil},
	{"health check below", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.HealthCheck = &HealthCheck{Command: []string{"curl"}, Interval: 4, Timeout: 1, Retries: -1, StartPeriod: -1}
	}, []string{
		"healthCheck.command: must start with CMD or CMD-SHELL",
		"healthCheck.interval: must be 5 to 300 seconds, not 4",
		"healthCheck.timeout: must be 2 to 60 seconds, not 1",
		"healthCheck.retries: must be 1 to 10, not -1",
		"healthCheck.startPeriod: must be 0 to 300 seconds, not -1",
	}},
	{"health check above", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.HealthCheck = &HealthCheck{Command: []string{"CMD"}, Interval: 301, Timeout: 61, Retries: 11, StartPeriod: 301}
	}, []string{
		"healthCheck.command: must have a command after CMD",
		"healthCheck.interval: must be 5 to 300 seconds, not 301",
		"healthCheck.timeout: must be 2 to 60 seconds, not 61",
		"healthCheck.retries: must be 1 to 10, not 11",
		"healthCheck.startPeriod: must be 0 to 300 seconds, not 301",
	}},
	{"restart policy", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.RestartPolicy = &RestartPolicy{Enabled: true, RestartAttemptPeriod: 59, IgnoredExitCodes: make([]int, 51)}
		d.ContainerDefinitions[1].RestartPolicy = &RestartPolicy{Enabled: true, RestartAttemptPeriod: 1800, IgnoredExitCodes: make([]int, 50)}
	}, []string{
		"restartPolicy.restartAttemptPeriod: must be 60 to 1800 seconds, not 59",
		"restartPolicy.ignoredExitCodes: has 51 codes, ECS allows 50",
	}},

	{"environment", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Environment = []KeyValuePair{{Name: "A"}, {Value: "b"}, {Name: "C=D"}, {Name: "E", Value: "\x00"}}
	}, []string{
		"environment[1].name: must be set",
		`environment[2].name: must not have an equals sign or zero byte, as "C=D" has`,
		"environment[3].value: must not have a zero byte",
	}},
	{"environment files", fargate, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.EnvironmentFiles = []EnvironmentFile{
			{Type: "s3", Value: "arn:aws-us-gov:s3:::bucket/dir/a.env"},
			{Type: "efs", Value: "arn:aws:s3:::bucket/a.txt"},
			{Type: "s3", Value: "s3://bucket/a.env"},
			{Type: "s3", Value: "arn:aws:s3:::bucket"},
		}
	}, []string{
		`environmentFiles[1].type: must be s3, not "efs"`,
		`environmentFiles[1].value: must name a file with the extension .env, not "arn:aws:s3:::bucket/a.txt"`,
		`environmentFiles[2].value: must be the ARN of an S3 object, not "s3://bucket/a.env"`,
		`environmentFiles[3].value: must be the ARN of an S3 object, not "arn:aws:s3:::bucket"`,
	}},
	{"many environment files", fargate, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.EnvironmentFiles = slices.Repeat([]EnvironmentFile{{Type: "s3", Value: "arn:aws:s3:::b/a.env"}}, 6)
		d.ContainerDefinitions[1].EnvironmentFiles = app.EnvironmentFiles[:5]
	}, []string{"containerDefinitions: the containers have 11 environment files together, ECS allows 10"}},

	{"secrets", fargate, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Environment = []KeyValuePair{{Name: "TAKEN"}}
		app.Secrets = []Secret{
			{Name: "A", ValueFrom: "arn:aws:secretsmanager:us-east-1:111122223333:secret:n-AbCdEf"},
			{Name: "B", ValueFrom: "arn:aws:secretsmanager:us-east-1:111122223333:secret:n-AbCdEf:key:stage:id"},
			{Name: "C", ValueFrom: "arn:aws:secretsmanager:us-east-1:111122223333:secret:n-AbCdEf:::"},
			{Name: "D", ValueFrom: "arn:aws:ssm:us-east-1:111122223333:parameter/a/b"},
			{Name: "E", ValueFrom: "/a/b.c-d_e"},
			{Name: "F", ValueFrom: "arn:aws:secretsmanager:us-east-1:111122223333:secret:n-AbCdEf:key"},
			{Name: "G", ValueFrom: "arn:aws:s3:::bucket/key"},
			{Name: "H", ValueFrom: "arn:aws:ssm:us-east-1"},
			{Name: "I", ValueFrom: "a b"},
			{Name: "A", ValueFrom: "a"},
			{Name: "TAKEN", ValueFrom: "a"},
			{},
		}
	}, []string{
		`secrets[5].valueFrom: "arn:aws:secretsmanager:us-east-1:111122223333:secret:n-AbCdEf:key" must end after the secret's name, or have all the colons of :json-key:version-stage:version-id`,
		`secrets[6].valueFrom: must be the ARN of a Secrets Manager secret or SSM parameter, or a parameter's name, not "arn:aws:s3:::bucket/key"`,
		`secrets[7].valueFrom: "arn:aws:ssm:us-east-1" is not an ARN: it has 4 of the 6 parts arn:partition:service:region:account:resource`,
		`secrets[8].valueFrom: "a b" is neither an ARN nor the name of an SSM parameter: it has ' '`,
		"secrets[9].name: The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'A'.",
		"secrets[10].name: The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'TAKEN'.",
		"secrets[11].name: must be set",
		"secrets[11].valueFrom: must be set",
	}},

	{"ports in bridge mode", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.PortMappings = []PortMapping{
			{ContainerPort: 80, HostPort: 8080, Protocol: "sctp", Name: "_web-1", AppProtocol: AppProtocolGRPC},
			{ContainerPort: 65535}, {ContainerPort: 0}, {ContainerPort: 65536}, {ContainerPort: 1, HostPort: -1},
			{ContainerPort: 2, Name: "-web"}, {ContainerPort: 3, Name: "Web"}, {ContainerPort: 4, AppProtocol: "tcp"},
			{ContainerPort: 5, Name: strings.Repeat("n", 65)},
		}
	}, []string{
		"portMappings[2].containerPort: must be 1 to 65535, not 0",
		"portMappings[3].containerPort: must be 1 to 65535, not 65536",
		"portMappings[4].hostPort: must be 0 to 65535, not -1",
		`portMappings[5].name: must be 1 to 64 lower-case letters, digits, underscores and hyphens, not starting with a hyphen, not "-web"`,
		`portMappings[6].name: must be 1 to 64 lower-case letters, digits, underscores and hyphens, not starting with a hyphen, not "Web"`,
		`portMappings[7].appProtocol: must be http, http2 or grpc, not "tcp"`,
		fmt.Sprintf("portMappings[8].name: must be 1 to 64 lower-case letters, digits, underscores and hyphens, not starting with a hyphen, not %q", strings.Repeat("n", 65)),
	}},
	{"ports in awsvpc mode", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.PortMappings = []PortMapping{{ContainerPort: 80, HostPort: 80}, {ContainerPort: 81}, {ContainerPort: 82, HostPort: 8082}}
	}, []string{"portMappings[2].hostPort: When networkMode=awsvpc, the host ports and container ports in port mappings must match. (8082 and 82)"}},
	{"ports in host mode", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		d.NetworkMode = NetworkModeHost
		app.PortMappings = []PortMapping{{ContainerPort: 82, HostPort: 8082}, {ContainerPortRange: "90-91"}}
	}, []string{
		"portMappings[0].hostPort: When networkMode=host, the host ports and container ports in port mappings must match. (8082 and 82)",
		"portMappings[1].containerPortRange: is supported with networkMode=bridge or awsvpc only, not host",
	}},
	{"ports in none mode", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		d.NetworkMode, app.PortMappings = NetworkModeNone, []PortMapping{{ContainerPort: 80}}
	}, []string{"portMappings: is not supported when networkMode=none"}},
	{"port ranges", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.PortMappings = []PortMapping{
			{ContainerPortRange: "100-200"}, {ContainerPortRange: "201-300"}, {ContainerPortRange: "1-65536"},
			{ContainerPortRange: "5-5"}, {ContainerPortRange: "10"}, {ContainerPortRange: "30-31", ContainerPort: 7, HostPort: 8},
		}
	}, []string{
		`portMappings[2].containerPortRange: port range "1-65536": want first-last with first below last, both from 1 to 65535`,
		`portMappings[3].containerPortRange: port range "5-5": want first-last with first below last, both from 1 to 65535`,
		`portMappings[4].containerPortRange: port range "10": want first-last with first below last, both from 1 to 65535`,
		"portMappings[5].containerPort: cannot be set together with containerPortRange",
		"portMappings[5].hostPort: cannot be set together with containerPortRange",
	}},
	{"ports in two mappings", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.PortMappings = []PortMapping{
			{ContainerPort: 53, Protocol: ProtocolUDP}, {ContainerPort: 53, Protocol: ProtocolTCP},
			{ContainerPortRange: "1000-2000"}, {ContainerPortRange: "1100-1200"}, {ContainerPort: 1300},
		}
		d.ContainerDefinitions[1].PortMappings = []PortMapping{{ContainerPort: 53}}
	}, []string{
		"portMappings[1]: container port 53 is in portMappings[0] already",
		"portMappings[3]: container port 1100 is in portMappings[2] already",
		"portMappings[4]: container port 1300 is in portMappings[2] already",
	}},
	{"many port ranges", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		for i := range 101 {
			app.PortMappings = append(app.PortMappings, PortMapping{ContainerPortRange: fmt.Sprintf("%d-%d", 10*i+1, 10*i+2)})
		}
	}, []string{"portMappings: has 101 port ranges, ECS allows 100"}},
	{"port names", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.PortMappings = []PortMapping{{ContainerPort: 80, Name: "web"}}
		d.ContainerDefinitions[1].PortMappings = []PortMapping{{ContainerPort: 81, Name: "web"}, {ContainerPort: 82}, {ContainerPort: 83}}
	}, []string{`containerDefinitions[1].portMappings[0].name: "web" is the name of containerDefinitions[0].portMappings[0] already`}},

	{"links", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Links = []string{"side", "side:alias", "side:a b", "other:x", "app"}
	}, []string{
		`links[2]: must be name or name:alias, not "side:a b"`,
		`links[3]: unknown container "other", the definition has "app" and "side"`,
		`links[4]: container "app" links to itself`,
	}},
	{"volumes from", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.VolumesFrom = []VolumeFrom{{SourceContainer: "side"}, {SourceContainer: "other"}, {SourceContainer: "app"}}
	}, []string{
		`volumesFrom[1].sourceContainer: unknown container "other", the definition has "app" and "side"`,
		`volumesFrom[2].sourceContainer: container "app" takes volumes from itself`,
	}},
	{"dependencies", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		d.ContainerDefinitions[1].HealthCheck = &HealthCheck{Command: []string{"CMD", "true"}}
		for _, c := range conditions {
			app.DependsOn = append(app.DependsOn, ContainerDependency{ContainerName: "side", Condition: c})
		}
	}, nil},
	{"ring of two", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.DependsOn = []ContainerDependency{{ContainerName: "side", Condition: ConditionStart}}
		d.ContainerDefinitions[1].DependsOn = []ContainerDependency{{ContainerName: "app", Condition: ConditionStart}}
	}, []string{`containerDefinitions[1].dependsOn: containers wait for each other: "app" waits for "side" waits for "app"`}},

	{"mounts", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		d.Volumes = []Volume{{Name: "data"}, {Name: "logs"}}
		app.MountPoints = []MountPoint{{SourceVolume: "data", ContainerPath: "/data"}, {SourceVolume: "date", ContainerPath: "/d"}, {}}
	}, []string{
		`mountPoints[1].sourceVolume: Unknown volume 'date'. The definition has "data" and "logs".`,
		"mountPoints[2].containerPath: must be set",
		"mountPoints[2].sourceVolume: must be the name of a volume",
	}},
	{"mounts without volumes", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.MountPoints = []MountPoint{{SourceVolume: "data", ContainerPath: "/data"}}
	}, []string{"mountPoints[0].sourceVolume: Unknown volume 'data'. The definition has no volumes."}},
	{"volume names", ec2, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Volumes = []Volume{{Name: "a"}, {Name: "a"}, {}, {Name: "a/b"}}
	}, []string{
		`volumes[1].name: duplicate volume name "a"`,
		"volumes[2].name: must be set",
		`volumes[3].name: must be 1 to 255 letters, digits, hyphens and underscores, not "a/b"`,
	}},
	{"volume kinds", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Volumes = []Volume{
			{Name: "a", Host: &HostVolume{}, ConfiguredAtLaunch: true},
			{Name: "b", ConfiguredAtLaunch: true},
			{Name: "c", Host: &HostVolume{SourcePath: "/c"}},
			{Name: "d", DockerVolumeConfiguration: &DockerVolume{}},
			{Name: "e", FSxWindowsFileServerVolumeConfiguration: &FSxVolume{FileSystemID: "f", RootDirectory: "r", AuthorizationConfig: &FSxAuthorizationConfig{CredentialsParameter: "c", Domain: "d"}}},
		}
	}, []string{
		"volumes: one volume can be configuredAtLaunch, not 2",
		"volumes[0]: must be of one kind, not configuredAtLaunch and host",
		"volumes[2].host.sourcePath: is not supported on Fargate",
		"volumes[3].dockerVolumeConfiguration: is not supported on Fargate",
		"volumes[4].fsxWindowsFileServerVolumeConfiguration: is not supported on Fargate",
	}},
	{"docker volumes", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Volumes = []Volume{
			{Name: "a", DockerVolumeConfiguration: &DockerVolume{Scope: "shared", Autoprovision: true, Driver: "local"}},
			{Name: "b", DockerVolumeConfiguration: &DockerVolume{Scope: "all", Autoprovision: true, Driver: "rexray"}},
		}
	}, []string{
		`volumes[1].dockerVolumeConfiguration.scope: must be task or shared, not "all"`,
		"volumes[1].dockerVolumeConfiguration.autoprovision: is for the scope shared only",
		`volumes[1].dockerVolumeConfiguration.driver: must be local for Windows containers, not "rexray"`,
	}},
	{"EFS volumes", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Volumes = []Volume{
			{Name: "a", EFSVolumeConfiguration: &EFSVolume{}},
			{Name: "b", EFSVolumeConfiguration: &EFSVolume{FileSystemID: "fs", TransitEncryption: "on", TransitEncryptionPort: 65536}},
			{Name: "c", EFSVolumeConfiguration: &EFSVolume{FileSystemID: "fs", AuthorizationConfig: &EFSAuthorizationConfig{IAM: "ENABLED"}}},
			{Name: "d", EFSVolumeConfiguration: &EFSVolume{FileSystemID: "fs", TransitEncryption: "ENABLED", RootDirectory: "/d", AuthorizationConfig: &EFSAuthorizationConfig{AccessPointID: "ap", IAM: "yes"}}},
		}
	}, []string{
		"volumes[0].efsVolumeConfiguration.fileSystemId: must be set",
		`volumes[1].efsVolumeConfiguration.transitEncryption: must be ENABLED or DISABLED, not "on"`,
		"volumes[1].efsVolumeConfiguration.transitEncryptionPort: must be 1 to 65535, not 65536",
		"volumes[2].efsVolumeConfiguration.transitEncryption: must be ENABLED when IAM or an access point is used",
		`volumes[3].efsVolumeConfiguration.authorizationConfig.iam: must be ENABLED or DISABLED, not "yes"`,
		`volumes[3].efsVolumeConfiguration.rootDirectory: must be / or unset with an access point, not "/d"`,
	}},
	{"FSx volume", windows, LaunchTypeEC2, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Volumes = []Volume{{Name: "a", FSxWindowsFileServerVolumeConfiguration: &FSxVolume{}}}
	}, []string{
		"volumes[0].fsxWindowsFileServerVolumeConfiguration.fileSystemId: must be set",
		"volumes[0].fsxWindowsFileServerVolumeConfiguration.rootDirectory: must be set",
		"volumes[0].fsxWindowsFileServerVolumeConfiguration.authorizationConfig.credentialsParameter: must be set",
		"volumes[0].fsxWindowsFileServerVolumeConfiguration.authorizationConfig.domain: must be set",
	}},
	{"S3 Files volume", fargate, LaunchTypeFargate, func(d *TaskDefinition, _ *ContainerDefinition) {
		d.Volumes = []Volume{{Name: "a", S3FilesVolumeConfiguration: &S3FilesVolume{
			FileSystemARN: "fs", AccessPointARN: "ap", RootDirectory: "/x", TransitEncryptionPort: -1,
		}}}
	}, []string{
		`volumes[0].s3filesVolumeConfiguration.fileSystemArn: must be the ARN of an S3 Files file system, not "fs"`,
		`volumes[0].s3filesVolumeConfiguration.accessPointArn: must be the ARN of an access point, not "ap"`,
		`volumes[0].s3filesVolumeConfiguration.rootDirectory: must be / or unset with an access point, not "/x"`,
		"volumes[0].s3filesVolumeConfiguration.transitEncryptionPort: must be 1 to 65535, not -1",
		"volumes[0].s3filesVolumeConfiguration: needs a task role: set taskRoleArn",
	}},

	{"log drivers on Fargate", fargate, LaunchTypeFargate, func(d *TaskDefinition, app *ContainerDefinition) {
		app.LogConfiguration = &LogConfiguration{LogDriver: LogDriverFluentd}
		d.ContainerDefinitions[1].LogConfiguration = &LogConfiguration{}
	}, []string{
		`logConfiguration.logDriver: must be awslogs, splunk or awsfirelens, not "fluentd"`,
		"containerDefinitions[1].logConfiguration.logDriver: must be awslogs, splunk or awsfirelens",
	}},
	{"awslogs on EC2", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LogConfiguration = &LogConfiguration{LogDriver: LogDriverAWSLogs, Options: map[string]string{"awslogs-region": "r", "mode": "async"}}
	}, []string{
		"logConfiguration.options: Log driver awslogs requires options: awslogs-group",
		`logConfiguration.options.mode: must be blocking or non-blocking, not "async"`,
	}},
	{"awslogs on Fargate", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LogConfiguration = &LogConfiguration{LogDriver: LogDriverAWSLogs}
	}, []string{"logConfiguration.options: Log driver awslogs requires options: awslogs-group, awslogs-region, awslogs-stream-prefix"}},
	{"log option twice", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LogConfiguration = &LogConfiguration{
			LogDriver: LogDriverSplunk, Options: map[string]string{"splunk-url": "u", "splunk-token": "t"},
			SecretOptions: []Secret{{Name: "splunk-token", ValueFrom: "t"}},
		}
	}, []string{`logConfiguration.secretOptions[0].name: "splunk-token" is among the options already`}},
	{"FireLens without router", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LogConfiguration = &LogConfiguration{LogDriver: LogDriverAWSFirelens}
	}, []string{"logConfiguration.logDriver: awsfirelens needs a log router: a container with a firelensConfiguration"}},
	{"two FireLens routers", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.FirelensConfiguration = &FirelensConfiguration{Type: FirelensFluentd}
		d.ContainerDefinitions[1].FirelensConfiguration = &FirelensConfiguration{Type: FirelensFluentBit}
	}, []string{`containerDefinitions: one container can have a firelensConfiguration, not "app" and "side"`}},
	{"FireLens options", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.FirelensConfiguration = &FirelensConfiguration{Type: "vector", Options: map[string]string{
			"config-file-type": "s3", "config-file-value": "s3://b/k", "enable-ecs-log-metadata": "no",
		}}
	}, []string{
		`firelensConfiguration.type: must be fluentd or fluentbit, not "vector"`,
		`firelensConfiguration.options: config-file-value must be the ARN of an S3 object, not "s3://b/k"`,
		`firelensConfiguration.options: enable-ecs-log-metadata must be true or false, not "no"`,
	}},
	{"FireLens half a file", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.FirelensConfiguration = &FirelensConfiguration{Type: FirelensFluentd, Options: map[string]string{"config-file-type": "file"}}
	}, []string{"firelensConfiguration.options: config-file-type and config-file-value must be set together"}},
	{"FireLens file from S3 on Fargate", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.FirelensConfiguration = &FirelensConfiguration{Type: FirelensFluentd, Options: map[string]string{"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/k"}}
	}, []string{`firelensConfiguration.options: config-file-type must be file on Fargate, not "s3"`}},

	{"GPU", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.ResourceRequirements = []ResourceRequirement{{Type: ResourceGPU, Value: "2"}, {Type: ResourceGPU, Value: "0"}, {Type: "TPU", Value: "1"}}
		d.ContainerDefinitions[1].ResourceRequirements = []ResourceRequirement{{Type: ResourceGPU, Value: "ALL"}}
	}, []string{
		`resourceRequirements[1].value: must be a number of GPUs or ALL, not "0"`,
		`resourceRequirements[2].type: must be GPU, NeuronDevice or InferenceAccelerator, not "TPU"`,
	}},
	{"GPU on Fargate", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.ResourceRequirements = []ResourceRequirement{{Type: ResourceGPU, Value: "2"}}
	}, []string{"resourceRequirements: is not supported on Fargate"}},
	{"GPU shared and whole", ec2, LaunchTypeExternal, func(d *TaskDefinition, app *ContainerDefinition) {
		app.ResourceRequirements = []ResourceRequirement{
			{Type: ResourceGPU, Value: "1", SharingStrategy: &SharingStrategy{NvidiaMPS: &NvidiaMPSAllocation{MaxComputePercent: 101}}},
			{Type: ResourceNeuronDevice, SharingStrategy: &SharingStrategy{}},
		}
		d.ContainerDefinitions[1].ResourceRequirements = []ResourceRequirement{{Type: ResourceGPU, Value: "1"}}
	}, []string{
		"containerDefinitions: the containers that require GPUs must all use value, or all sharingStrategy",
		"resourceRequirements[0].sharingStrategy: cannot be set together with value",
		"resourceRequirements[0].sharingStrategy: is not supported on external instances",
		"resourceRequirements[0].sharingStrategy.nvidiaMps.memory: must be a positive number of MiB",
		"resourceRequirements[0].sharingStrategy.nvidiaMps.maxComputePercent: must be 1 to 100, not 101",
		"resourceRequirements[1].sharingStrategy: is supported for type GPU only",
		"resourceRequirements[1].sharingStrategy: is not supported on external instances",
		"resourceRequirements[1].sharingStrategy: must have nvidiaMps",
	}},
	{"Neuron devices", ec2, LaunchTypeManagedInstances, func(d *TaskDefinition, app *ContainerDefinition) {
		app.ResourceRequirements = []ResourceRequirement{{Type: ResourceNeuronDevice, Value: "1"}}
		d.ContainerDefinitions[1].ResourceRequirements = []ResourceRequirement{{Type: ResourceNeuronDevice, Value: "ALL"}}
	}, []string{
		"containerDefinitions: one container can require Neuron devices, not 2",
		`resourceRequirements[0].value: must be ALL for Neuron devices, not "1"`,
	}},
	{"inference accelerator", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		d.InferenceAccelerators = []InferenceAccelerator{{DeviceName: "a", DeviceType: "t"}}
		app.ResourceRequirements = []ResourceRequirement{{Type: ResourceInferenceAccelerator, Value: "a"}, {Type: ResourceInferenceAccelerator, Value: "b"}}
	}, []string{`resourceRequirements[1].value: must be the deviceName of one of the inferenceAccelerators, not "b"`}},

	{"ulimits", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.Ulimits = []Ulimit{
			{Name: "nofile", SoftLimit: 1048576, HardLimit: 1048576},
			{Name: "nofile", SoftLimit: 1, HardLimit: 1048577},
			{Name: "files", SoftLimit: 1, HardLimit: 1},
			{Name: "core", SoftLimit: 2, HardLimit: 1},
			{Name: "cpu", SoftLimit: -1, HardLimit: 1},
			{Name: "memlock", SoftLimit: -1, HardLimit: -1},
			{Name: "stack", SoftLimit: 5, HardLimit: -1},
			{Name: "data", SoftLimit: -2, HardLimit: -1},
		}
	}, []string{
		`ulimits[1].name: duplicate limit "nofile"`,
		"ulimits[1]: nofile must be at most 1048576 on Fargate",
		`ulimits[2].name: must be core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending or stack, not "files"`,
		"ulimits[3].softLimit: must not be above hardLimit (2 and 1)",
		"ulimits[4].softLimit: must not be above hardLimit (-1 and 1)",
		"ulimits[7]: limits must be -1, which is none, or more",
	}},
	{"system controls", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		d.NetworkMode, d.IPCMode = NetworkModeHost, IPCModeHost
		app.SystemControls = []SystemControl{
			{Namespace: "net.core.somaxconn", Value: "1"}, {Namespace: "kernel.sem", Value: "1"},
			{Namespace: "fs.mqueue.msg_max"}, {Namespace: "vm.max_map_count", Value: "262144"},
		}
	}, []string{
		"systemControls[0].namespace: net.core.somaxconn is not supported when networkMode=host",
		"systemControls[1].namespace: kernel.sem is not supported when ipcMode=host",
		"systemControls[2].namespace: fs.mqueue.msg_max is not supported when ipcMode=host",
		"systemControls[2].value: must be set",
		`systemControls[3].namespace: must start with net. or fs.mqueue. or be one of kernel.msgmax, kernel.msgmnb, kernel.msgmni, kernel.sem, kernel.shmall, kernel.shmmax, kernel.shmmni and kernel.shm_rmid_forced, not "vm.max_map_count"`,
	}},
	{"capabilities", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LinuxParameters = &LinuxParameters{Capabilities: &KernelCapabilities{Add: []string{"ALL", "CAP_NET_ADMIN"}, Drop: []string{"MKNOD", "FLY"}}}
	}, []string{
		`linuxParameters.capabilities.add[1]: "CAP_NET_ADMIN" is not a Linux capability, did you mean "NET_ADMIN"?`,
		`linuxParameters.capabilities.drop[1]: "FLY" is not a Linux capability`,
	}},
	{"capabilities on Fargate", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LinuxParameters = &LinuxParameters{Capabilities: &KernelCapabilities{Add: []string{"SYS_PTRACE", "ALL"}, Drop: []string{"ALL"}}}
	}, []string{"linuxParameters.capabilities.add[1]: ALL cannot be added on Fargate, only SYS_PTRACE can"}},
	{"devices", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LinuxParameters = &LinuxParameters{Devices: []Device{{HostPath: "/dev/fuse"}, {Permissions: []string{"read", "rw"}}}}
	}, []string{"linuxParameters.devices[1].hostPath: must be set", `linuxParameters.devices[1].permissions[1]: must be read, write or mknod, not "rw"`}},
	{"tmpfs", fargate, LaunchTypeFargate, func(_ *TaskDefinition, app *ContainerDefinition) {
		app.LinuxParameters = &LinuxParameters{Tmpfs: []Tmpfs{
			{ContainerPath: "/run", Size: 1, MountOptions: []string{"ro", "mode=755", "size=5", "ro=1"}}, {ContainerPath: "run"},
		}}
	}, []string{
		`linuxParameters.tmpfs[0].mountOptions[2]: "size=5" is not a mount option that ECS knows`,
		`linuxParameters.tmpfs[0].mountOptions[3]: "ro=1" is not a mount option that ECS knows`,
		`linuxParameters.tmpfs[1].containerPath: must be an absolute path, not "run"`,
		"linuxParameters.tmpfs[1].size: must be a positive number of MiB",
	}},
	{"swap", ec2, LaunchTypeEC2, func(_ *TaskDefinition, app *ContainerDefinition) {
		swap, swappiness := MiB(-1), 101
		app.LinuxParameters = &LinuxParameters{MaxSwap: &swap, Swappiness: &swappiness, SharedMemorySize: -1}
	}, []string{
		"linuxParameters.maxSwap: must be 0 or more, not -1",
		"linuxParameters.swappiness: must be 0 to 100, not 101",
		"linuxParameters.sharedMemorySize: must not be negative",
	}},
	{"document size", ec2, LaunchTypeEC2, func(d *TaskDefinition, app *ContainerDefinition) {
		app.Command = []string{strings.Repeat("x", 65<<10)}
		d.RegisteredBy = "does not count"
	}, []string{"containerDefinitions: the definition has 66724 bytes as compact JSON, ECS allows 65536"}},
}

func TestRules(t *testing.T) {
	for _, tt := range rules {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.base()
			tt.change(d, &d.ContainerDefinitions[0])
			got := problemsOf(t, d.Validate(tt.lt))
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "containerDefinitions[0].")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateRequired(t *testing.T) {
	d := ec2()
	if err := d.ValidateRequired(); err != nil {
		t.Errorf("without requirements: %v", err)
	}
	d.RequiresCompatibilities = []LaunchType{LaunchTypeEC2, LaunchTypeFargate}
	d.Family = ""
	want := []string{
		"family: Family should not be null or empty.",
		"cpu: Fargate requires that 'cpu' be defined at the task level.",
		"memory: Fargate requires that 'memory' be defined at the task level.",
		"networkMode: Fargate only supports network mode 'awsvpc'.",
	}
	err := d.ValidateRequired()
	if diff := cmp.Diff(want, problemsOf(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if want := `task: definition "" is not valid for EC2 and FARGATE:` + "\n\tfamily: "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got error %q, want it to start with %q", err, want)
	}
}

func TestValidateChangesNothing(t *testing.T) {
	for _, file := range corpus(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := DecodeDefinition(strings.NewReader(string(data)))
		if err != nil {
			continue // TestCorpus has looked at the error
		}
		before := d.Clone()
		for _, lt := range launchTypes {
			_ = d.Validate(lt)
		}
		if diff := cmp.Diff(before, d); diff != "" {
			t.Errorf("%s (-before +after):\n%s", file, diff)
		}
	}
}
