package logs

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of PutLogEvents.
const (
	maxBatchEvents = 10_000
	maxBatchBytes  = 1 << 20
	eventOverhead  = 26
	maxEventBytes  = 256<<10 - eventOverhead // of a message
	maxBatchSpan   = 24 * time.Hour
)

// publishEvery is how long an event waits for others, and a line for the rest of its event: Docker's
// batchPublishFrequency.
const publishEvery = 5 * time.Second

// awsLogs batches events for a sink.
type awsLogs struct {
	sink   Sink
	stream Stream
	start  *regexp.Regexp // of the first line of an event; nil if every line is one

	taken     uint64 // records
	delivered uint64 // of them

	event      []byte // that is being put together
	eventTime  time.Time
	eventSince time.Time // when it was begun here
	inLine     bool      // its last line goes on

	batch      []Event
	batchBytes int
	batchSince time.Time
	batchTaken uint64 // records that are delivered with it
}

// StreamName is the log stream of a container, named as in ECS: prefix/container/task, and without a prefix, on EC2, the
// container's ID. The prefix is the option awslogs-stream-prefix.
func StreamName(prefix string, info Info) string {
	if prefix == "" {
		return info.RuntimeID
	}
	return prefix + "/" + info.ContainerName + "/" + info.TaskID
}

func openAWSLogs(ctx context.Context, sink Sink, options map[string]string, info Info) (Writer, error) {
	if sink == nil {
		return &discard{}, nil
	}
	w := &awsLogs{sink: sink, stream: Stream{
		options["awslogs-region"], options["awslogs-group"], StreamName(options["awslogs-stream-prefix"], info),
	}}
	var err error
	switch {
	case options["awslogs-datetime-format"] != "": // it wins over the other (ECS)
		w.start, err = datetimePattern(options["awslogs-datetime-format"])
	case options["awslogs-multiline-pattern"] != "":
		w.start, err = regexp.Compile(options["awslogs-multiline-pattern"])
	}
	if err != nil {
		return nil, err
	}
	if err := sink.CreateStream(ctx, w.stream, options["awslogs-create-group"] == "true"); err != nil {
		return nil, fmt.Errorf("create log stream %s in group %s: %w", w.stream.Name, w.stream.Group, err)
	}
	return w, nil
}

// Write implements [Writer].
func (w *awsLogs) Write(ctx context.Context, r Record) error {
	begins := r.Part == nil || r.Part.Ordinal == 1
	if begins && (w.start == nil || w.start.Match(r.Line)) || len(w.event)+len(r.Line) > maxEventBytes {
		if err := w.endEvent(ctx); err != nil {
			return err
		}
	}
	if len(w.event) == 0 {
		w.eventTime, w.eventSince = r.Time, time.Now()
	}
	w.event = append(w.event, r.Line...)
	w.taken++
	ends := r.Part == nil || r.Part.Last
	w.inLine = !ends
	if w.start != nil {
		if ends {
			w.event = append(w.event, '\n') // Docker keeps the newlines of an event of several lines
		}
		return nil
	}
	if ends {
		return w.endEvent(ctx)
	}
	return nil
}

// endEvent puts the event that is being put together in the batch, in parts if it is too long.
func (w *awsLogs) endEvent(ctx context.Context) error {
	message := validUTF8(w.event)
	at := w.eventTime.Truncate(time.Millisecond)
	for len(message) > 0 {
		part := message[:cut(message, maxEventBytes)]
		message = message[len(part):]
		if err := w.makeRoom(ctx, len(part), at); err != nil {
			return err
		}
		if len(w.batch) == 0 {
			w.batchSince = time.Now()
		}
		w.batch = append(w.batch, Event{at, part})
		w.batchBytes += len(part) + eventOverhead
	}
	w.event = w.event[:0]
	w.batchTaken = w.taken
	return nil
}

// cut is the length of the longest beginning of s that has at most n bytes and whole characters.
func cut(s string, n int) int {
	if len(s) <= n {
		return len(s)
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

// validUTF8 replaces each byte that is not part of a character.
func validUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		s.WriteRune(r)
		b = b[n:]
	}
	return s.String()
}

// makeRoom publishes the batch if it cannot take an event.
func (w *awsLogs) makeRoom(ctx context.Context, size int, at time.Time) error {
	if len(w.batch) == 0 {
		return nil
	}
	first, last := at, at
	for _, e := range []Event{w.batch[0], w.batch[len(w.batch)-1]} {
		first, last = minTime(first, e.Time), maxTime(last, e.Time)
	}
	if len(w.batch) < maxBatchEvents && w.batchBytes+size+eventOverhead <= maxBatchBytes && last.Sub(first) < maxBatchSpan {
		return nil
	}
	return w.publish(ctx)
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// publish sends the batch. An event of which a part is in it and another is not counts with the next.
func (w *awsLogs) publish(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	// The clock can have been set back.
	slices.SortStableFunc(w.batch, func(a, b Event) int { return cmp.Compare(a.Time.UnixMilli(), b.Time.UnixMilli()) })
	if err := w.sink.PutEvents(ctx, w.stream, w.batch); err != nil {
		return fmt.Errorf("put %d events to log stream %s of group %s: %w", len(w.batch), w.stream.Name, w.stream.Group, err)
	}
	w.batch, w.batchBytes = nil, 0
	w.delivered = w.batchTaken
	return nil
}

// Flush implements [Writer].
func (w *awsLogs) Flush(ctx context.Context, all bool) (uint64, error) {
	// The end of a line is worth waiting for while there is something else to deliver: who asks for all of it needs room.
	whole := all && (!w.inLine || len(w.batch) == 0)
	if len(w.event) > 0 && (whole || w.start != nil && time.Since(w.eventSince) >= publishEvery) {
		if err := w.endEvent(ctx); err != nil {
			return w.delivered, err
		}
	}
	if len(w.batch) > 0 && (all || time.Since(w.batchSince) >= publishEvery) {
		if err := w.publish(ctx); err != nil {
			return w.delivered, err
		}
	}
	if len(w.batch) == 0 && len(w.event) == 0 {
		w.delivered = w.taken // empty lines have nothing to be sent
	}
	return w.delivered, nil
}

// Close implements [Writer].
func (w *awsLogs) Close() error { return nil }
