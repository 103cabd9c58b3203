package oci

import (
	"slices"
	"strings"

	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/task"
)

// tmpfsFlags maps each mount option that ECS allows on a tmpfs to what it sets, so that a later one replaces an earlier
// one. ECS also lists remount, bind and rbind, which no new tmpfs can have.
var tmpfsFlags = map[string]string{
	"defaults": "defaults", "ro": "access", "rw": "access", "suid": "suid", "nosuid": "suid", "dev": "dev", "nodev": "dev",
	"exec": "exec", "noexec": "exec", "sync": "sync", "async": "sync", "dirsync": "dirsync", "mand": "mand", "nomand": "mand",
	"atime": "atime", "noatime": "atime", "diratime": "diratime", "nodiratime": "diratime", "relatime": "relatime",
	"norelatime": "relatime", "strictatime": "strictatime", "nostrictatime": "strictatime",
	"unbindable": "propagation", "runbindable": "propagation", "private": "propagation", "rprivate": "propagation",
	"shared": "propagation", "rshared": "propagation", "slave": "propagation", "rslave": "propagation",
}

// tmpfsValues are the options of the file system itself.
var tmpfsValues = []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}

// tmpfsOptions are Docker's noexec, nosuid and nodev, the size, and over them the definition's.
func tmpfsOptions(c runtime.ContainerSpec, t task.Tmpfs) ([]string, error) {
	if t.Size < 0 {
		return nil, invalid(c, "tmpfs at %s: size %d MiB is negative", t.ContainerPath, t.Size)
	}
	options := []string{"noexec", "nosuid", "nodev"}
	sets := []string{"exec", "suid", "dev"}
	if t.Size > 0 {
		options, sets = append(options, "size="+kibibytes(t.Size)), append(sets, "size")
	}
	for _, option := range t.MountOptions {
		name, value, isValue := strings.Cut(option, "=")
		what, ok := tmpfsFlags[option]
		if isValue && value != "" && slices.Contains(tmpfsValues, name) {
			what, ok = name, true
		}
		if !ok || strings.Contains(option, ",") {
			return nil, invalid(c, "tmpfs at %s: unknown mount option %q", t.ContainerPath, option)
		}
		if i := slices.Index(sets, what); i >= 0 {
			options, sets = slices.Delete(options, i, i+1), slices.Delete(sets, i, i+1)
		}
		options, sets = append(options, option), append(sets, what)
	}
	return options, nil
}
