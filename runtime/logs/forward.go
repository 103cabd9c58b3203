package logs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// The part of MessagePack that fluentd's forward protocol needs. Content goes as str whatever its bytes are, as Docker's
// driver does it.

func appendArray(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

func appendMap(b []byte, n int) []byte { return append(b, 0x80|byte(n)) } // of fewer than 16

func appendString[T string | []byte](b []byte, s T) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		b = append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendUint(b []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xce), n)
}

// appendEventTime encodes a time with nanoseconds: extension type 0 of 8 bytes.
func appendEventTime(b []byte, t time.Time) []byte {
	b = append(b, 0xd7, 0x00)
	b = binary.BigEndian.AppendUint32(b, uint32(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// field is a member of a record.
type field struct{ name, value string }

// appendEntry encodes an event of Forward mode: [time, {log, fields…}].
func appendEntry(b []byte, t time.Time, log []byte, fields []field) []byte {
	b = appendEventTime(appendArray(b, 2), t)
	b = appendMap(b, 1+len(fields))
	b = appendString(appendString(b, "log"), log)
	for _, f := range fields {
		b = appendString(appendString(b, f.name), f.value)
	}
	return b
}

// appendMessage encodes a message of Forward mode, [tag, entries, {chunk, size}], which the peer acknowledges with {ack}.
func appendMessage(b []byte, tag string, n int, entries []byte, chunk string) []byte {
	b = appendString(appendArray(b, 3), tag)
	b = append(appendArray(b, n), entries...)
	b = appendMap(b, 2)
	b = appendString(appendString(b, "chunk"), chunk)
	return appendUint(appendString(b, "size"), uint32(n))
}

// errAck is an answer that acknowledges nothing.
var errAck = errors.New("answer is no acknowledgement")

// maxAck bounds the strings of an answer.
const maxAck = 1 << 10

// readAck reads a map of strings and returns its "ack".
func readAck(r *bufio.Reader) (string, error) {
	n, err := readMapLength(r)
	if err != nil {
		return "", err
	}
	ack := ""
	for range n {
		key, err := readString(r)
		if err != nil {
			return "", err
		}
		value, err := readString(r)
		if err != nil {
			return "", err
		}
		if key == "ack" {
			ack = value
		}
	}
	return ack, nil
}

func readMapLength(r *bufio.Reader) (int, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	n := uint64(kind & 0x0f)
	switch {
	case kind&0xf0 == 0x80:
	case kind == 0xde:
		n, err = readLength(r, 2)
	case kind == 0xdf:
		n, err = readLength(r, 4)
	default:
		return 0, fmt.Errorf("%w: it begins with %#x", errAck, kind)
	}
	if err == nil && n > 16 {
		err = fmt.Errorf("%w: it has %d members", errAck, n)
	}
	return int(n), err
}

func readString(r *bufio.Reader) (string, error) {
	kind, err := r.ReadByte()
	if err != nil {
		return "", err
	}
	n := uint64(kind & 0x1f)
	switch {
	case kind&0xe0 == 0xa0:
	case kind == 0xd9, kind == 0xc4:
		n, err = readLength(r, 1)
	case kind == 0xda, kind == 0xc5:
		n, err = readLength(r, 2)
	case kind == 0xdb, kind == 0xc6:
		n, err = readLength(r, 4)
	default:
		return "", fmt.Errorf("%w: %#x where a string is due", errAck, kind)
	}
	if err == nil && n > maxAck {
		err = fmt.Errorf("%w: a string of %d bytes", errAck, n)
	}
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// readLength reads a big-endian number of 1, 2 or 4 bytes.
func readLength(r *bufio.Reader, size int) (n uint64, err error) {
	for range size {
		c, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		n = n<<8 | uint64(c)
	}
	return n, nil
}
