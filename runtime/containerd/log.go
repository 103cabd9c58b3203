package containerd

import (
	"context"
	"io"
	"log/slog"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// quiet returns a context whose containerd logger writes to a slog.Logger. Without one containerd logs to stderr
// through logrus's global logger, which belongs to the host program.
func quiet(ctx context.Context, logger *slog.Logger) context.Context {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.AddHook(slogHook{logger})
	return log.WithLogger(ctx, logrus.NewEntry(l))
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
