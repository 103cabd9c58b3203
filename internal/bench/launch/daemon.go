package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// How long a daemon may take to start and to end.
const (
	daemonStart = 30 * time.Second
	daemonStop  = 15 * time.Second
)

// daemon is a process in the background.
type daemon struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// startDaemon starts a command and waits until it answers at a socket.
func startDaemon(ctx context.Context, cmd *exec.Cmd, socket, logPath string) (*daemon, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, log: logPath, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		_ = cmd.Wait() // its log says more
	}()
	ctx, cancel := context.WithTimeout(ctx, daemonStart)
	defer cancel()
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			return d, conn.Close()
		}
		select {
		case <-d.done:
			return nil, fmt.Errorf("%s has ended: %s", cmd, d.lastWords())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not answer at %s: %w: %s", cmd, socket, ctx.Err(), d.lastWords()), d.stop())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords is the end of the daemon's log.
func (d *daemon) lastWords() string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-1000):])
}

// stop asks the daemon to end, and kills it if it does not.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.done:
		return nil
	case <-time.After(daemonStop):
	}
	err := d.cmd.Process.Kill()
	<-d.done
	return errors.Join(fmt.Errorf("%s had to be killed: %s", d.cmd, d.lastWords()), err)
}
