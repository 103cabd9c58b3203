package flowlog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Format is which fields records are written with, and in which order.
type Format struct {
	fields  []field
	version int
}

// DefaultFormat is AWS's: the fields of version 2.
func DefaultFormat() Format {
	f := Format{version: 2}
	for _, x := range fields() {
		if x.version == 2 {
			f.fields = append(f.fields, x)
		}
	}
	return f
}

// ParseFormat reads a format such as "${version} ${interface-id} ${action}", in which each field can stand once. The error
// matches [ErrInvalid].
func ParseFormat(s string) (Format, error) {
	all := fields()
	f := Format{version: 2}
	for _, part := range strings.Fields(s) {
		name, open := strings.CutPrefix(part, "${")
		name, closed := strings.CutSuffix(name, "}")
		i := slices.IndexFunc(all, func(x field) bool { return x.name == name })
		switch {
		case !open || !closed:
			return Format{}, fmt.Errorf("%w: format: %q is no field such as ${version}", ErrInvalid, part)
		case i < 0:
			return Format{}, fmt.Errorf("%w: format: there is no field ${%s} in the versions 2 to 5", ErrInvalid, name)
		case slices.ContainsFunc(f.fields, func(x field) bool { return x.name == name }):
			return Format{}, fmt.Errorf("%w: format: ${%s} is there twice", ErrInvalid, name)
		}
		f.fields = append(f.fields, all[i])
		f.version = max(f.version, all[i].version)
	}
	if len(f.fields) == 0 {
		return Format{}, fmt.Errorf("%w: format: it has no field", ErrInvalid)
	}
	return f, nil
}

// String returns the format as [ParseFormat] reads it.
func (f Format) String() string {
	parts := make([]string, len(f.fields))
	for i, x := range f.fields {
		parts[i] = "${" + x.name + "}"
	}
	return strings.Join(parts, " ")
}

// Version is the highest of its fields': what ${version} is written as.
func (f Format) Version() int { return f.version }

// Header is the names of the fields, the first line of AWS's files.
func (f Format) Header() string {
	parts := make([]string, len(f.fields))
	for i, x := range f.fields {
		parts[i] = x.name
	}
	return strings.Join(parts, " ")
}

// Line writes a record, without a newline. A field that does not apply is "-".
func (f Format) Line(r Record) string {
	parts := make([]string, len(f.fields))
	for i, x := range f.fields {
		switch {
		case x.get == nil:
			parts[i] = strconv.Itoa(f.version)
		case !x.flow || r.Status == OK:
			parts[i] = clean(x.get(&r))
		}
		if parts[i] == "" {
			parts[i] = "-"
		}
	}
	return strings.Join(parts, " ")
}

// clean keeps a value from looking like more than one.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}

// Parse reads a line that [Format.Line] wrote. Fields that are "-" stay zero. The error matches [ErrInvalid].
func (f Format) Parse(line string) (Record, error) {
	parts := strings.Fields(line)
	if len(parts) != len(f.fields) {
		return Record{}, fmt.Errorf("%w: %d fields, the format has %d", ErrInvalid, len(parts), len(f.fields))
	}
	r := Record{Status: OK}
	for i, x := range f.fields {
		switch {
		case parts[i] == "-":
		case x.set == nil:
			if parts[i] != strconv.Itoa(f.version) {
				return Record{}, fmt.Errorf("%s: %w: %q, the format has %d", x.name, ErrInvalid, parts[i], f.version)
			}
		default:
			if err := x.set(&r, parts[i]); err != nil {
				return Record{}, fmt.Errorf("%s: %w", x.name, err)
			}
		}
	}
	return r, nil
}
