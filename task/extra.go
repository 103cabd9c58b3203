package task

import "encoding/json"

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
