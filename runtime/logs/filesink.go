package logs

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// FileSinkConfig says where a [FileSink] keeps log streams and how much of them.
type FileSinkConfig struct {
	Dir         string // required
	StreamLimit int64  // bytes of one stream, of which the oldest quarter goes first; 0 is 16 MiB
	TotalLimit  int64  // bytes of all, of which the streams go first that were not written to for longest; 0 is 1 GiB

	// RequireGroups makes a stream whose group was not made with [FileSink.CreateGroup], or by awslogs-create-group, an
	// error, as in AWS. Otherwise every group is there.
	RequireGroups bool
}

// FileSink is CloudWatch Logs in a directory: <dir>/<region>/<group>/<stream>/events.jsonl with one JSON object per event,
// and the older ones beside it. Slashes and other characters of names are escaped as in URLs. It is safe for concurrent
// use, also by several clusters at a time.
type FileSink struct {
	cfg FileSinkConfig

	mu    sync.Mutex // guards swept
	swept time.Time
}

// Parts of a stream, and how often the total is looked at, which takes a look at every stream.
const (
	streamParts = 4
	sweepEvery  = time.Minute
	eventsFile  = "events.jsonl"
	groupFile   = "group"
)

// NewFileSink returns a sink. It touches nothing.
func NewFileSink(cfg FileSinkConfig) (*FileSink, error) {
	if cfg.Dir == "" {
		return nil, errors.New("logs: FileSinkConfig.Dir is required")
	}
	cfg.StreamLimit = cmp.Or(cfg.StreamLimit, 16<<20)
	cfg.TotalLimit = cmp.Or(cfg.TotalLimit, 1<<30)
	return &FileSink{cfg: cfg}, nil
}

// storedEvent is an event in a file, with the names of GetLogEvents.
type storedEvent struct {
	Timestamp int64  `json:"timestamp"` // milliseconds since 1970
	Message   string `json:"message"`
}

// fileName makes any name one of a file, which is told from all others.
func fileName(name string) string {
	s := strings.ReplaceAll(url.PathEscape(name), ".", "%2E")
	if name != "." && name != ".." {
		s = url.PathEscape(name)
	}
	if len(s) > 200 {
		s = fmt.Sprintf("%s-%x", s[:150], sha256.Sum256([]byte(name)))
	}
	return s
}

func (f *FileSink) groupDir(region, group string) string {
	return filepath.Join(f.cfg.Dir, fileName(region), fileName(group))
}

func (f *FileSink) streamDir(s Stream) string {
	return filepath.Join(f.groupDir(s.Region, s.Group), fileName(s.Name))
}

// CreateGroup makes a log group. No error if it is there.
func (f *FileSink) CreateGroup(_ context.Context, region, group string) error {
	dir := f.groupDir(region, group)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, groupFile), []byte(group+"\n"), 0o600)
}

// CreateStream implements [Sink].
func (f *FileSink) CreateStream(ctx context.Context, s Stream, createGroup bool) error {
	_, err := os.Stat(filepath.Join(f.groupDir(s.Region, s.Group), groupFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.cfg.RequireGroups && !createGroup:
		return ErrGroupNotFound
	case errors.Is(err, fs.ErrNotExist):
		err = f.CreateGroup(ctx, s.Region, s.Group)
	}
	if err != nil {
		return err
	}
	if err := f.sweep(); err != nil {
		return err
	}
	return os.MkdirAll(f.streamDir(s), 0o700)
}

// PutEvents implements [Sink].
func (f *FileSink) PutEvents(_ context.Context, s Stream, events []Event) (err error) {
	file, err := openRotated(filepath.Join(f.streamDir(s), eventsFile), f.cfg.StreamLimit/streamParts, streamParts, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.close()) }()
	for _, e := range events {
		text, err := json.Marshal(storedEvent{e.Time.UnixMilli(), e.Message})
		if err != nil {
			return err
		}
		if err := file.write(append(text, '\n')); err != nil {
			return err
		}
	}
	return file.flush()
}

// Events returns what is kept of a stream, oldest first: none of one that is not there.
func (f *FileSink) Events(_ context.Context, s Stream) ([]Event, error) {
	var events []Event
	for i := streamParts - 1; i >= 0; i-- {
		name := filepath.Join(f.streamDir(s), eventsFile)
		if i > 0 {
			name = fmt.Sprintf("%s.%d", name, i)
		}
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(content))
		lines.Buffer(nil, 2<<20)
		for lines.Scan() {
			var e storedEvent
			if json.Unmarshal(lines.Bytes(), &e) == nil { // the last may be half written
				events = append(events, Event{time.UnixMilli(e.Timestamp), e.Message})
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return events, nil
}

// kept is one stream's directory.
type kept struct {
	dir   string
	size  int64
	write time.Time
}

// sweep deletes the streams that were not written to for longest until the rest is within the total limit.
func (f *FileSink) sweep() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.swept) < sweepEvery {
		return nil
	}
	dirs, err := filepath.Glob(filepath.Join(escapeGlob(f.cfg.Dir), "*", "*", "*"))
	if err != nil {
		return err
	}
	var streams []kept
	total := int64(0)
	for _, dir := range dirs {
		k := kept{dir: dir}
		entries, err := os.ReadDir(dir)
		if err != nil { // the mark of a group, or gone
			continue
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				k.size += info.Size()
				k.write = maxTime(k.write, info.ModTime())
			}
		}
		streams = append(streams, k)
		total += k.size
	}
	slices.SortFunc(streams, func(a, b kept) int { return a.write.Compare(b.write) })
	for _, k := range streams {
		if total <= f.cfg.TotalLimit {
			break
		}
		if k.size == 0 { // about to be written to
			continue
		}
		if err := os.RemoveAll(k.dir); err != nil {
			return err
		}
		total -= k.size
	}
	f.swept = time.Now()
	return nil
}
