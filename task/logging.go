package task

// LogDriver is the way a container's output goes.
type LogDriver string

// The log drivers of ECS. Fargate knows awslogs, splunk and awsfirelens.
const (
	LogDriverAWSLogs     LogDriver = "awslogs"
	LogDriverAWSFirelens LogDriver = "awsfirelens"
	LogDriverSplunk      LogDriver = "splunk"
	LogDriverJSONFile    LogDriver = "json-file"
	LogDriverSyslog      LogDriver = "syslog"
	LogDriverJournald    LogDriver = "journald"
	LogDriverGELF        LogDriver = "gelf"
	LogDriverFluentd     LogDriver = "fluentd"
	LogDriverNone        LogDriver = "none" // of the ECS agent, not of its API
)

// LogConfiguration says where a container's output goes.
type LogConfiguration struct {
	LogDriver LogDriver `json:"logDriver,omitempty"`
	// Options are the driver's own.
	Options map[string]string `json:"options,omitempty"`
	// SecretOptions are options whose value is a secret.
	SecretOptions []Secret `json:"secretOptions,omitempty"`
	Extra         Extra    `json:"-"`
}

// FirelensType is the program of a log router.
type FirelensType string

// The log routers of FireLens.
const (
	FirelensFluentd   FirelensType = "fluentd"
	FirelensFluentBit FirelensType = "fluentbit"
)

// FirelensConfiguration makes a container the log router of its task.
type FirelensConfiguration struct {
	Type FirelensType `json:"type,omitempty"`
	// Options are enable-ecs-log-metadata, config-file-type and
	// config-file-value.
	Options map[string]string `json:"options,omitempty"`
	Extra   Extra             `json:"-"`
}
