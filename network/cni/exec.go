package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// plugins runs plugins for libcni. They and the programs that they start hold lock open for as long as they run, also when
// this process is killed meanwhile.
type plugins struct {
	version.PluginDecoder
	lock *os.File
}

var _ invoke.Exec = (*plugins)(nil)

// ExecPlugin implements invoke.Exec.
func (p *plugins) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, bytes.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = undoTime // for children that hold the output open
	if p.lock != nil {
		cmd.ExtraFiles = []*os.File{p.lock}
	}
	if err := cmd.Run(); err != nil {
		return nil, pluginError(err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// pluginError is what a plugin that failed says of it: an error of CNI's on its standard output, else anything.
func pluginError(err error, stdout, stderr []byte) error {
	said := &types.Error{}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if json.Unmarshal(stdout, said) == nil && said.Msg != "" {
		return said
	}
	return fmt.Errorf("%w: %s", err, bytes.TrimSpace(append(stdout, stderr...)))
}

// FindInPath implements invoke.Exec.
func (p *plugins) FindInPath(plugin string, paths []string) (string, error) {
	return invoke.FindInPath(plugin, paths)
}
