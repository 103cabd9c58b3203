package network

import (
	"reflect"
	"testing"
)

// TestClone fills every field that a state has and may get, so that one that is forgotten in Clone is found here.
func TestClone(t *testing.T) {
	var s State
	fill(reflect.ValueOf(&s).Elem())
	c := s.Clone()
	if !reflect.DeepEqual(s, c) {
		t.Errorf("the clone is another state:\n%+v\n%+v", s, c)
	}
	if reflect.ValueOf(s).NumField() != 13 || len(s.ENIs[0].Tags) == 0 || len(s.SecurityGroups[0].Ingress[0].CIDRs) == 0 {
		t.Errorf("the state is not filled: %+v", s)
	}
	shared(t, "State", reflect.ValueOf(s), reflect.ValueOf(c))
	e := s.ENIs[0]
	shared(t, "ENI", reflect.ValueOf(e), reflect.ValueOf(e.Clone()))
	if empty := (State{}).Clone(); !reflect.DeepEqual(empty, State{}) {
		t.Errorf("clone of the zero state: %+v", empty)
	}
}

// fill gives one element to every list and map within v.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.String:
		v.SetString("x")
	default:
	}
}

// shared reports memory that two values share.
func shared(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if f := a.Type().Field(i); f.IsExported() {
				shared(t, path+"."+f.Name, a.Field(i), b.Field(i))
			}
		}
	case reflect.Slice:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
			return
		}
		shared(t, path+"[0]", a.Index(0), b.Index(0))
	case reflect.Map, reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
	default:
	}
}
