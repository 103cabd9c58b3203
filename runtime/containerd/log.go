//go:build linux

package containerd

import (
	"io"
	"log/slog"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// quietLog returns a containerd logger that writes to a slog.Logger. Without one in the context containerd logs to
// stderr through logrus's global logger, which belongs to the host program.
func quietLog(logger *slog.Logger) *log.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.AddHook(slogHook{logger})
	return logrus.NewEntry(l)
}

// slogHook passes what containerd logs on. Its info is a line per plugin and call, hence debug here.
type slogHook struct{ logger *slog.Logger }

// Levels implements logrus.Hook.
func (h slogHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (h slogHook) Fire(e *logrus.Entry) error {
	level := slog.LevelDebug
	switch {
	case e.Level <= logrus.ErrorLevel:
		level = slog.LevelError
	case e.Level == logrus.WarnLevel:
		level = slog.LevelWarn
	}
	args := make([]any, 0, 2*len(e.Data))
	for k, v := range e.Data {
		args = append(args, k, v)
	}
	h.logger.Log(e.Context, level, e.Message, args...)
	return nil
}
