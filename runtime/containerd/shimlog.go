//go:build linux

package containerd

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/containerd/log"

	"github.com/fardel-io/fardel/internal/spool"
)

// spoolScheme is of the addresses of logs, such as "spool:///dir?blocking=true&limit=1048576&streams=2".
const spoolScheme = "spool"

func spoolURI(c creation) string {
	streams := 2
	if c.terminal {
		streams = 1
	}
	query := url.Values{
		"limit": {strconv.FormatInt(c.bounds.Limit, 10)}, "blocking": {strconv.FormatBool(c.bounds.Blocking)},
		"streams": {strconv.Itoa(streams)},
	}
	return (&url.URL{Scheme: spoolScheme, Path: c.log, RawQuery: query.Encode()}).String()
}

// openSpool opens the log at an address for writing.
func openSpool(uri *url.URL) (*spool.Writer, error) {
	limit, err := strconv.ParseInt(uri.Query().Get("limit"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("address of log %q: %w", uri, err)
	}
	return spool.Create(spool.Options{Dir: uri.Path, Limit: limit, Blocking: uri.Query().Get("blocking") == "true"})
}

// containerLog copies what a container writes from FIFOs to a spool.
type containerLog struct {
	writer  *spool.Writer
	streams []stream // stdout and, without a terminal, stderr
}

type stream struct {
	fifo string
	src  *os.File
	hold *os.File // write end, so that the reader sees no end before close
	done chan struct{}
}

func openContainerLog(bundle string, uri *url.URL, terminal bool) (*containerLog, error) {
	w, err := openSpool(uri)
	if err != nil {
		return nil, err
	}
	l := &containerLog{writer: w}
	names := []string{"stdout", "stderr"}
	if terminal {
		names = names[:1]
	}
	for i, name := range names {
		s, err := openStream(filepath.Join(bundle, name))
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		copyStream(s.done, w, i == 1, s.src)
		l.streams = append(l.streams, s)
	}
	return l, nil
}

func openStream(fifo string) (stream, error) {
	if err := syscall.Mkfifo(fifo, 0o600); err != nil && !errors.Is(err, os.ErrExist) {
		return stream{}, fmt.Errorf("make %s: %w", fifo, err)
	}
	src, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return stream{}, err
	}
	hold, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return stream{}, errors.Join(err, src.Close())
	}
	return stream{fifo: fifo, src: src, hold: hold, done: make(chan struct{})}, nil
}

// fifo is where a stream is to be written to, "" if there is none.
func (l *containerLog) fifo(i int) string {
	if i >= len(l.streams) {
		return ""
	}
	return l.streams[i].fifo
}

// close waits until everything is in the spool.
func (l *containerLog) close() error {
	l.writer.Finish()
	var errs []error
	for _, s := range l.streams {
		errs = append(errs, s.hold.Close())
		<-s.done
		errs = append(errs, os.Remove(s.fifo))
	}
	return errors.Join(append(errs, l.writer.Close())...)
}

// keep writes a stream to a spool until its end. What cannot be written is read all the same, or the container would
// wait for good.
func keep(w *spool.Writer, stderr bool, src *os.File) {
	buf := make([]byte, spool.MaxPiece)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if werr := w.Write(stderr, buf[:n], time.Now()); werr != nil {
				log.L.WithError(werr).Error("keep the output of a container")
			}
		}
		if err != nil {
			return
		}
	}
}
