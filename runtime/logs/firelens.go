package logs

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Bounds of a message to a log router, and how long it may take to acknowledge one.
const (
	maxChunkRecords = 256
	maxChunkBytes   = 512 << 10
	ackTimeout      = 30 * time.Second
)

// How long a writer waits before it tries a router again that is not there yet, or not any more.
const (
	dialFirst = 20 * time.Millisecond
	dialMost  = time.Second
)

// fluent sends records to a log router as Docker's fluentd driver does, and waits for it to acknowledge them.
type fluent struct {
	dial   func(ctx context.Context) (net.Conn, error)
	tag    string
	fields []field // of every record

	conn    net.Conn // nil until dialled and after an error
	answers *bufio.Reader

	entries   []byte
	records   int // in entries
	taken     uint64
	delivered uint64
}

// routerTag is the tag of a container's records, which the router's configuration matches.
func routerTag(container, taskID string) string { return container + "-firelens-" + taskID }

func openFirelens(info Info) Writer {
	if info.RouterSocket == "" {
		return &discard{}
	}
	return &fluent{
		dial: func(ctx context.Context) (net.Conn, error) { return dialSocket(ctx, info.RouterSocket) },
		tag:  routerTag(info.ContainerName, info.TaskID),
		fields: []field{
			{"container_id", info.RuntimeID}, {"container_name", "/" + info.ContainerName}, // the slash is Docker's
		},
	}
}

// Write implements [Writer].
func (f *fluent) Write(ctx context.Context, r Record) error {
	fields := append(f.fields[:len(f.fields):len(f.fields)], field{"source", r.Stream()})
	if p := r.Part; p != nil {
		fields = append(fields, field{"partial_message", "true"}, field{"partial_id", p.ID},
			field{"partial_ordinal", strconv.Itoa(p.Ordinal)}, field{"partial_last", strconv.FormatBool(p.Last)})
	}
	f.entries = appendEntry(f.entries, r.Time, r.Line, fields)
	f.records++
	f.taken++
	if f.records < maxChunkRecords && len(f.entries) < maxChunkBytes {
		return nil
	}
	return f.send(ctx)
}

// Flush implements [Writer]. Everything is always due.
func (f *fluent) Flush(ctx context.Context, _ bool) (uint64, error) { return f.delivered, f.send(ctx) }

// Close implements [Writer].
func (f *fluent) Close() error {
	if f.conn == nil {
		return nil
	}
	return f.conn.Close()
}

// send delivers what there is, and tries until the router has acknowledged it or ctx ends.
func (f *fluent) send(ctx context.Context) error {
	if f.records == 0 {
		return nil
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	chunk := base64.StdEncoding.EncodeToString(id[:])
	message := appendMessage(nil, f.tag, f.records, f.entries, chunk)
	for wait := dialFirst; ; wait = min(2*wait, dialMost) {
		err := f.exchange(ctx, message, chunk)
		if err == nil {
			f.entries, f.records, f.delivered = f.entries[:0], 0, f.taken
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("deliver %d records to the log router: %w, after: %w", f.records, ctx.Err(), err)
		}
	}
}

// exchange sends a message once and reads its acknowledgement.
func (f *fluent) exchange(ctx context.Context, message []byte, chunk string) error {
	if f.conn == nil {
		conn, err := f.dial(ctx)
		if err != nil {
			return err
		}
		f.conn, f.answers = conn, bufio.NewReader(conn)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	err := f.conn.SetDeadline(time.Now().Add(ackTimeout))
	if err == nil && ctx.Err() == nil {
		_, err = f.conn.Write(message)
	}
	ack := ""
	if err == nil {
		ack, err = readAck(f.answers)
	}
	if err == nil && ack != chunk {
		err = fmt.Errorf("%w: got %q, want %q", errAck, ack, chunk)
	}
	if err != nil { // the router forgets what was half sent, and sees the rest again
		f.conn.Close()
		f.conn = nil
	}
	return err
}
