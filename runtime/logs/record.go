package logs

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fardel-io/fardel/runtime"
)

// MaxLine is where lines are cut into parts, as Docker does.
const MaxLine = 16 << 10

// Record is a line that a container has written, or a part of a long one.
type Record struct {
	Time   time.Time // of the first part
	Stderr bool
	Line   []byte // without newline; valid until Write returns
	Part   *Part  // nil for a whole line
}

// Part says which part of a line a record is.
type Part struct {
	ID      string // the same for all parts of a line
	Ordinal int    // from 1
	Last    bool
}

// Stream is Docker's name of the stream.
func (r Record) Stream() string {
	if r.Stderr {
		return "stderr"
	}
	return "stdout"
}

// openLine is what has been read of a line without its end.
type openLine struct {
	At    time.Time `json:"at"`
	Data  []byte    `json:"data,omitempty"`
	Parts int       `json:"parts,omitempty"` // cut off already
	First uint64    `json:"first"`           // number of its first piece
}

func (l openLine) empty() bool { return len(l.Data) == 0 && l.Parts == 0 }

// assembler makes records of pieces. Its state between two pieces is part of the tail's position.
type assembler struct {
	open [2]openLine // stdout and stderr
}

// add returns the records that a piece completes: none, one, or parts of a long line. Their lines are not valid after the
// next call.
func (a *assembler) add(p runtime.LogPiece) []Record {
	l := &a.open[0]
	if p.Stderr {
		l = &a.open[1]
	}
	data, ends := p.Data, false
	if n := len(data); n > 0 && data[n-1] == '\n' {
		data, ends = data[:n-1], true
	}
	if l.empty() {
		l.At, l.First = p.At, p.Position.Piece
		if ends && len(data) <= MaxLine { // most lines
			*l = openLine{}
			return []Record{{Time: p.At, Stderr: p.Stderr, Line: data}}
		}
	}
	// Snapshots of the state share the data, and what they have of it never changes.
	l.Data = append(l.Data, data...)
	var records []Record
	for len(l.Data) > MaxLine || len(l.Data) == MaxLine && !ends {
		l.Parts++
		records = append(records, l.record(p.Stderr, l.Data[:MaxLine], false))
		l.Data = l.Data[MaxLine:]
	}
	if ends {
		records = append(records, l.end(p.Stderr))
	}
	return records
}

// end returns the rest of a line, and forgets it.
func (l *openLine) end(stderr bool) Record {
	if l.Parts > 0 {
		l.Parts++
	}
	r := l.record(stderr, l.Data, true)
	*l = openLine{}
	return r
}

func (l *openLine) record(stderr bool, data []byte, last bool) Record {
	r := Record{Time: l.At, Stderr: stderr, Line: data}
	if l.Parts > 0 {
		r.Part = &Part{ID: fmt.Sprintf("%x-%d", l.At.UnixNano(), l.First), Ordinal: l.Parts, Last: last}
	}
	return r
}

// rest returns what a container has written last, without a newline.
func (a *assembler) rest() (records []Record) {
	for i := range a.open {
		if !a.open[i].empty() {
			records = append(records, a.open[i].end(i == 1))
		}
	}
	return records
}

// note is the state as it is kept with a position, nil for the usual one.
func (a assembler) note() ([]byte, error) {
	if a.open[0].empty() && a.open[1].empty() {
		return nil, nil
	}
	return json.Marshal(a.open)
}

func (a *assembler) restore(note []byte) error {
	if len(note) == 0 {
		return nil
	}
	if err := json.Unmarshal(note, &a.open); err != nil {
		return fmt.Errorf("logs: what was noted with the position: %w", err)
	}
	return nil
}
