package task

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// launchVolumes wants one volume at most that is configured at launch.
func (v *validator) launchVolumes() {
	n := 0
	for i := range v.def.Volumes {
		if v.def.Volumes[i].ConfiguredAtLaunch {
			n++
		}
	}
	if n > 1 {
		v.bad("volumes", "one volume can be configuredAtLaunch, not %d", n)
	}
}

func (s *volumeScope) name() {
	switch name := s.vol.Name; {
	case name == "":
		s.bad("name", "must be set")
	case !isName(name):
		s.bad("name", badName, name)
	case s.def.Volume(name) != s.vol:
		s.bad("name", "duplicate volume name %q", name)
	}
}

func (s *volumeScope) kind() {
	kinds := s.vol.kinds()
	if len(kinds) > 1 {
		s.validator.bad(s.path, "must be of one kind, not %s", joinWords(kinds, "and"))
	}
	switch {
	case slices.Contains(kinds, VolumeDocker) && s.fargate:
		s.bad(string(VolumeDocker), notOnFargate)
	case slices.Contains(kinds, VolumeFSx) && s.fargate:
		s.bad(string(VolumeFSx), notOnFargate)
	case slices.Contains(kinds, VolumeEFS) && s.lt == LaunchTypeExternal:
		s.bad(string(VolumeEFS), "is not supported on external instances")
	}
}

func (s *volumeScope) host() {
	if h := s.vol.Host; h != nil && h.SourcePath != "" && s.fargate {
		s.bad("host.sourcePath", notOnFargate)
	}
}

func (s *volumeScope) docker() {
	d := s.vol.DockerVolumeConfiguration
	if d == nil {
		return
	}
	const member = "dockerVolumeConfiguration"
	if d.Scope != "" && d.Scope != "task" && d.Scope != "shared" {
		s.bad(member+".scope", "%s", oneOf(d.Scope, []string{"task", "shared"}))
	}
	if d.Autoprovision && d.Scope != "shared" {
		s.bad(member+".autoprovision", "is for the scope shared only")
	}
	if s.windows && d.Driver != "" && d.Driver != "local" {
		s.bad(member+".driver", "must be local for Windows containers, not %q", d.Driver)
	}
}

func (s *volumeScope) efs() {
	e := s.vol.EFSVolumeConfiguration
	if e == nil {
		return
	}
	const member = "efsVolumeConfiguration"
	if e.FileSystemID == "" {
		s.bad(member+".fileSystemId", "must be set")
	}
	if !isSwitch(e.TransitEncryption) {
		s.bad(member+".transitEncryption", "%s", oneOf(e.TransitEncryption, switches))
	}
	if p := e.TransitEncryptionPort; p < 0 || p > maxPort {
		s.bad(member+".transitEncryptionPort", "must be 1 to %d, not %d", maxPort, p)
	}
	a := e.AuthorizationConfig
	if a == nil {
		return
	}
	if !isSwitch(a.IAM) {
		s.bad(member+".authorizationConfig.iam", "%s", oneOf(a.IAM, switches))
	}
	if (a.IAM == enabled || a.AccessPointID != "") && e.TransitEncryption != enabled {
		s.bad(member+".transitEncryption", "must be ENABLED when IAM or an access point is used")
	}
	if a.AccessPointID != "" && !isRoot(e.RootDirectory) {
		s.bad(member+".rootDirectory", "must be / or unset with an access point, not %q", e.RootDirectory)
	}
}

func (s *volumeScope) fsx() {
	f := s.vol.FSxWindowsFileServerVolumeConfiguration
	if f == nil {
		return
	}
	auth := f.AuthorizationConfig
	if auth == nil {
		auth = &FSxAuthorizationConfig{}
	}
	for _, m := range []struct{ member, value string }{
		{"fileSystemId", f.FileSystemID},
		{"rootDirectory", f.RootDirectory},
		{"authorizationConfig.credentialsParameter", auth.CredentialsParameter},
		{"authorizationConfig.domain", auth.Domain},
	} {
		if m.value == "" {
			s.bad("fsxWindowsFileServerVolumeConfiguration."+m.member, "must be set")
		}
	}
}

func (s *volumeScope) s3files() {
	f := s.vol.S3FilesVolumeConfiguration
	if f == nil {
		return
	}
	const member = "s3filesVolumeConfiguration"
	if _, err := ParseARN(f.FileSystemARN); err != nil {
		s.bad(member+".fileSystemArn", "must be the ARN of an S3 Files file system, not %q", f.FileSystemARN)
	}
	if _, err := ParseARN(f.AccessPointARN); f.AccessPointARN != "" && err != nil {
		s.bad(member+".accessPointArn", "must be the ARN of an access point, not %q", f.AccessPointARN)
	}
	if f.AccessPointARN != "" && !isRoot(f.RootDirectory) {
		s.bad(member+".rootDirectory", "must be / or unset with an access point, not %q", f.RootDirectory)
	}
	if p := f.TransitEncryptionPort; p < 0 || p > maxPort {
		s.bad(member+".transitEncryptionPort", "must be 1 to %d, not %d", maxPort, p)
	}
	if s.def.TaskRoleARN == "" {
		s.bad(member, "needs a task role: set taskRoleArn")
	}
}

// mounts checks the container's mountPoints.
func (s *containerScope) mounts() {
	for i, m := range s.c.MountPoints {
		member := fmt.Sprintf("mountPoints[%d]", i)
		if m.ContainerPath == "" {
			s.bad(member+".containerPath", "must be set")
		}
		if m.SourceVolume == "" {
			s.bad(member+".sourceVolume", "must be the name of a volume")
		} else if s.def.Volume(m.SourceVolume) == nil {
			s.bad(member+".sourceVolume", "Unknown volume '%s'. %s", m.SourceVolume, s.volumeNames())
		}
	}
}

func (v *validator) volumeNames() string {
	if len(v.def.Volumes) == 0 {
		return "The definition has no volumes."
	}
	var names []string
	for i := range v.def.Volumes {
		names = append(names, strconv.Quote(v.def.Volumes[i].Name))
	}
	return fmt.Sprintf("The definition has %s.", joinWords(names, "and"))
}

// enabled is what EFS settings are, if not DISABLED.
const enabled = "ENABLED"

var switches = []string{enabled, "DISABLED"}

func isSwitch(s string) bool { return s == "" || slices.Contains(switches, s) }

func isRoot(dir string) bool { return dir == "" || strings.Trim(dir, "/") == "" }
