//go:build !linux

package oci

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/fardel-io/fardel/runtime"
)

func seccompProfile(*specs.Spec) (*specs.LinuxSeccomp, error) {
	return nil, &runtime.UnsupportedError{Feature: "a seccomp profile", Needs: "Linux"}
}
