//go:build linux

package local_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/scheduler/local"
	"github.com/fardel-io/fardel/task"
)

// words keeps what a logger is told.
type words struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// TestOrdinaryTasksAreQuiet has tasks come and go about which an operator has nothing to hear: a step that is done twice shows
// here, as it ends well all the same.
func TestOrdinaryTasksAreQuiet(t *testing.T) {
	log := &words{}
	c := open(t, func(cfg *local.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	plain := define([]string{"app", "out hello"})
	shared := define([]string{"app", "write /v/x"}, []string{"other", "out hello"})
	shared.PIDMode = task.PIDModeTask
	shared.Volumes = []task.Volume{{Name: "v"}}
	shared.ContainerDefinitions[0].MountPoints = []task.MountPoint{{SourceVolume: "v", ContainerPath: "/v"}}
	shared.ContainerDefinitions[0].ReadonlyRootFilesystem = true
	for _, def := range []*task.TaskDefinition{plain, shared} {
		wait(t, start(t, c, def, scheduler.RunOptions{}))
	}
	if got := log.String(); got != "" {
		t.Errorf("an operator hears\n%s", got)
	}
}
