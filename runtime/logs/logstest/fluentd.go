package logstest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Record is one event.
type Record struct {
	Tag    string
	Time   time.Time
	Fields map[string]string
}

// Serve speaks fluentd's forward protocol on a connection until its end: it hands each record on and then acknowledges
// the message, unless take has an error for one of its records, which is returned then. Only Forward mode with chunks and
// event times is taken.
func Serve(conn io.ReadWriter, take func(Record) error) error {
	r := bufio.NewReader(conn)
	for {
		v, err := Decode(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		chunk, err := message(v, take)
		if err != nil {
			return err
		}
		ack := append([]byte{0x81, 0xa3, 'a', 'c', 'k', 0xd9, byte(len(chunk))}, chunk...)
		if _, err := conn.Write(ack); err != nil {
			return err
		}
	}
}

// message takes apart [tag, [[time, record], …], {chunk, size}].
func message(v any, take func(Record) error) (chunk string, err error) {
	parts, ok := v.([]any)
	if !ok || len(parts) != 3 {
		return "", fmt.Errorf("message %v is no array of three", v)
	}
	tag, _ := parts[0].(string)
	entries, _ := parts[1].([]any)
	option, _ := parts[2].(map[string]any)
	chunk, _ = option["chunk"].(string)
	if tag == "" || chunk == "" || option["size"] != uint64(len(entries)) {
		return "", fmt.Errorf("message of tag %q with %d entries has options %v", tag, len(entries), option)
	}
	for _, e := range entries {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			return "", fmt.Errorf("entry %v is no pair", e)
		}
		at, ok := pair[0].(time.Time)
		members, isMap := pair[1].(map[string]any)
		if !ok || !isMap {
			return "", fmt.Errorf("entry %v is no time with a record", e)
		}
		record := Record{Tag: tag, Time: at, Fields: map[string]string{}}
		for k, v := range members {
			record.Fields[k], _ = v.(string)
		}
		if err := take(record); err != nil {
			return "", err
		}
	}
	return chunk, nil
}

// Decode reads one value of MessagePack: a string, uint64, time.Time, []any or map[string]any.
func Decode(r *bufio.Reader) (any, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	switch {
	case kind < 0x80:
		return uint64(kind), nil
	case kind < 0x90:
		return decodeMap(r, uint64(kind&0x0f))
	case kind < 0xa0:
		return decodeArray(r, uint64(kind&0x0f))
	case kind < 0xc0:
		return text(r, uint64(kind&0x1f))
	}
	size, ok := map[byte]int{0xce: 4, 0xd7: 5, 0xd9: 1, 0xda: 2, 0xdb: 4, 0xdd: 4}[kind]
	if !ok {
		return nil, fmt.Errorf("unexpected %#x", kind)
	}
	n, err := number(r, size)
	if err != nil {
		return nil, err
	}
	switch kind {
	case 0xce:
		return n, nil
	case 0xd7: // with the type of the extension
		return eventTime(r, n)
	case 0xdd:
		return decodeArray(r, n)
	}
	return text(r, n)
}

func number(r *bufio.Reader, size int) (uint64, error) {
	b := make([]byte, 8)
	_, err := io.ReadFull(r, b[8-size:])
	return binary.BigEndian.Uint64(b), err
}

func text(r *bufio.Reader, n uint64) (any, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return string(b), err
}

func eventTime(r *bufio.Reader, n uint64) (any, error) {
	if n>>32 != 0 {
		return nil, fmt.Errorf("extension of type %d", n>>32)
	}
	nanos, err := number(r, 4)
	return time.Unix(int64(n), int64(nanos)), err
}

func decodeArray(r *bufio.Reader, n uint64) (any, error) {
	var list []any
	for range n {
		v, err := Decode(r)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func decodeMap(r *bufio.Reader, n uint64) (any, error) {
	m := map[string]any{}
	for range n {
		k, err := Decode(r)
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("member %v of a map", k)
		}
		if m[key], err = Decode(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}
