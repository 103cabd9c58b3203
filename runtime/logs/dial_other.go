//go:build !linux

package logs

import (
	"context"
	"net"

	"github.com/fardel-io/fardel/runtime"
)

func dialSocket(context.Context, string) (net.Conn, error) {
	return nil, &runtime.UnsupportedError{Feature: "awsfirelens", Needs: "Linux"}
}
