package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/task/metadata"
)

// faultsFile is the file of a task's directory that keeps the faults in its network, so that the next process knows which
// there are and can end them.
const faultsFile = "faults.json"

// faultState is what is wrong on purpose with a task's network.
type faultState struct {
	mu  sync.Mutex // guards set, and is held while it changes
	set network.Faults
}

// faultInjector returns who makes the faults that the tasks of a VPC ask for, nil if the fabric cannot.
func (ep *endpoint) faultInjector() metadata.FaultInjector {
	if f, ok := ep.e.cfg.Fabric.(network.FaultInjector); ok {
		return faults{ep.e, f}
	}
	return nil
}

// faults makes the faults that tasks ask for.
type faults struct {
	e      *Engine
	fabric network.FaultInjector
}

// StartFault implements [metadata.FaultInjector].
func (x faults) StartFault(ctx context.Context, s *metadata.Snapshot, f metadata.Fault) error {
	return x.change(ctx, s, f, withFault)
}

// StopFault implements [metadata.FaultInjector].
func (x faults) StopFault(ctx context.Context, s *metadata.Snapshot, f metadata.Fault) error {
	return x.change(ctx, s, f, func(set network.Faults, f metadata.Fault) (network.Faults, error) { return withoutFault(set, f), nil })
}

// FaultRunning implements [metadata.FaultInjector].
func (x faults) FaultRunning(_ context.Context, s *metadata.Snapshot, f metadata.Fault) (bool, error) {
	w := x.e.worker(s.Task.ID())
	if w == nil {
		return false, metadata.ErrNotFound
	}
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	return hasFault(w.faults.set, f), nil
}

// change has a task's faults changed. They are written down before they are made: what a crash leaves between the two is
// made at the next start.
func (x faults) change(ctx context.Context, s *metadata.Snapshot, f metadata.Fault, edit func(network.Faults, metadata.Fault) (network.Faults, error)) error {
	w := x.e.worker(s.Task.ID())
	if w == nil {
		return metadata.ErrNotFound
	}
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	want, err := edit(w.faults.set, f)
	if err != nil {
		return err
	}
	if err := w.writeFaults(want); err != nil {
		return err
	}
	err = x.fabric.SetFaults(ctx, w.eni.ID, want)
	if err == nil {
		w.faults.set = want
		return nil
	}
	undo := context.WithoutCancel(ctx)
	err = errors.Join(err, x.fabric.SetFaults(undo, w.eni.ID, w.faults.set), w.writeFaults(w.faults.set))
	var unsupported *network.UnsupportedError
	if errors.As(err, &unsupported) {
		return errors.Join(err, &metadata.FaultUnsupportedError{Type: f.Type(), Needs: unsupported.Needs})
	}
	return err
}

// adoptFaults takes over the faults that the process before this one made, and finishes what it was at.
func (w *worker) adoptFaults(ctx context.Context) {
	f, ok := w.e.cfg.Fabric.(network.FaultInjector)
	if !ok || !w.def.EnableFaultInjection {
		return
	}
	w.faults.mu.Lock()
	defer w.faults.mu.Unlock()
	set, err := w.readFaults()
	if err == nil {
		err = f.SetFaults(ctx, w.eni.ID, set)
	}
	if err != nil {
		w.log.Error("faults in the network of the task may not be what it asked for", "error", err)
	}
	w.faults.set = set
}

func (w *worker) writeFaults(set network.Faults) error {
	if w.e.cfg.Dir == "" {
		return nil
	}
	data, err := json.Marshal(set)
	if err != nil {
		return err
	}
	path := filepath.Join(w.e.taskDir(w.id), faultsFile)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("note faults: %w", err)
	}
	return os.Rename(path+".new", path)
}

func (w *worker) readFaults() (set network.Faults, err error) {
	if w.e.cfg.Dir == "" {
		return set, nil
	}
	data, err := os.ReadFile(filepath.Join(w.e.taskDir(w.id), faultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return set, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &set)
	}
	return set, err
}

// withFault adds a fault. Of latency and packet loss there is one at a time; a black hole that is there stays as it is.
func withFault(set network.Faults, f metadata.Fault) (network.Faults, error) {
	if hole, ok := f.(metadata.BlackholePort); ok {
		if hasFault(set, f) {
			return set, nil
		}
		set.Blackholes = append(slices.Clone(set.Blackholes), blackhole(hole))
		return set, nil
	}
	switch {
	case set.Delay != nil:
		return set, &metadata.FaultRunningError{Running: metadata.FaultLatency}
	case set.Loss != nil:
		return set, &metadata.FaultRunningError{Running: metadata.FaultPacketLoss}
	}
	switch f := f.(type) {
	case metadata.Latency:
		set.Delay = &network.Delay{
			Milliseconds: int(f.Delay / time.Millisecond), Jitter: int(f.Jitter / time.Millisecond),
			Flows: network.Flows{To: f.Sources, Spared: f.SourcesToFilter, Percent: f.FlowsPercent},
		}
	case metadata.PacketLoss:
		set.Loss = &network.Loss{
			Percent: f.LossPercent, Flows: network.Flows{To: f.Sources, Spared: f.SourcesToFilter, Percent: f.FlowsPercent},
		}
	}
	return set, nil
}

// withoutFault takes a fault away.
func withoutFault(set network.Faults, f metadata.Fault) network.Faults {
	switch f := f.(type) {
	case metadata.BlackholePort:
		set.Blackholes = slices.DeleteFunc(slices.Clone(set.Blackholes), func(b network.Blackhole) bool { return sameHole(b, blackhole(f)) })
	case metadata.Latency:
		set.Delay = nil
	case metadata.PacketLoss:
		set.Loss = nil
	}
	return set
}

func hasFault(set network.Faults, f metadata.Fault) bool {
	switch f := f.(type) {
	case metadata.BlackholePort:
		return slices.ContainsFunc(set.Blackholes, func(b network.Blackhole) bool { return sameHole(b, blackhole(f)) })
	case metadata.Latency:
		return set.Delay != nil
	case metadata.PacketLoss:
		return set.Loss != nil
	}
	return false
}

func blackhole(f metadata.BlackholePort) network.Blackhole {
	return network.Blackhole{
		Port: f.Port, Protocol: network.Protocol(f.Protocol), Outgoing: f.TrafficType == metadata.Egress, Spared: f.SourcesToFilter,
	}
}

// sameHole reports whether two black holes are known by the same: direction, protocol and port (ECS).
func sameHole(a, b network.Blackhole) bool {
	return a.Port == b.Port && a.Protocol == b.Protocol && a.Outgoing == b.Outgoing
}
