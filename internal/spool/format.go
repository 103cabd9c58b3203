package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// MaxPiece is the most data of a piece. Docker cuts lines there, too.
const MaxPiece = 16 << 10

const (
	magic       = "fardlog1"
	headerSize  = len(magic) + 16
	frameSize   = 1 + 2 + 8 + 4
	kindStdout  = 0x51
	kindStderr  = 0x52
	suffix      = ".seg"
	cursorFile  = "cursor"
	maxNoteSize = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is a piece that is not, or not yet, whole.
var errTorn = errors.New("spool: no whole piece")

// header is what a segment starts with.
type header struct {
	pieces, bytes uint64 // written before it
}

func (h header) encode() []byte {
	b := binary.LittleEndian.AppendUint64([]byte(magic), h.pieces)
	return binary.LittleEndian.AppendUint64(b, h.bytes)
}

// parseHeader reports false for what is no header of this version.
func parseHeader(b []byte) (header, bool) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return header{}, false
	}
	return header{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}, true
}

// appendFrame encodes a piece of at most MaxPiece bytes.
func appendFrame(b []byte, stderr bool, at time.Time, data []byte) []byte {
	kind := byte(kindStdout)
	if stderr {
		kind = kindStderr
	}
	start := len(b)
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(data)))
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = binary.LittleEndian.AppendUint32(b, checksum(b[start:], data))
	return append(b, data...)
}

func checksum(head, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, data)
}

// parseFrame returns the first piece of b and its encoded size. The data is part of b.
func parseFrame(b []byte) (runtime.LogPiece, int, error) {
	if len(b) < frameSize || b[0] != kindStdout && b[0] != kindStderr {
		return runtime.LogPiece{}, 0, errTorn
	}
	size := frameSize + int(binary.LittleEndian.Uint16(b[1:]))
	if size > frameSize+MaxPiece || len(b) < size {
		return runtime.LogPiece{}, 0, errTorn
	}
	data := b[frameSize:size:size]
	if checksum(b[:frameSize-4], data) != binary.LittleEndian.Uint32(b[frameSize-4:]) {
		return runtime.LogPiece{}, 0, errTorn
	}
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(b[3:])))
	return runtime.LogPiece{At: at, Stderr: b[0] == kindStderr, Data: data}, size, nil
}

// pieces cuts what was written into lines, and lines into what fits.
func pieces(chunk []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(chunk) > 0 {
			n := bytes.IndexByte(chunk, '\n') + 1
			if n == 0 {
				n = len(chunk)
			}
			n = min(n, MaxPiece)
			if !yield(chunk[:n]) {
				return
			}
			chunk = chunk[n:]
		}
	}
}

// cursor is what the tail has committed.
type cursor struct {
	runtime.LogPosition
	Note []byte `json:"note,omitempty"`
}

// readCursor returns the zero cursor where nothing was committed.
func readCursor(dir string) (cursor, error) {
	var c cursor
	text, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read position in log: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil { // empty after a loss of power: everything again rather than nothing
		return cursor{}, nil
	}
	return c, nil
}

func (c cursor) write(dir string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+cursorFile)
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return fmt.Errorf("write position in log: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, cursorFile)); err != nil {
		return fmt.Errorf("write position in log: %w", err)
	}
	return nil
}

func segmentPath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%010d%s", n, suffix))
}

// segments lists the numbers of the segments there are, ascending.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && n > 0 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}
