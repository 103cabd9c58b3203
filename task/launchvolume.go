package task

import (
	"fmt"
	"slices"
)

// VolumeConfiguration is what RunTask says of a volume that is configured at launch.
type VolumeConfiguration struct {
	Name             string            `json:"name,omitempty"` // of the definition's volume
	ManagedEBSVolume *ManagedEBSVolume `json:"managedEBSVolume,omitempty"`
}

// ManagedEBSVolume is an EBS volume that ECS makes for one task.
type ManagedEBSVolume struct {
	RoleARN    string `json:"roleArn,omitempty"`    // infrastructure role of ECS; required
	SizeInGiB  int    `json:"sizeInGiB,omitempty"`  // required without a snapshot
	SnapshotID string `json:"snapshotId,omitempty"` // "" is an empty volume
	VolumeType string `json:"volumeType,omitempty"` // "" is gp3
	IOPS       int    `json:"iops,omitempty"`
	Throughput int    `json:"throughput,omitempty"` // MiB/s, gp3 only, at most 1000
	// FilesystemType is ext3, ext4 or xfs, the default.
	FilesystemType string             `json:"filesystemType,omitempty"`
	Encrypted      *bool              `json:"encrypted,omitempty"`
	KMSKeyID       string             `json:"kmsKeyId,omitempty"`
	TagSpecs       []TagSpecification `json:"tagSpecifications,omitempty"`
	// TerminationPolicy nil deletes the volume with the task.
	TerminationPolicy        *TerminationPolicy `json:"terminationPolicy,omitempty"`
	VolumeInitializationRate int                `json:"volumeInitializationRate,omitempty"`
}

// TagSpecification is the tags of a resource that is made along with a task.
type TagSpecification struct {
	ResourceType  string `json:"resourceType,omitempty"` // volume
	Tags          []Tag  `json:"tags,omitempty"`
	PropagateTags string `json:"propagateTags,omitempty"`
}

// TerminationPolicy says what becomes of a volume when its task ends.
type TerminationPolicy struct {
	DeleteOnTermination bool `json:"deleteOnTermination"`
}

// Keeps reports whether the volume outlives its task.
func (c *VolumeConfiguration) Keeps() bool {
	return c != nil && c.ManagedEBSVolume != nil && c.ManagedEBSVolume.TerminationPolicy != nil &&
		!c.ManagedEBSVolume.TerminationPolicy.DeleteOnTermination
}

// The types of EBS volumes, and what their size in GiB and their IOPS may be; 0 is that it cannot be set.
var ebsTypes = map[string]struct{ minSize, maxSize, minIOPS, maxIOPS int }{
	"gp2": {1, 16384, 0, 0}, "gp3": {1, 16384, 3000, 16000},
	"io1": {4, 16384, 100, 64000}, "io2": {4, 16384, 100, 256000},
	"st1": {125, 16384, 0, 0}, "sc1": {125, 16384, 0, 0}, "standard": {1, 1024, 0, 0},
}

// CheckVolumeConfigurations reports every problem that the configurations of RunTask have with the volumes of d, with
// paths such as volumeConfigurations[0].name. The volumes that are configured at launch must have one each, and no other
// may.
func (d *TaskDefinition) CheckVolumeConfigurations(configs []VolumeConfiguration, launchType LaunchType) []Problem {
	var problems []Problem
	bad := func(path, format string, args ...any) {
		problems = append(problems, Problem{path, fmt.Sprintf(format, args...)})
	}
	seen := map[string]bool{}
	for i := range configs {
		c, at := &configs[i], fmt.Sprintf("volumeConfigurations[%d].", i)
		switch v := d.Volume(c.Name); {
		case v == nil || !v.ConfiguredAtLaunch:
			bad(at+"name", "%q is not a volume of the definition with configuredAtLaunch", c.Name)
		case seen[c.Name]:
			bad(at+"name", "volume %q is configured twice", c.Name)
		}
		seen[c.Name] = true
		if c.ManagedEBSVolume == nil {
			bad(at+"managedEBSVolume", "must be set")
			continue
		}
		c.ManagedEBSVolume.check(at+"managedEBSVolume.", launchType, bad)
	}
	for i := range d.Volumes {
		if v := &d.Volumes[i]; v.ConfiguredAtLaunch && !seen[v.Name] {
			bad("volumeConfigurations", "volume %q is configured at launch: say how", v.Name)
		}
	}
	return problems
}

func (v *ManagedEBSVolume) check(at string, launchType LaunchType, bad func(path, format string, args ...any)) {
	if v.RoleARN == "" {
		bad(at+"roleArn", "must be set")
	}
	if v.SizeInGiB == 0 && v.SnapshotID == "" {
		bad(at+"sizeInGiB", "must be set, or snapshotId")
	}
	name := v.VolumeType
	if name == "" {
		name = "gp3"
	}
	kind, ok := ebsTypes[name]
	if !ok || name == "standard" && launchType == LaunchTypeFargate {
		bad(at+"volumeType", "%q is not a type of volume that this launch type has", name)
		return
	}
	if v.SizeInGiB != 0 && (v.SizeInGiB < kind.minSize || v.SizeInGiB > kind.maxSize) {
		bad(at+"sizeInGiB", "must be %d to %d for %s, not %d", kind.minSize, kind.maxSize, name, v.SizeInGiB)
	}
	if v.IOPS != 0 && (v.IOPS < kind.minIOPS || v.IOPS > kind.maxIOPS) {
		bad(at+"iops", "%d is not between %d and %d, which %s can have", v.IOPS, kind.minIOPS, kind.maxIOPS, name)
	}
	if v.IOPS == 0 && (name == "io1" || name == "io2") {
		bad(at+"iops", "must be set for %s", name)
	}
	const maxThroughput = 1000
	if v.Throughput < 0 || v.Throughput > maxThroughput || v.Throughput > 0 && name != "gp3" {
		bad(at+"throughput", "must be at most %d MiB/s, and is for gp3 only", maxThroughput)
	}
	if !slices.Contains([]string{"", "ext3", "ext4", "xfs"}, v.FilesystemType) {
		bad(at+"filesystemType", "%s", oneOf(v.FilesystemType, []string{"ext3", "ext4", "xfs"}))
	}
}
