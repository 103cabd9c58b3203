package task

import (
	"fmt"
	"slices"
	"strings"
)

// logDrivers returns the log drivers that the launch type has.
func (v *validator) logDrivers() []LogDriver {
	drivers := []LogDriver{LogDriverAWSLogs, LogDriverSplunk, LogDriverAWSFirelens}
	switch v.lt {
	case LaunchTypeFargate:
	case LaunchTypeManagedInstances:
		drivers = append(drivers, LogDriverJSONFile)
	default:
		drivers = append(drivers, LogDriverJSONFile, LogDriverSyslog, LogDriverJournald, LogDriverGELF, LogDriverFluentd, LogDriverNone)
	}
	return drivers
}

func (s *containerScope) logging() {
	l := s.c.LogConfiguration
	if l == nil {
		return
	}
	if drivers := s.logDrivers(); !slices.Contains(drivers, l.LogDriver) {
		s.bad("logConfiguration.logDriver", "%s", oneOf(l.LogDriver, drivers))
		return
	}
	var required []string
	switch l.LogDriver {
	case LogDriverAWSLogs:
		required = []string{"awslogs-group", "awslogs-region"}
		if s.fargate {
			required = append(required, "awslogs-stream-prefix")
		}
	case LogDriverSplunk:
		required = []string{"splunk-token", "splunk-url"}
	}
	required = slices.DeleteFunc(required, l.has)
	if len(required) > 0 {
		s.bad("logConfiguration.options", "Log driver %s requires options: %s", l.LogDriver, strings.Join(required, ", "))
	}
	if mode := l.Options["mode"]; mode != "" && mode != "blocking" && mode != "non-blocking" && l.LogDriver != LogDriverAWSFirelens {
		s.bad("logConfiguration.options.mode", "%s", oneOf(mode, []string{"blocking", "non-blocking"}))
	}
}

// has reports whether the option is set, in the open or as a secret.
func (l *LogConfiguration) has(option string) bool {
	return l.Options[option] != "" || slices.ContainsFunc(l.SecretOptions, func(s Secret) bool { return s.Name == option })
}

func (s *containerScope) firelens() {
	f := s.c.FirelensConfiguration
	if f == nil {
		return
	}
	if f.Type != FirelensFluentd && f.Type != FirelensFluentBit {
		s.bad("firelensConfiguration.type", "%s", oneOf(f.Type, []FirelensType{FirelensFluentd, FirelensFluentBit}))
	}
	const options = "firelensConfiguration.options"
	kind, file := f.Options["config-file-type"], f.Options["config-file-value"]
	switch {
	case kind == "" && file == "":
	case kind == "" || file == "":
		s.bad(options, "config-file-type and config-file-value must be set together")
	case kind != "s3" && kind != "file":
		s.bad(options, "config-file-type %s", oneOf(kind, []string{"s3", "file"}))
	case kind == "s3" && s.fargate:
		s.bad(options, "config-file-type must be file on Fargate, not \"s3\"")
	case kind == "s3":
		if a, err := ParseARN(file); err != nil || a.Service != "s3" {
			s.bad(options, "config-file-value must be the ARN of an S3 object, not %q", file)
		}
	}
	if m, ok := f.Options["enable-ecs-log-metadata"]; ok && m != "true" && m != "false" {
		s.bad(options, "enable-ecs-log-metadata %s", oneOf(m, []string{"true", "false"}))
	}
}

// firelensRouter wants one log router for containers that log through one.
func (v *validator) firelensRouter() {
	var routers []string
	sender := -1
	for i := range v.def.ContainerDefinitions {
		c := &v.def.ContainerDefinitions[i]
		if c.FirelensConfiguration != nil {
			routers = append(routers, fmt.Sprintf("%q", c.Name))
		}
		if c.LogConfiguration != nil && c.LogConfiguration.LogDriver == LogDriverAWSFirelens && sender < 0 {
			sender = i
		}
	}
	switch {
	case len(routers) > 1:
		v.bad("containerDefinitions", "one container can have a firelensConfiguration, not %s", joinWords(routers, "and"))
	case len(routers) == 0 && sender >= 0:
		v.bad(fmt.Sprintf("containerDefinitions[%d].logConfiguration.logDriver", sender),
			"awsfirelens needs a log router: a container with a firelensConfiguration")
	}
}
