//go:build linux

package containerd

import (
	"context"
	"fmt"
	"os"

	"github.com/fardel-io/fardel/internal/apparmor"
	"github.com/fardel-io/fardel/runtime"
)

// ownProfile is the name of the driver's profile, an owner mark.
func (d *Driver) ownProfile() string { return "fardel-" + d.cfg.Owner }

// openAppArmor finds or loads the profile of containers that name none. The driver's own is removed by Close when no sandbox
// is left, of which the cgroups tell: what still runs would be free.
//
// Where the kernel enforces a policy of SELinux containers have no label of their own, which all files that are bound into
// them would have to have as well: they run as what this program runs as.
func (d *Driver) openAppArmor(ctx context.Context) error {
	if enforce, err := os.ReadFile("/sys/fs/selinux/enforce"); err == nil && string(enforce) == "1" {
		d.logger.Warn("containers are not confined by SELinux, which this kernel enforces: they get no labels")
	}
	name := d.cfg.AppArmorProfile
	switch {
	case name == apparmor.Unconfined || name == "" && (d.isGVisor() || !apparmor.Enabled(os.DirFS("/sys"))):
		return nil
	case name != "":
		d.appArmor = name
		return d.CheckAppArmor(name)
	}
	name = d.ownProfile()
	if err := apparmor.Load(ctx, name); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// Of an earlier run it may still be there.
		loaded, lerr := apparmor.Loaded(os.DirFS("/sys"), name)
		if !loaded {
			d.logger.Warn("containers are not confined by AppArmor, which this kernel has", "error", err)
			return lerr
		}
		d.logger.Warn("the AppArmor profile of containers is as the last run has left it", "profile", name, "error", err)
	}
	d.appArmor = name
	d.onClose(func() error {
		if groups, err := d.cgroups.List(); err != nil || len(groups) > 0 {
			return err
		}
		return apparmor.Remove(name)
	})
	return nil
}

// CheckAppArmor implements [runtime.AppArmorChecker].
func (d *Driver) CheckAppArmor(profile string) error {
	if profile == "" || profile == apparmor.Unconfined {
		return nil
	}
	feature, sys := fmt.Sprintf("AppArmor profile %q", profile), os.DirFS("/sys")
	if d.isGVisor() {
		return &runtime.UnsupportedError{Feature: feature, Needs: "an OCI runtime other than " + gVisor + ", which ignores profiles"}
	}
	if !apparmor.Enabled(sys) {
		return &runtime.UnsupportedError{Feature: feature, Needs: "a kernel that runs with AppArmor, and securityfs at /sys/kernel/security"}
	}
	loaded, err := apparmor.Loaded(sys, profile)
	if err == nil && !loaded {
		err = &runtime.UnsupportedError{Feature: feature, Needs: "it to be loaded and enforced: apparmor_parser --replace FILE"}
	}
	return err
}
