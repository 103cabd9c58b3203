//go:build linux

package containerd

import (
	"context"
	"fmt"
	"os"

	"github.com/fardel-io/fardel/internal/ociversion"
	"github.com/fardel-io/fardel/runtime"
)

// findRuntime returns the path of the OCI runtime. Of a name it takes the first program in PATH and the usual directories
// that has no known way out: a distribution's may come before one that its operator has put beside it. It is asked every
// time, which takes some milliseconds: an upgrade may have replaced it.
func (d *Driver) findRuntime(ctx context.Context) (string, error) {
	paths := ociversion.Paths(d.cfg.Runtime, os.Getenv("PATH"))
	if len(paths) == 0 {
		return "", &runtime.UnsupportedError{
			Feature: "running containers",
			Needs:   fmt.Sprintf("the OCI runtime %s in PATH, /usr/local/sbin or /usr/sbin: apt-get install runc, or dnf install runc", d.cfg.Runtime),
		}
	}
	found, err := ociversion.LookAll(ctx, paths)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		d.logger.Warn("an OCI runtime does not tell its version", "error", err)
	}
	i, needs := ociversion.Choose(paths, found, d.cfg.runtimeIsSet, d.cfg.AllowVulnerableRuntime)
	if i < 0 {
		return "", &runtime.UnsupportedError{Feature: "running containers", Needs: needs + "; or set Config.AllowVulnerableRuntime, for code that is trusted"}
	}
	v := found[i]
	log := d.logger.With("path", paths[i], "runtime", v.Program, "version", v.Version)
	switch {
	case len(v.Escapes) > 0:
		log.Warn("the OCI runtime has known ways out of containers, and Config.AllowVulnerableRuntime allows it", "advisories", v.Escapes)
	case !v.Known:
		log.Warn("nothing is known of the ways out that the OCI runtime may have")
	case len(v.Lesser) > 0:
		log.Warn("the OCI runtime has known faults, though no way out", "advisories", v.Lesser)
	}
	return paths[i], nil
}
