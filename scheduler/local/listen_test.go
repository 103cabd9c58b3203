//go:build linux

package local_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/scheduler"
)

// TestListen binds ports of the VPC's; that tasks reach them is what examples/roles tests.
func TestListen(t *testing.T) {
	c := open(t)
	l, err := c.Listen(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(l.Addr().String(), network.CredentialsAddr().String()+":") {
		t.Errorf("listens at %s, want %s", l.Addr(), network.CredentialsAddr())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Listen(t.Context(), "vpc-none", 0); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("in a VPC that is not there: %v, want ErrNotFound", err)
	}
}
