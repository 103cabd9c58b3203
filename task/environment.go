package task

// KeyValuePair is an environment variable, a proxy property or a detail of an
// attachment.
type KeyValuePair struct {
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	Extra Extra  `json:"-"`
}

// EnvironmentFile is an object of VARIABLE=VALUE lines.
type EnvironmentFile struct {
	// Value is the ARN of an S3 object whose name ends in .env.
	Value string `json:"value,omitempty"`
	// Type is s3, the only one.
	Type  string `json:"type,omitempty"`
	Extra Extra  `json:"-"`
}

// Secret is an environment variable or log option whose value is kept in
// Secrets Manager or the SSM parameter store.
type Secret struct {
	Name string `json:"name,omitempty"`
	// ValueFrom is a secret's ARN, a parameter's ARN, or the name of a
	// parameter in the same region.
	ValueFrom string `json:"valueFrom,omitempty"`
	Extra     Extra  `json:"-"`
}
