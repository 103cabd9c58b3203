package logs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/fardel-io/fardel/task"
)

// Config is where drivers deliver to.
type Config struct {
	// Dir is where json-file writes: <Dir>/<task>/<container>-json.log. "" is for programs that write nothing; the driver
	// then takes what it is given and keeps none of it, as the runtime does.
	Dir string

	// Sink is where awslogs delivers. Nil takes everything and keeps nothing.
	Sink Sink
}

// Set is the drivers of a host program.
type Set struct{ cfg Config }

// New returns the drivers. It touches nothing.
func New(cfg Config) *Set { return &Set{cfg: cfg} }

// Info is whose output it is.
type Info struct {
	Cluster        string // name
	TaskARN        string
	TaskID         string
	TaskDefinition string // family:revision
	ContainerName  string
	RuntimeID      string
	Image          string
	Labels         map[string]string
	Env            []string // "KEY=value"

	// RouterSocket is the path on this host of the socket that the task's log router listens on.
	RouterSocket string
}

// Open opens a driver for a container. options are those of its log configuration, with the values of the secret ones.
func (s *Set) Open(ctx context.Context, driver task.LogDriver, options map[string]string, info Info) (Writer, error) {
	var w Writer
	var err error
	switch driver {
	case task.LogDriverJSONFile:
		if s.cfg.Dir == "" {
			return &discard{}, nil
		}
		w, err = openJSONFile(s.jsonPath(info.TaskID, info.ContainerName), options, info)
	case task.LogDriverAWSLogs:
		w, err = openAWSLogs(ctx, s.cfg.Sink, options, info)
	case task.LogDriverAWSFirelens:
		w = openFirelens(info)
	default:
		err = errors.New("no such driver")
	}
	if err != nil {
		return nil, fmt.Errorf("log driver %s of container %s: %w", driver, info.ContainerName, err)
	}
	return w, nil
}

func (s *Set) jsonPath(taskID, container string) string {
	return filepath.Join(s.cfg.Dir, taskID, container+"-json.log")
}

// Remove deletes what json-file has written for a container. No error if that is nothing.
func (s *Set) Remove(taskID, container string) error {
	if s.cfg.Dir == "" {
		return nil
	}
	return removeRotated(s.jsonPath(taskID, container))
}

// discard delivers to nobody.
type discard struct{ taken uint64 }

func (d *discard) Write(context.Context, Record) error         { d.taken++; return nil }
func (d *discard) Flush(context.Context, bool) (uint64, error) { return d.taken, nil }
func (d *discard) Close() error                                { return nil }
