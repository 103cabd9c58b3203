package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/flowlog"
	"github.com/fardel-io/fardel/scheduler"
)

// FlowLogs says which flows of the VPCs are logged, and where to. What passes while no program has the cluster open is not
// in any log.
type FlowLogs struct {
	// Logs are the flow logs: whose traffic, ACCEPT, REJECT or ALL, in which format and interval. A log without an ID gets
	// one, the same every time.
	Logs []flowlog.Log

	// Sink takes the records. Nil is a file for each log, Dir/flowlogs/<ID>.log, and when that is full <ID>.log.1 and so on,
	// the oldest being removed.
	Sink flowlog.Sink

	// MaxFileBytes is how large one of these files gets, at least 4096 bytes; 0 is 64 MiB. MaxFiles is how many of them
	// each log has at most; 0 is 8. So a log takes 512 MiB at most.
	MaxFileBytes int64
	MaxFiles     int

	// Poll is how often packets are counted; 0 is 10 s. No time in a record is more exact.
	Poll time.Duration
}

// flowCollector returns a collector of the logs wanted, nil for none, which does not run yet. c.close closes its files.
func (c *Cluster) flowCollector(cfg Config) (*flowlog.Collector, error) {
	if cfg.FlowLogs == nil {
		return nil, nil
	}
	counter, ok := network.As[network.FlowCounter](c.network)
	if !ok {
		return nil, &network.UnsupportedError{Feature: "flow logs", Needs: "a fabric that counts flows"}
	}
	f := *cfg.FlowLogs
	logs := make([]flowlog.Log, len(f.Logs))
	for i, l := range f.Logs {
		if l.ID == "" {
			l.ID = network.NewID("fl", cfg.owner(), fmt.Sprint(i))
		}
		var err error
		if logs[i], err = l.WithDefaults(); err != nil {
			return nil, fmt.Errorf("local: Config.FlowLogs: %w", err)
		}
	}
	if f.Sink == nil {
		files, err := openFlowFiles(filepath.Join(cfg.Dir, "flowlogs"), logs, flowlog.FileConfig{MaxBytes: f.MaxFileBytes, MaxFiles: f.MaxFiles})
		if err != nil {
			return nil, err
		}
		c.close = append(c.close, files.close)
		f.Sink = files
	}
	var since time.Time
	collector, err := flowlog.NewCollector(flowlog.CollectorConfig{
		Counter: counter, Logs: logs, Sink: f.Sink, AccountID: account(cfg), Poll: f.Poll, Logger: cfg.Logger,
		State: func(ctx context.Context) (s network.State, err error) {
			now := time.Now()
			if s, err = c.Network(ctx); err == nil {
				s.ENIs, err = c.NetworkInterfaces(ctx, since)
			}
			if err == nil {
				since = now
			}
			return s, err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("local: Config.FlowLogs: %w", err)
	}
	return collector, nil
}

// beginToCount has flows counted before Open returns.
func (c *Cluster) beginToCount(ctx context.Context) error {
	counter, _ := network.As[network.FlowCounter](c.network)
	s, err := c.Network(ctx)
	for _, v := range s.VPCs {
		_, _, countErr := counter.CountFlows(ctx, v.ID)
		err = errors.Join(err, countErr)
	}
	return err
}

// flowFiles writes each log to a file of its own.
type flowFiles map[string]*flowlog.File

func openFlowFiles(dir string, logs []flowlog.Log, cfg flowlog.FileConfig) (flowFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("local: directory of flow logs: %w", err)
	}
	files := flowFiles{}
	for _, l := range logs {
		if files[l.ID] != nil || filepath.Base(l.ID) != l.ID {
			return nil, errors.Join(fmt.Errorf("local: Config.FlowLogs: the ID %q must name a file, and one log only", l.ID), files.close())
		}
		cfg.Path, cfg.Format = filepath.Join(dir, l.ID+".log"), l.Format
		f, err := flowlog.OpenFile(cfg)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("local: Config.FlowLogs: %w", err), files.close())
		}
		files[l.ID] = f
	}
	return files, nil
}

// Write implements [flowlog.Sink].
func (f flowFiles) Write(l flowlog.Log, records []flowlog.Record) error {
	return f[l.ID].Write(l, records)
}

func (f flowFiles) close() error {
	var errs []error
	for _, file := range f {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// background is work of the cluster that goes on until end is called.
type background struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// end has the work end and waits for it. It does nothing the second time.
func (b *background) end() error {
	if b != nil {
		b.cancel()
		<-b.done
	}
	return nil
}

// account is the cluster's, in records.
func account(cfg Config) string { return cmp.Or(cfg.Account, scheduler.DefaultAccount) }
