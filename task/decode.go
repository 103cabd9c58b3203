package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// DecodeError is what is wrong with the JSON of a definition or override.
type DecodeError struct {
	// Path leads to the value, such as
	// containerDefinitions[1].portMappings[0].containerPort. It is empty for the
	// document as a whole.
	Path string
	// Line and Column, in bytes, count from 1 and point at the value.
	Line, Column int
	// Offset is the same place in bytes from the start.
	Offset int64
	// Reason says what is wrong.
	Reason string
}

// Error returns path, reason and line.
func (e *DecodeError) Error() string {
	where := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path == "" {
		return fmt.Sprintf("task: %s: %s", where, e.Reason)
	}
	return fmt.Sprintf("task: %s: %s (%s)", e.Path, e.Reason, where)
}

// DecodeDefinition reads a task definition as JSON: what `aws ecs
// register-task-definition --cli-input-json` takes, or what `aws ecs
// describe-task-definition` prints, with or without the "taskDefinition" around
// it. Tags beside that wrapper become the definition's own.
//
// Members this package does not know are kept and listed by
// [TaskDefinition.Unknown]. A value of the wrong type, a member that is there
// twice, and text that is not JSON are a [*DecodeError]. Whether the definition
// makes sense is for [TaskDefinition.Validate] to say.
func DecodeDefinition(r io.Reader) (*TaskDefinition, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("task: read definition: %w", err)
	}
	d := new(TaskDefinition)
	if err := decodeDefinition(bytes.TrimPrefix(data, []byte("\ufeff")), d); err != nil {
		return nil, err
	}
	return d, nil
}

// UnmarshalJSON decodes the definition like DecodeDefinition and replaces all
// of d. It leaves d alone on error.
func (d *TaskDefinition) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json asks of every Unmarshaler
	}
	var fresh TaskDefinition
	if err := decodeDefinition(data, &fresh); err != nil {
		return err
	}
	*d = fresh
	return nil
}

// UnmarshalJSON decodes the override by the rules of DecodeDefinition and
// replaces all of o. It leaves o alone on error.
func (o *TaskOverride) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // as encoding/json asks of every Unmarshaler
	}
	var fresh TaskOverride
	if err := decodeInto(data, &fresh); err != nil {
		return err
	}
	*o = fresh
	return nil
}

// decodeInto decodes the one JSON value in data into what p points to.
func decodeInto(data []byte, p any) error {
	d := &decoder{scanner{data: data}}
	return d.document(func() error { return d.value(reflect.ValueOf(p).Elem()) })
}

// decodeDefinition looks for the wrapper of DescribeTaskDefinition first, which
// also finds broken JSON before complaining of its values.
func decodeDefinition(data []byte, def *TaskDefinition) error {
	d := &decoder{scanner{data: data}}
	wrapped := false
	err := d.document(func() error {
		if err := d.want('{', "an object with a task definition"); err != nil {
			return err
		}
		return d.object(func(name string) error {
			wrapped = wrapped || name == "taskDefinition"
			_, err := d.skip()
			return err
		})
	})
	if err != nil {
		return err
	}
	if !wrapped {
		return decodeInto(data, def)
	}
	d.pos = 0
	return d.document(func() error { return d.wrapper(def) })
}

// wrapper reads the response of DescribeTaskDefinition: the definition under
// "taskDefinition" and its tags beside it. What else is beside it is kept as if
// it stood in the definition.
func (d *decoder) wrapper(def *TaskDefinition) error {
	var beside TaskDefinition
	inside := false
	err := d.object(func(name string) error {
		if name == "taskDefinition" {
			inside = true
			return d.value(reflect.ValueOf(def).Elem())
		}
		p := planOf(reflect.TypeFor[TaskDefinition]())
		if _, known := p.byName[name]; known && name != "tags" {
			return d.errorAt(d.pos, "belongs into taskDefinition, not beside it")
		}
		return d.member(reflect.ValueOf(&beside).Elem(), p, name)
	})
	if err != nil || !inside {
		return err
	}
	if len(beside.Tags) > 0 {
		def.Tags = beside.Tags
		delete(def.Extra, "tags")
	}
	for name, raw := range beside.Extra {
		if _, taken := def.Extra[name]; !taken {
			def.Extra.set(name, raw)
		}
	}
	return nil
}

// decoder is a scanner that fills Go values by their type.
type decoder struct{ scanner }

// value decodes the value at the current position into v.
func (d *decoder) value(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem())
	case reflect.Struct:
		if v.Type() == timeType {
			return d.timestamp(v)
		}
		return d.structure(v)
	case reflect.Slice:
		return d.slice(v)
	case reflect.Map:
		return d.stringMap(v)
	case reflect.String:
		return d.text(v)
	case reflect.Bool:
		return d.boolean(v)
	default:
		return d.integer(v)
	}
}

