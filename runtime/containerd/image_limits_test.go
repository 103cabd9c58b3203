package containerd

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fardel-io/fardel/runtime"
)

func TestImageLimitsDefaults(t *testing.T) {
	want := ImageLimits{10 << 30, 20 << 30, 40 << 30, 1_000_000, 500}
	if got := (ImageLimits{}).withDefaults(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (ImageLimits{1, 2, 3, 4, 5}).withDefaults(); got != (ImageLimits{1, 2, 3, 4, 5}) {
		t.Errorf("got %+v", got)
	}
	none := ImageLimits{-1, -1, -1, -1, -1}.withDefaults()
	if none != (ImageLimits{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt}) {
		t.Errorf("no limits: %+v", none)
	}
	tl := newTally(none)
	for range 3 {
		tl.add(cost{math.MaxInt64, math.MaxInt64})
		if err := tl.read(math.MaxInt); err != nil && !errors.Is(err, runtime.ErrImageLimit) {
			t.Error(err)
		}
	}
}

func TestImageLimitsLayers(t *testing.T) {
	limits := ImageLimits{MaxLayerBytes: 10, MaxImageBytes: 25, MaxLayers: 4}
	for _, tt := range []struct {
		sizes []int64
		want  error
	}{
		{nil, nil},
		{[]int64{10, 10, 5, 0}, nil},
		{[]int64{11}, runtime.ErrImageLimit},
		{[]int64{10, 10, 6}, runtime.ErrImageLimit},
		{[]int64{1, 1, 1, 1, 1}, runtime.ErrImageLimit},
		{[]int64{-1}, runtime.ErrImageCorrupt},
		{[]int64{math.MinInt64}, runtime.ErrImageCorrupt},
		{[]int64{math.MaxInt64, math.MaxInt64}, runtime.ErrImageLimit},
	} {
		var list []ocispec.Descriptor
		for _, size := range tt.sizes {
			list = append(list, ocispec.Descriptor{Digest: digest.FromString("x"), Size: size})
		}
		if err := limits.layers(list); !errors.Is(err, tt.want) {
			t.Errorf("%v: got %v, want %v", tt.sizes, err, tt.want)
		}
	}
}

func TestTally(t *testing.T) {
	limits := ImageLimits{MaxUnpackedBytes: 1000, MaxEntries: 10}.withDefaults()
	many := map[string]string{}
	for i := range maxXattrs + 1 {
		many[fmt.Sprintf("%suser.a%d", paxXattr, i)] = "v"
	}
	for name, tt := range map[string]struct {
		before  cost
		entries []tar.Header
		fresh   bool // nothing is replaced
		want    bool // refused
		entry   int64
	}{
		"few":                      {entries: []tar.Header{{Name: "a/b", Size: 1000}, {Name: "a/c"}}, entry: 3},
		"explicit directories":     {entries: []tar.Header{{Name: "a", Typeflag: tar.TypeDir}, {Name: "a/b/", Typeflag: tar.TypeDir}, {Name: "a/b/c"}}, entry: 3},
		"a file with holes":        {entries: []tar.Header{{Name: "a", Typeflag: tar.TypeGNUSparse, Size: 1 << 60}}, want: true},
		"two that overflow":        {entries: []tar.Header{{Name: "a", Size: 1}, {Name: "b", Size: math.MaxInt64}}, want: true},
		"a link of a large file":   {entries: []tar.Header{{Name: "a", Typeflag: tar.TypeLink, Size: 1 << 60}}, entry: 1},
		"bytes of layers before":   {before: cost{bytes: 900}, entries: []tar.Header{{Name: "a", Size: 101}}, want: true},
		"entries of layers before": {before: cost{entries: 10}, entries: []tar.Header{{Name: "a"}}, want: true},
		"directories in a path":    {entries: []tar.Header{{Name: "a/b/c/d/e/f/g/h/i/j"}, {Name: "b"}}, want: true},
		"directories under a link": {entries: []tar.Header{
			{Name: "a/b/c/d"}, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "m"}, {Name: "a/b/c/e"}, {Name: "a/b/c/f"},
		}, entry: 10},
		"directories under a new link": {entries: []tar.Header{
			{Name: "a/b/c/d"}, {Name: "l", Typeflag: tar.TypeSymlink, Linkname: "m"}, {Name: "a/b/c/e"}, {Name: "a/b/c/f"},
		}, fresh: true, entry: 7},
		"a long name":     {entries: []tar.Header{{Name: strings.Repeat("a/", 3000)}}, want: true},
		"a long link":     {entries: []tar.Header{{Name: "a", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("a/", 3000)}}, want: true},
		"many attributes": {entries: []tar.Header{{Name: "a", PAXRecords: many}}, want: true},
		"long attributes": {entries: []tar.Header{{Name: "a", PAXRecords: map[string]string{paxXattr + "user.a": strings.Repeat("a", maxXattrLen)}}}, want: true},
	} {
		tl := newTally(limits)
		tl.add(tt.before)
		if tt.fresh {
			tl.replaces = func(*tar.Header) bool { return false }
		}
		var err error
		for _, h := range tt.entries {
			if err = tl.entry(&h); err != nil {
				break
			}
		}
		switch {
		case tt.want && !errors.Is(err, runtime.ErrImageLimit):
			t.Errorf("%s: got %v, want ErrImageLimit", name, err)
		case !tt.want && (err != nil || tl.entries != tt.entry):
			t.Errorf("%s: %d entries, %v; want %d", name, tl.entries, err, tt.entry)
		}
	}
}

func TestTallyAttributes(t *testing.T) {
	h := tar.Header{Name: "a", PAXRecords: map[string]string{
		paxXattr + "security.capability": "c", paxXattr + "user.mine": "u", paxXattr + "system.posix_acl_access": "acl", "comment": "long",
		paxXattr + "security.selinux": "s", paxXattr + "security.ima": "i", paxXattr + "trusted.overlay.redirect": "/x",
	}}
	if err := newTally(ImageLimits{}.withDefaults()).entry(&h); err != nil {
		t.Fatal(err)
	}
	if len(h.PAXRecords) != 3 || h.PAXRecords[paxXattr+"security.capability"] != "c" || h.PAXRecords[paxXattr+"user.mine"] != "u" {
		t.Errorf("kept %v", h.PAXRecords)
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]int{
		`{}`: 2, `[]`: 2, `1`: 1, `"a,b[{\",\\"`: 1, `{"a":1,"b":[1,2,3]}`: 6, `[{},{},{}]`: 7, `["\\",1]`: 3,
	} {
		if got := values([]byte(text)); got != want {
			t.Errorf("values(%s) = %d, want %d", text, got, want)
		}
	}
}

func count(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += count(e)
		}
	case map[string]any:
		for _, e := range v {
			n += count(e)
		}
	}
	return n
}

// FuzzValues wants that no document has more values than are counted.
func FuzzValues(f *testing.F) {
	f.Add([]byte(`{"a":["\"",1,{"b":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if json.Unmarshal(data, &v) == nil && count(v) > values(data) {
			t.Errorf("%d values, counted %d: %s", count(v), values(data), data)
		}
	})
}
