package runtime

import "testing"

func TestKernelPaths(t *testing.T) {
	for _, tt := range []struct {
		name                string
		kernel, tmpfs, host bool
	}{
		{"/", false, true, true},
		{"/dev", true, false, true},
		{"/dev/", true, false, true},
		{"/x/../dev", true, false, true},
		{"//dev//null", true, false, true},
		{"/dev/pts", true, false, true},
		{"/dev/pts/0", true, false, true},
		{"/dev/fd/3", true, false, true},
		{"/dev/console", true, false, true},
		{"/dev/hugepages", true, true, true},
		{"/dev/shm", false, true, true},
		{"/dev/shm/x", false, true, true},
		{"/dev/shmx", true, true, true},
		{"/dev/mqueue", false, true, true},
		{"/dev/shm/../null", true, false, true},
		{"/device", false, true, true},
		{"/proc", true, false, false},
		{"/proc/sys/kernel", true, false, false},
		{"/procession", false, true, true},
		{"/sys", true, false, false},
		{"/sys/fs/cgroup", true, false, true},
		{"/data", false, true, true},
	} {
		if got := IsKernelPath(tt.name); got != tt.kernel {
			t.Errorf("IsKernelPath(%q) = %v", tt.name, got)
		}
		if got := MayMountTmpfs(tt.name); got != tt.tmpfs {
			t.Errorf("MayMountTmpfs(%q) = %v", tt.name, got)
		}
		if got := MayMountHostPath(tt.name); got != tt.host {
			t.Errorf("MayMountHostPath(%q) = %v", tt.name, got)
		}
	}
}
