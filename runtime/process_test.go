package runtime

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommandLine(t *testing.T) {
	img := Image{Name: "img", Entrypoint: []string{"/entry"}, Command: []string{"cmd"}}
	for _, tt := range []struct {
		name       string
		entrypoint []string
		command    []string
		img        Image
		want       []string
	}{
		{"image", nil, nil, img, []string{"/entry", "cmd"}},
		{"command", nil, []string{"x"}, img, []string{"/entry", "x"}},
		{"entry point", []string{"/x"}, nil, img, []string{"/x"}},
		{"both", []string{"/x"}, []string{"y"}, img, []string{"/x", "y"}},
		{"cleared entry point", []string{}, nil, img, []string{"cmd"}},
		{"entry point of one empty word", []string{""}, []string{"x"}, img, []string{"x"}},
		{"empty command", nil, []string{}, img, []string{"/entry", "cmd"}},
		{"nothing", nil, nil, Image{Name: "img"}, nil},
		{"nothing after clearing", []string{""}, nil, img, nil},
		{"empty word", nil, []string{"", "x"}, Image{}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ContainerSpec{ID: "c", Entrypoint: tt.entrypoint, Command: tt.command}.CommandLine(tt.img)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (tt.want == nil) != errors.Is(err, ErrInvalid) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	img := Image{Env: []string{"PATH=/img", "A=img", "novalue", "=x", "B=img"}}
	got, err := ContainerSpec{Terminal: true, Env: []string{"A=1=2", "C=", "A=3"}}.Environment(img, "h")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"PATH=/img", "HOSTNAME=h", "TERM=xterm", "A=3", "B=img", "C="}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, entry := range []string{"secret", "=secret", "A=secret\x00"} {
		_, err := ContainerSpec{ID: "c", Env: []string{entry}}.Environment(img, "h")
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want ErrInvalid without the value", entry, err)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]int{
		"SIGTERM": 15, "TERM": 15, "term": 15, "15": 15, "SIGKILL": 9, "SIGRTMIN": 34, "SIGRTMIN+3": 37, "RTMAX-1": 63, "64": 64, "1": 1,
	} {
		if got, err := ParseSignal(s); got != want || err != nil {
			t.Errorf("%s: got %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "SIG", "0", "-9", "65", "TERM ", "SIGRTMIN+31", "SIGRTMIN-1", "RTMAX+1", "RTMINx", "1e1", "RTMIN+"} {
		if got, err := ParseSignal(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %d, %v; want ErrInvalid", s, got, err)
		}
	}
}

func TestStopSignalNumber(t *testing.T) {
	for _, tt := range []struct {
		spec, img string
		want      int
	}{{"", "", 15}, {"", "SIGQUIT", 3}, {"INT", "SIGQUIT", 2}} {
		if got, err := (ContainerSpec{StopSignal: tt.spec}).StopSignalNumber(Image{StopSignal: tt.img}); got != tt.want || err != nil {
			t.Errorf("%+v: got %d, %v", tt, got, err)
		}
	}
	if _, err := (ContainerSpec{}).StopSignalNumber(Image{StopSignal: "NOPE"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestUTSHostname(t *testing.T) {
	for want, s := range map[string]SandboxSpec{"given": {Hostname: "given", ID: "x"}, "0123456789ab": {ID: "0123456789abcdef"}, "ab": {ID: "ab"}} {
		if got := s.UTSHostname(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
