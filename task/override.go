package task

// TaskOverride changes a definition for one run. Members that are unset leave
// the definition as it is.
type TaskOverride struct {
	ContainerOverrides            []ContainerOverride    `json:"containerOverrides,omitempty"`
	CPU                           string                 `json:"cpu,omitempty"`
	InferenceAcceleratorOverrides []InferenceAccelerator `json:"inferenceAcceleratorOverrides,omitempty"`
	ExecutionRoleARN              string                 `json:"executionRoleArn,omitempty"`
	Memory                        string                 `json:"memory,omitempty"`
	TaskRoleARN                   string                 `json:"taskRoleArn,omitempty"`
	EphemeralStorage              *EphemeralStorage      `json:"ephemeralStorage,omitempty"`
	Extra                         Extra                  `json:"-"`
}

// ContainerOverride changes one container of a definition for one run.
type ContainerOverride struct {
	// Name of the container; required if anything else is set.
	Name string `json:"name,omitempty"`
	// Command replaces the definition's.
	Command []string `json:"command,omitempty"`
	// Environment adds variables, or replaces those of the same name.
	Environment []KeyValuePair `json:"environment,omitempty"`
	// EnvironmentFiles replace the definition's.
	EnvironmentFiles     []EnvironmentFile     `json:"environmentFiles,omitempty"`
	CPU                  CPUUnits              `json:"cpu,omitempty"`
	Memory               MiB                   `json:"memory,omitempty"`
	MemoryReservation    MiB                   `json:"memoryReservation,omitempty"`
	ResourceRequirements []ResourceRequirement `json:"resourceRequirements,omitempty"`
	Extra                Extra                 `json:"-"`
}
