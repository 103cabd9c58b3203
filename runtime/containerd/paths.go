//go:build linux

package containerd

import "path/filepath"

// The layout of Config.Dir:
//
//	lock                      held while a driver is open
//	images/{content,meta.db,overlayfs,native}   content, metadata and layers; Embed only
//	sandboxes/<id>/           sandbox.json, shim.json, shim.sock, shim.log; userns.json and userns of one with a user namespace
//	containers/<id>/          container.json, created.json, …; with Embed also the bundle: config.json, rootfs
//	runc/                     state of the OCI runtime
//	oci-runtime               script that runs it
//	tmp/                      mounts that live for one call
//
// and outside of it, with Config.UserNamespaces, /run/fardel-<Owner>/<sandbox>/<container>: mounted root file systems.

func (d *Driver) sandboxDir(id string) string { return filepath.Join(d.cfg.Dir, "sandboxes", id) }

func (d *Driver) containerDir(id string) string { return filepath.Join(d.cfg.Dir, "containers", id) }
