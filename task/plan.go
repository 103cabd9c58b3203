package task

import (
	"reflect"
	"strings"
	"sync"
	"time"
)

// plan is what the codec knows of a struct: its JSON members in the order of
// its fields, and where its Extra is.
type plan struct {
	fields []field
	byName map[string]int // index into fields
	extra  int            // index of the struct's Extra field
}

type field struct {
	name  string // of the JSON member
	index int    // of the struct field
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	extraType = reflect.TypeFor[Extra]()
)

// plans returns the plan of every struct the codec handles. It is worked out
// once, from the json tags, and never changes.
var plans = sync.OnceValue(func() map[reflect.Type]*plan {
	all := make(map[reflect.Type]*plan)
	addPlans(all, reflect.TypeFor[TaskDefinition]())
	addPlans(all, reflect.TypeFor[TaskOverride]())
	return all
})

func planOf(t reflect.Type) *plan { return plans()[t] }

func addPlans(all map[reflect.Type]*plan, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		addPlans(all, t.Elem())
		return
	case reflect.Struct:
	default:
		return
	}
	if t == timeType || all[t] != nil {
		return
	}
	p := &plan{byName: make(map[string]int), extra: -1}
	all[t] = p
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == extraType {
			p.extra = i
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p.byName[name] = len(p.fields)
		p.fields = append(p.fields, field{name, i})
		addPlans(all, f.Type)
	}
}

// isEmpty reports whether v is what an absent member leaves behind.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}
