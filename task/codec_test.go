package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func decode(t *testing.T, text string) *TaskDefinition {
	t.Helper()
	d, err := DecodeDefinition(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestChangedFieldsWin(t *testing.T) {
	d := decode(t, `{"family":"x","cpu":null,"memory":"","volumes":[],"tags":null,"enableFaultInjection":false,
		"registeredAt":1700000000.5,"newer":{"a":1},
		"containerDefinitions":[{"name":"a","cpu":0,"essential":true,"stopTimeout":30,"environment":[]}]}`)
	d.CPU, d.Memory = "256", "512"
	d.Volumes = []Volume{{Name: "v"}}
	d.Tags = []Tag{{Key: "k"}}
	d.EnableFaultInjection = true
	d.RegisteredAt = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	c := &d.ContainerDefinitions[0]
	c.CPU, c.StopTimeout = 10, 0
	*c.Essential = false
	c.Environment = []KeyValuePair{{Name: "A", Value: "b"}}
	want := `{"family":"x","containerDefinitions":[{"name":"a","cpu":10,"essential":false,"environment":[{"name":"A","value":"b"}]}],` +
		`"volumes":[{"name":"v"}],"cpu":"256","memory":"512","tags":[{"key":"k"}],"enableFaultInjection":true,` +
		`"registeredAt":"2026-01-02T03:04:05.000006Z","newer":{"a":1}}`
	if diff := cmp.Diff(want, encoded(t, d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Back to what they were, they are spelled as they were.
	d.CPU, d.Volumes, d.RegisteredAt = "", nil, time.Unix(1700000000, 5e8)
	for _, part := range []string{`"cpu":null`, `"volumes":[]`, `"registeredAt":1700000000.5`} {
		if got := encoded(t, d); !strings.Contains(got, part) {
			t.Errorf("got %s, want it to have %s", got, part)
		}
	}
}

func TestExtraByHand(t *testing.T) {
	d := &TaskDefinition{Family: "x", Extra: Extra{
		"b-new": json.RawMessage(`[1]`), "a-new": json.RawMessage(`1`),
		"cpu": json.RawMessage(`"512"`), "family": json.RawMessage(`"y"`), "memory": json.RawMessage(`not JSON`),
	}}
	if got, want := encoded(t, d), `{"family":"x","a-new":1,"b-new":[1]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.Extra["a-new"] = json.RawMessage(`{`)
	if _, err := json.Marshal(d); err == nil {
		t.Error("got no error for an Extra that is not JSON")
	}
}

func TestTimestamps(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want time.Time
	}{
		{`1700000000`, time.Unix(1700000000, 0)},
		{`1700000000.119`, time.Unix(1700000000, 119e6)},
		{`-1.5`, time.Unix(-2, 5e8)},
		{`-0.5`, time.Unix(-1, 5e8)},
		{`0`, time.Unix(0, 0)},
		{`1700000000.1234567891`, time.Unix(1700000000, 123456789)},
		{`"2023-11-14T22:13:20Z"`, time.Unix(1700000000, 0)},
		{`"2023-11-14T22:13:20.119000+00:00"`, time.Unix(1700000000, 119e6)},
		{`"2023-11-14T14:13:20-08:00"`, time.Unix(1700000000, 0)},
		{`"2023-11-14T22:13:20.5"`, time.Unix(1700000000, 5e8)},
		{`"2023-11-14 22:13:20+00:00"`, time.Unix(1700000000, 0)},
		{`"0001-01-01T00:00:00Z"`, time.Time{}},
	} {
		text := `{"registeredAt":` + tt.raw + `}`
		d := decode(t, text)
		if !d.RegisteredAt.Equal(tt.want) {
			t.Errorf("%s is %v, want %v", tt.raw, d.RegisteredAt, tt.want)
		}
		if got := encoded(t, d); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	for _, raw := range []string{`1e300`, `1e5`, `99999999999999`, `-99999999999999`, `true`, `{}`, `""`, `"now"`, `"2023-13-01T00:00:00Z"`} {
		if _, err := DecodeDefinition(strings.NewReader(`{"registeredAt":` + raw + `}`)); err == nil {
			t.Errorf("%s: got no error", raw)
		}
	}
}

func TestStrings(t *testing.T) {
	for in, want := range map[string]string{
		`"plain"`:                            "plain",
		`"\"\\\/\b\f\n\r\t"`:                 "\"\\/\b\f\n\r\t",
		`"\u0041\u00e9\u4e16"`:               "Aé世",
		`"\ud83d\ude00 and 😀"`:               "😀 and 😀",
		`"\u0000"`:                           "\x00",
		`"` + "\u2028" + `<script>&'"`:       "\u2028<script>&'",
		`"` + strings.Repeat("x", 1e4) + `"`: strings.Repeat("x", 1e4),
	} {
		d := decode(t, `{"containerDefinitions":[{"name":`+in+`}]}`)
		if got := d.ContainerDefinitions[0].Name; got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
		again := decode(t, encoded(t, d))
		if got := again.ContainerDefinitions[0].Name; got != want {
			t.Errorf("%s comes back as %q, want %q", in, got, want)
		}
	}
	d := &TaskDefinition{Family: "a\xffb"}
	if got, want := encoded(t, d), "{\"family\":\"a\ufffdb\"}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	deep := strings.Repeat(`[`, 200)
	for _, tt := range []struct{ in, path, reason string }{
		{``, "", "is empty"},
		{" \n ", "", "is empty"},
		{`nul`, "", "want a value, not 'n'"},
		{`null`, "", "must be an object with a task definition, not null"},
		{`{"a":1} x`, "", "unexpected 'x' after the end"},
		{`{"a" 1}`, "a", `want ':' after the member name, not '1'`},
		{`{"a":1 "b":2}`, "", `want ',' or '}' after a member, not '"'`},
		{`{"a":[1 2]}`, "a", `want ',' or ']' after an element, not '2'`},
		{`{"a":[1,]}`, "a[1]", "want a value, not ']'"},
		{`{a:1}`, "", "want a member name in double quotes, not 'a'"},
		{`{"a":'x'}`, "a", `want a value, not '\''`},
		{`{"a":01}`, "a", "malformed number"},
		{`{"a":-}`, "a", "malformed number"},
		{`{"a":1.}`, "a", "malformed number"},
		{`{"a":1e}`, "a", "malformed number"},
		{`{"a":.5}`, "a", "want a value, not '.'"},
		{`{"a":tru}`, "a", "want a value, not 't'"},
		{"{\"a\":\"x\ny\"}", "a", "unescaped control character 0x0a"},
		{"{\"a\":\"\\n\ny\"}", "a", "unescaped control character 0x0a"},
		{`{"a":"\x"}`, "a", "unknown escape in a string: a backslash before 'x'"},
		{`{"a":"\u12"}`, "a", `malformed \u escape`},
		{`{"a":"\u12zz"}`, "a", `malformed \u escape`},
		{`{"a":"\ude00"}`, "a", `malformed \u escape`},
		{`{"a":"\ud83d\u0041"}`, "a", `malformed \u escape`},
		{`{"a":"\ud83d\n"}`, "a", `malformed \u escape`},
		{`{"a":"\`, "a", "unknown escape in a string: a backslash before end of input"},
		{`{"a":"\n`, "a", "string without an end"},
		{"{\"a\":\"\xff\"}", "", "byte 0xff is not UTF-8"},
		{"{\"a\":\x00}", "a", `want a value, not '\x00'`},
		{`{"a":{"b":1,"b":2}}`, "a.b", "is there twice"},
		{`{"a":` + deep + `}`, "a" + strings.Repeat("[0]", 99), "is nested deeper than 100"},
		{`{"containerDefinitions":[{"healthCheck":{"interval":5,"command":"x"}}]}`, "containerDefinitions[0].healthCheck.command", `must be an array of strings, not "x"`},
		{`{"containerDefinitions":[{"restartPolicy":{"ignoredExitCodes":"1"}}]}`, "containerDefinitions[0].restartPolicy.ignoredExitCodes", `must be an array of integers, not "1"`},
		{`{"containerDefinitions":[{"dockerLabels":{"a b":1}}]}`, `containerDefinitions[0].dockerLabels["a b"]`, "must be a string, not 1"},
		{`{"containerDefinitions":[{"dockerLabels":[]}]}`, "containerDefinitions[0].dockerLabels", "must be an object of strings, not an array"},
		{`{"volumes":[{"host":"/x"}]}`, "volumes[0].host", `must be an object, not "/x"`},
		{`{"revision":"1"}`, "revision", `must be an integer, not "1"`},
		{`{"family":"` + strings.Repeat("x", 100) + `","tags":"` + strings.Repeat("y", 100) + `"}`, "tags", `must be an array of objects, not "` + strings.Repeat("y", 56) + "..."},
		{`{"taskDefinition":{"cpu":1}}`, "taskDefinition.cpu", "must be a string, not 1"},
		{`{"taskDefinition":{},"tags":{}}`, "tags", "must be an array of objects, not an object"},
	} {
		_, err := DecodeDefinition(strings.NewReader(tt.in))
		var bad *DecodeError
		if !errors.As(err, &bad) {
			t.Errorf("%.60s: got %v, want a *DecodeError", tt.in, err)
			continue
		}
		if bad.Path != tt.path || !strings.Contains(bad.Reason, tt.reason) {
			t.Errorf("%.60s: got %q at %q, want %q at %q", tt.in, bad.Reason, bad.Path, tt.reason, tt.path)
		}
	}
}

func TestDecodeErrorPlace(t *testing.T) {
	_, err := DecodeDefinition(strings.NewReader("{\n  \"family\": \"x\",\n  \"cpu\": 5\n}"))
	want := &DecodeError{Path: "cpu", Line: 3, Column: 10, Offset: 28, Reason: "must be a string, not 5"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := err.Error(), "task: cpu: must be a string, not 5 (line 3, column 10)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDecodeLimits(t *testing.T) {
	full := `{"family":"x"}`
	if _, err := DecodeDefinition(strings.NewReader(full + strings.Repeat(" ", maxInput-len(full)))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := DecodeDefinition(strings.NewReader(full + strings.Repeat(" ", maxInput))); err == nil {
		t.Error("above the limit: got no error")
	}
	endless := io.MultiReader(strings.NewReader(`{"a":"`), iotest.ErrReader(errors.New("unplugged")))
	if _, err := DecodeDefinition(endless); err == nil || !strings.Contains(err.Error(), "unplugged") {
		t.Errorf("got %v, want the reader's error", err)
	}
}

func TestWrapper(t *testing.T) {
	for in, want := range map[string]string{
		`{"taskDefinition":{"family":"x"}}`:                                          `{"family":"x"}`,
		`{"tags":[{"key":"a"}],"taskDefinition":{"family":"x"}}`:                     `{"family":"x","tags":[{"key":"a"}]}`,
		`{"taskDefinition":{"family":"x","tags":[]},"tags":[{"key":"a"}]}`:           `{"family":"x","tags":[{"key":"a"}]}`,
		`{"taskDefinition":{"family":"x","tags":[{"key":"a"}]},"tags":[]}`:           `{"family":"x","tags":[{"key":"a"}]}`,
		`{"taskDefinition":{"family":"x"},"tags":null}`:                              `{"family":"x","tags":null}`,
		`{"taskDefinition":{"family":"x"},"tags":[],"ResponseMetadata":{"Retry":0}}`: `{"family":"x","tags":[],"ResponseMetadata":{"Retry":0}}`,
	} {
		if got := encoded(t, decode(t, in)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if _, err := DecodeDefinition(strings.NewReader(`{"taskDefinition":null}`)); err == nil {
		t.Error("a wrapper around nothing: got no error")
	}
}

func TestUnmarshalJSON(t *testing.T) {
	d := TaskDefinition{Family: "old", CPU: "1"}
	if err := json.Unmarshal([]byte(`{"family":"new"}`), &d); err != nil || d.Family != "new" || d.CPU != "" {
		t.Errorf("got %+v, %v, want all of it replaced", d, err)
	}
	if err := json.Unmarshal([]byte(`{"family":1}`), &d); err == nil || d.Family != "new" {
		t.Errorf("got %+v, %v, want an error and no change", d, err)
	}
	if err := d.UnmarshalJSON([]byte("null")); err != nil || d.Family != "new" {
		t.Errorf("null: got %+v, %v, want no change", d, err)
	}
	var o TaskOverride
	text := `{"containerOverrides":[{"name":"a","cpu":0,"later":1}],"cpu":"256"}`
	if err := json.Unmarshal([]byte(text), &o); err != nil || encoded(t, o) != text {
		t.Errorf("got %s, %v, want %s", encoded(t, o), err, text)
	}
	want := []UnknownField{{Path: "containerOverrides[0].later", Value: json.RawMessage("1")}}
	if diff := cmp.Diff(want, o.Unknown()); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}

func TestSuggestions(t *testing.T) {
	for name, want := range map[string]string{
		"Family": "family", "CPU": "cpu", "taskrolearn": "taskRoleArn", "volume": "volumes", "containerDefintions": "containerDefinitions",
		"netwrokMode": "networkMode", "requiresCompatibility": "requiresCompatibilities", "pidmod": "pidMode",
		"Resources": "", "x": "", "comment": "", strings.Repeat("f", 100): "",
	} {
		if got := planOf(reflect.TypeFor[TaskDefinition]()).suggest(name); got != want {
			t.Errorf("suggest(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestPlans wants every struct the codec reaches to have an Extra, every field
// of a kind the codec knows, and the JSON names to be those encoding/json uses.
func TestPlans(t *testing.T) {
	for typ, p := range plans() {
		if p.extra < 0 {
			t.Errorf("%v has no field of type Extra", typ)
		}
		for _, f := range p.fields {
			sf := typ.Field(f.index)
			if tag := sf.Tag.Get("json"); tag != f.name+",omitempty" && tag != f.name+",omitzero" {
				t.Errorf("%v.%s has the tag %q", typ, sf.Name, tag)
			}
			if c := f.name[0]; c < 'a' || c > 'z' {
				t.Errorf("%v.%s has the JSON name %q, want it to start in lower case", typ, sf.Name, f.name)
			}
		}
	}
}

// TestEveryFieldRoundTrips fills every field there is.
func TestEveryFieldRoundTrips(t *testing.T) {
	d, o := new(TaskDefinition), new(TaskOverride)
	n := 0
	fill(reflect.ValueOf(d).Elem(), &n)
	fill(reflect.ValueOf(o).Elem(), &n)
	again := decode(t, encoded(t, d))
	if diff := cmp.Diff(d, again, ignoreTimeSpelling()); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	var o2 TaskOverride
	if err := json.Unmarshal([]byte(encoded(t, o)), &o2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, &o2); diff != "" {
		t.Errorf("override (-want +got):\n%s", diff)
	}
}

// ignoreTimeSpelling leaves out of a comparison that decoding remembers how
// times were written.
func ignoreTimeSpelling() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		key, ok := p.Last().(cmp.MapIndex)
		return ok && strings.HasSuffix(key.Key().String(), "At")
	}, cmp.Ignore())
}

// fill sets everything in v to values that differ from each other and from zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, *n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e, n)
			v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("unknown %d", *n)), e)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 5).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(1 + *n%3))
	default:
		v.SetInt(int64(*n))
	}
}

func TestEncodingIsPlainJSON(t *testing.T) {
	d := decode(t, `{"family":"x","containerDefinitions":[{"command":["a<b>&\u2028"]}]}`)
	direct, err := d.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, direct); err != nil || !bytes.Equal(b.Bytes(), direct) {
		t.Errorf("%s is not compact JSON: %v", direct, err)
	}
}
