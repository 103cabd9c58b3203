package task

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// MarshalJSON encodes the definition as compact JSON, members in the order of
// the fields and unknown ones after them. Unset fields are left out, unless the
// definition was decoded from JSON that had them. It fails on an Extra that is
// not JSON.
func (d TaskDefinition) MarshalJSON() ([]byte, error) { return encode(reflect.ValueOf(d)) }

// MarshalJSON encodes the override by the rules of TaskDefinition.
func (o TaskOverride) MarshalJSON() ([]byte, error) { return encode(reflect.ValueOf(o)) }

func encode(v reflect.Value) ([]byte, error) {
	return appendValue(make([]byte, 0, 1024), v)
}

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.Pointer:
		return appendValue(b, v.Elem())
	case reflect.Struct:
		if v.Type() == timeType {
			return appendQuoted(b, v.Interface().(time.Time).Format(time.RFC3339Nano)), nil
		}
		return appendStruct(b, v)
	case reflect.Slice:
		return appendSlice(b, v)
	case reflect.Map:
		return appendMap(b, v), nil
	case reflect.String:
		return appendQuoted(b, v.String()), nil
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	default:
		return strconv.AppendInt(b, v.Int(), 10), nil
	}
}

func appendSlice(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendMap(b []byte, v reflect.Value) []byte {
	keys := make([]string, 0, v.Len())
	for k := range v.Seq() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, k), ':')
		b = appendQuoted(b, v.MapIndex(reflect.ValueOf(k)).String())
	}
	return append(b, '}')
}

func appendStruct(b []byte, v reflect.Value) (_ []byte, err error) {
	p := planOf(v.Type())
	extra := v.Field(p.extra).Interface().(Extra)
	start := len(b)
	b = append(b, '{')
	name := func(s string) {
		if len(b) > start+1 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, s), ':')
	}
	for _, f := range p.fields {
		fv := v.Field(f.index)
		if raw, ok := extra[f.name]; ok && spells(raw, fv) {
			name(f.name)
			b = append(b, raw...)
		} else if !isEmpty(fv) {
			name(f.name)
			if b, err = appendValue(b, fv); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range extra.unknown(p) {
		if !json.Valid(extra[s]) {
			return nil, fmt.Errorf("task: %s: its Extra is not JSON: %q", s, extra[s])
		}
		name(s)
		b = append(b, extra[s]...)
	}
	return append(b, '}'), nil
}

// spells reports whether raw is a way to write the value v.
func spells(raw []byte, v reflect.Value) bool {
	if string(raw) == "null" {
		return isEmpty(v)
	}
	if !isEmpty(v) && v.Type() != timeType {
		return false // the field itself is enough
	}
	was := reflect.New(v.Type())
	if decodeInto(raw, was.Interface()) != nil {
		return false
	}
	if v.Type() == timeType {
		return v.Interface().(time.Time).Equal(was.Elem().Interface().(time.Time))
	}
	return isEmpty(was.Elem())
}

// appendQuoted appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
