//go:build !linux

package cni

import (
	"context"
	"os"

	"github.com/fardel-io/fardel/network"
)

func unsupported() error {
	return &network.UnsupportedError{Feature: "network namespaces", Needs: "Linux"}
}

func (f *Fabric) checkMachine() error { return unsupported() }

func makeNamespace(string) error { return unsupported() }

func isMounted(string) error { return unsupported() }

func clearMountPoint(string) error { return unsupported() }

func (f *Fabric) lockPlugins(context.Context, string) (*os.File, error) { return nil, unsupported() }
