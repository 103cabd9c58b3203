package task

// Volume is storage that containers mount. At most one of the kinds is set;
// none means a host volume at a place of the runtime's choice that lives as long
// as the task.
type Volume struct {
	Name string `json:"name,omitempty"`
	// Host is a bind mount; without a SourcePath it is task scratch space.
	Host *HostVolume `json:"host,omitempty"`
	// DockerVolumeConfiguration is a volume of the container runtime.
	DockerVolumeConfiguration *DockerVolume `json:"dockerVolumeConfiguration,omitempty"`
	// EFSVolumeConfiguration is an Elastic File System.
	EFSVolumeConfiguration *EFSVolume `json:"efsVolumeConfiguration,omitempty"`
	// FSxWindowsFileServerVolumeConfiguration is an FSx file server; Windows.
	FSxWindowsFileServerVolumeConfiguration *FSxVolume `json:"fsxWindowsFileServerVolumeConfiguration,omitempty"`
	// S3FilesVolumeConfiguration is an S3 Files file system.
	S3FilesVolumeConfiguration *S3FilesVolume `json:"s3filesVolumeConfiguration,omitempty"`
	// ConfiguredAtLaunch volumes (EBS) are described when the task is run; one
	// per definition.
	ConfiguredAtLaunch bool  `json:"configuredAtLaunch,omitempty"`
	Extra              Extra `json:"-"`
}

// VolumeKind tells the kinds of volume apart.
type VolumeKind string

// The kinds of volume, by the JSON member that makes them.
const (
	VolumeHost               VolumeKind = "host"
	VolumeDocker             VolumeKind = "dockerVolumeConfiguration"
	VolumeEFS                VolumeKind = "efsVolumeConfiguration"
	VolumeFSx                VolumeKind = "fsxWindowsFileServerVolumeConfiguration"
	VolumeS3Files            VolumeKind = "s3filesVolumeConfiguration"
	VolumeConfiguredAtLaunch VolumeKind = "configuredAtLaunch"
)

// Kind returns the volume's kind: the first that is set, host if none is.
func (v *Volume) Kind() VolumeKind {
	if kinds := v.kinds(); len(kinds) > 0 {
		return kinds[0]
	}
	return VolumeHost
}

func (v *Volume) kinds() []VolumeKind {
	var kinds []VolumeKind
	add := func(set bool, k VolumeKind) {
		if set {
			kinds = append(kinds, k)
		}
	}
	add(v.ConfiguredAtLaunch, VolumeConfiguredAtLaunch)
	add(v.EFSVolumeConfiguration != nil, VolumeEFS)
	add(v.S3FilesVolumeConfiguration != nil, VolumeS3Files)
	add(v.DockerVolumeConfiguration != nil, VolumeDocker)
	add(v.FSxWindowsFileServerVolumeConfiguration != nil, VolumeFSx)
	add(v.Host != nil, VolumeHost)
	return kinds
}

// HostVolume is a directory of the host.
type HostVolume struct {
	// SourcePath on the host; empty lets the runtime choose. Not on Fargate.
	SourcePath string `json:"sourcePath,omitempty"`
	Extra      Extra  `json:"-"`
}

// DockerVolume is a named volume of the container runtime; not on Fargate.
type DockerVolume struct {
	// Scope is task (default; removed with the task) or shared.
	Scope string `json:"scope,omitempty"`
	// Autoprovision creates a shared volume that does not exist.
	Autoprovision bool              `json:"autoprovision,omitempty"`
	Driver        string            `json:"driver,omitempty"`
	DriverOpts    map[string]string `json:"driverOpts,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Extra         Extra             `json:"-"`
}

// EFSVolume is a directory of an Elastic File System.
type EFSVolume struct {
	FileSystemID string `json:"fileSystemId,omitempty"`
	// RootDirectory is / when empty; with an access point it must be.
	RootDirectory string `json:"rootDirectory,omitempty"`
	// TransitEncryption is ENABLED or DISABLED (default).
	TransitEncryption     string                  `json:"transitEncryption,omitempty"`
	TransitEncryptionPort int                     `json:"transitEncryptionPort,omitempty"`
	AuthorizationConfig   *EFSAuthorizationConfig `json:"authorizationConfig,omitempty"`
	Extra                 Extra                   `json:"-"`
}

// EFSAuthorizationConfig says how an EFS mount is authorized.
type EFSAuthorizationConfig struct {
	AccessPointID string `json:"accessPointId,omitempty"`
	// IAM is ENABLED or DISABLED (default): whether the task role is used.
	IAM   string `json:"iam,omitempty"`
	Extra Extra  `json:"-"`
}

// FSxVolume is a share of an FSx for Windows file server.
type FSxVolume struct {
	FileSystemID        string                  `json:"fileSystemId,omitempty"`
	RootDirectory       string                  `json:"rootDirectory,omitempty"`
	AuthorizationConfig *FSxAuthorizationConfig `json:"authorizationConfig,omitempty"`
	Extra               Extra                   `json:"-"`
}

// FSxAuthorizationConfig is the domain account of an FSx mount.
type FSxAuthorizationConfig struct {
	// CredentialsParameter is the ARN of a secret or parameter.
	CredentialsParameter string `json:"credentialsParameter,omitempty"`
	// Domain is a fully qualified domain name.
	Domain string `json:"domain,omitempty"`
	Extra  Extra  `json:"-"`
}

// S3FilesVolume is a directory of an S3 Files file system. It needs a task role.
type S3FilesVolume struct {
	FileSystemARN  string `json:"fileSystemArn,omitempty"`
	AccessPointARN string `json:"accessPointArn,omitempty"`
	// RootDirectory is / when empty; with an access point it must be.
	RootDirectory         string `json:"rootDirectory,omitempty"`
	TransitEncryptionPort int    `json:"transitEncryptionPort,omitempty"`
	Extra                 Extra  `json:"-"`
}

// MountPoint mounts a volume of the task in a container.
type MountPoint struct {
	SourceVolume string `json:"sourceVolume,omitempty"`

	// ContainerPath is not at or in /dev, /proc or /sys but at /dev/shm and /dev/mqueue; paths of the host (EC2) may be in /dev and /sys.
	ContainerPath string `json:"containerPath,omitempty"`
	ReadOnly      bool   `json:"readOnly,omitempty"`
	Extra         Extra  `json:"-"`
}

// VolumeFrom mounts everything that another container of the task mounts.
type VolumeFrom struct {
	SourceContainer string `json:"sourceContainer,omitempty"`
	ReadOnly        bool   `json:"readOnly,omitempty"`
	Extra           Extra  `json:"-"`
}