// structure decodes an object into a struct.
func (d *decoder) structure(v reflect.Value) error {
	if err := d.want('{', "an object"); err != nil {
		return err
	}
	p := planOf(v.Type())
	return d.object(func(name string) error { return d.member(v, p, name) })
}

// member decodes the value of the named member into the struct v. What its
// fields cannot say goes to its Extra.
func (d *decoder) member(v reflect.Value, p *plan, name string) error {
	at := d.pos
	i, known := p.byName[name]
	if known && d.peek() != 'n' {
		f := v.Field(p.fields[i].index)
		if err := d.value(f); err != nil {
			return err
		}
		if !isEmpty(f) && f.Type() != timeType {
			return nil
		}
	} else if _, err := d.skip(); err != nil {
		return err
	}
	extra := v.Field(p.extra).Addr().Interface().(*Extra)
	extra.set(name, compact(d.data[at:d.pos]))
	return nil
}

func (d *decoder) slice(v reflect.Value) error {
	what := "an array of objects"
	switch v.Type().Elem().Kind() {
	case reflect.String:
		what = "an array of strings"
	case reflect.Int:
		what = "an array of integers"
	}
	if err := d.want('[', what); err != nil {
		return err
	}
	return d.array(func(i int) error {
		v.Grow(1)
		v.SetLen(i + 1)
		return d.value(v.Index(i))
	})
}

func (d *decoder) stringMap(v reflect.Value) error {
	if err := d.want('{', "an object of strings"); err != nil {
		return err
	}
	return d.object(func(name string) error {
		if err := d.want('"', "a string"); err != nil {
			return err
		}
		s, err := d.str()
		if err != nil {
			return err
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(s))
		return nil
	})
}

func (d *decoder) text(v reflect.Value) error {
	if err := d.want('"', "a string"); err != nil {
		return err
	}
	s, err := d.str()
	v.SetString(s)
	return err
}

func (d *decoder) boolean(v reflect.Value) error {
	if c := d.peek(); c != 't' && c != 'f' {
		return d.wrong("true or false")
	}
	w, err := d.word()
	v.SetBool(w == "true")
	return err
}

func (d *decoder) integer(v reflect.Value) error {
	at := d.pos
	if c := d.peek(); c != '-' && !isDigit(c) {
		return d.wrong("an integer")
	}
	text, err := d.number()
	if err != nil {
		return err
	}
	if strings.ContainsAny(text, ".eE") {
		return d.errorAt(at, "must be an integer, not %s", text)
	}
	i, err := strconv.ParseInt(text, 10, v.Type().Bits())
	if err != nil {
		return d.errorAt(at, "%s is out of range", text)
	}
	v.SetInt(i)
	return nil
}

// timestamp decodes a time as the AWS tools print it: ISO 8601 text, or seconds
// since 1970 as a number.
func (d *decoder) timestamp(v reflect.Value) error {
	at := d.pos
	c := d.peek()
	if c != '"' && c != '-' && !isDigit(c) {
		return d.wrong("a time as text or as seconds since 1970")
	}
	raw, err := d.skip()
	if err != nil {
		return err
	}
	t, err := parseTime(raw)
	if err != nil {
		return d.errorAt(at, "%v", err)
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// parseTime reads a time from a JSON string or number.
func parseTime(raw []byte) (time.Time, error) {
	if raw[0] != '"' {
		return epoch(string(raw))
	}
	text := string(raw[1 : len(raw)-1])
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("must be a time such as 2006-01-02T15:04:05Z, not %s", raw)
}

// epoch returns the time of a number of seconds since 1970, to the nanosecond.
func epoch(text string) (time.Time, error) {
	const limit = 1e11 // seconds: the year 5138
	whole, fraction, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.ContainsAny(fraction, "eE") || sec < -limit || sec > limit {
		return time.Time{}, fmt.Errorf("%s is not a time in seconds since 1970", text)
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	if whole[0] == '-' {
		nsec = -nsec
	}
	return time.Unix(sec, nsec).UTC(), nil
}

// want fails unless the value at the current position begins with c.
func (d *decoder) want(c byte, what string) error {
	if d.peek() == c {
		return nil
	}
	return d.wrong(what)
}

// wrong returns the error of a value that is not what it must be, or the one
// that is in its syntax.
func (d *decoder) wrong(what string) error {
	at := d.pos
	raw, err := d.skip()
	if err != nil {
		return err
	}
	is := string(raw)
	switch is[0] {
	case '{':
		is = "an object"
	case '[':
		is = "an array"
	}
	if r := []rune(is); len(r) > 60 {
		is = string(r[:57]) + "..."
	}
	return d.errorAt(at, "must be %s, not %s", what, is)
}

// compact returns a copy of valid JSON without white space.
func compact(raw []byte) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return bytes.Clone(raw)
	}
	return b.Bytes()
}
