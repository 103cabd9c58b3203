package task

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Extra remembers what the JSON of one object said that its Go struct does not:
//
//   - members that the struct has no field for, by name;
//   - members with a field whose spelling the field alone would not bring back:
//     explicit zero, empty and null values, and timestamps.
//
// A spelling of the second kind is written again only while it still says what
// the field says, so a changed field is never overruled by its past. Values are
// raw JSON. A nil Extra is an empty one; definitions built in Go need none.
type Extra map[string]json.RawMessage

// set puts a value into the map, which it makes if there is none.
func (e *Extra) set(name string, raw json.RawMessage) {
	if *e == nil {
		*e = make(Extra)
	}
	(*e)[name] = raw
}

// UnknownField is a member of a decoded definition that this package does not
// know: a misspelling, or something newer than the package.
type UnknownField struct {
	// Path leads to the member, such as containerDefinitions[0].portMapping.
	Path string
	// Suggestion is the member that was likely meant, or empty.
	Suggestion string
	// Value is the member's value.
	Value json.RawMessage
}

// String returns a sentence for the person who wrote the definition.
func (u UnknownField) String() string {
	s := u.Path + ": ECS knows no such member"
	if u.Suggestion != "" {
		s += fmt.Sprintf("; did you mean %q?", u.Suggestion)
	}
	return s
}

// Unknown lists the unknown members of d by the order of its fields.
func (d *TaskDefinition) Unknown() []UnknownField {
	return appendUnknown(nil, reflect.ValueOf(d), "")
}

// Unknown lists the unknown members of o by the order of its fields.
func (o *TaskOverride) Unknown() []UnknownField {
	return appendUnknown(nil, reflect.ValueOf(o), "")
}

func appendUnknown(list []UnknownField, v reflect.Value, path string) []UnknownField {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			list = appendUnknown(list, v.Elem(), path)
		}
	case reflect.Slice:
		for i := range v.Len() {
			list = appendUnknown(list, v.Index(i), appendPath(path, pathElem{index: i}))
		}
	case reflect.Struct:
		p := planOf(v.Type())
		if p == nil {
			return list // a time
		}
		extra := v.Field(p.extra).Interface().(Extra)
		for _, name := range extra.unknown(p) {
			list = append(list, UnknownField{
				Path:       appendPath(path, pathElem{name: name, isKey: true}),
				Suggestion: p.suggest(name),
				Value:      extra[name],
			})
		}
		for _, f := range p.fields {
			list = appendUnknown(list, v.Field(f.index), appendPath(path, pathElem{name: f.name, isKey: true}))
		}
	}
	return list
}

// unknown returns the sorted names in e that the plan has no field for.
func (e Extra) unknown(p *plan) []string {
	var names []string
	for name := range e {
		if _, ok := p.byName[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// suggest returns the member that someone who wrote name likely meant: one that
// differs in case, or else in few letters.
func (p *plan) suggest(name string) string {
	best, least := "", 1+max(1, len(name)/4)
	for _, f := range p.fields {
		if strings.EqualFold(f.name, name) {
			return f.name
		}
		if d := distance(strings.ToLower(f.name), strings.ToLower(name)); d < least {
			best, least = f.name, d
		}
	}
	return best
}

// distance returns how many letters must be put in, taken out, replaced or
// swapped with their neighbour to make a into b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b)) // no member name is that long
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
