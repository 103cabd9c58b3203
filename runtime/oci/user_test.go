package oci

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
)

const (
	passwdFile = `root:x:0:0:root:/root:/bin/sh
# comment
daemon:x:1:1::/:
broken line
short:x:5
app:x:1000:1000:App:/home/app:/bin/sh
2000:x:3000:3000::/:
twice:x:10:10::/:
twice:x:11:11::/:
huge:x:99999999999:1::/:
`
	groupFile = `root:x:0:
wheel:x:10:root,app
audio:x:29:app
app:x:1000:app
broken
odd:x:no:app
`
)

func TestResolveUser(t *testing.T) {
	for _, tt := range []struct {
		user string
		want User
	}{
		{"", User{Home: "/root", AdditionalGIDs: []uint32{10}}},
		{"root", User{Home: "/root", AdditionalGIDs: []uint32{10}}},
		{"0", User{Home: "/root", AdditionalGIDs: []uint32{10}}},
		{"app", User{UID: 1000, GID: 1000, Home: "/home/app", AdditionalGIDs: []uint32{10, 29}}},
		{"1000", User{UID: 1000, GID: 1000, Home: "/home/app", AdditionalGIDs: []uint32{10, 29}}},
		{"app:audio", User{UID: 1000, GID: 29, Home: "/home/app"}},
		{"app:77", User{UID: 1000, GID: 77, Home: "/home/app"}},
		{":audio", User{GID: 29, Home: "/root"}},
		{"4242", User{UID: 4242}},
		{"4242:4343", User{UID: 4242, GID: 4343}},
		{"2000", User{UID: 2000}}, // not the user whose name is 2000
		{"twice", User{UID: 10, GID: 10, Home: "/"}},
	} {
		t.Run(tt.user, func(t *testing.T) {
			got, err := ResolveUser(tt.user, strings.NewReader(passwdFile), strings.NewReader(groupFile))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestResolveUserInvalid(t *testing.T) {
	for _, user := range []string{"nobody", "app:nogroup", "-1", "0:-1", "4294967296", "99999999999999999999", "short", "huge", "a:b:c", "root:"} {
		t.Run(user, func(t *testing.T) {
			got, err := ResolveUser(user, strings.NewReader(passwdFile), strings.NewReader(groupFile))
			if !errors.Is(err, runtime.ErrInvalid) || !strings.Contains(err.Error(), user) {
				t.Errorf("got %+v, %v; want ErrInvalid that names the user", got, err)
			}
		})
	}
}

func TestResolveUserWithoutFiles(t *testing.T) {
	got, err := ResolveUser("7:8", nil, nil)
	if diff := cmp.Diff(User{UID: 7, GID: 8}, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s, %v", diff, err)
	}
	if _, err := ResolveUser("root", nil, nil); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a name without /etc/passwd: got %v, want ErrInvalid", err)
	}
}

func TestResolveUserBoundsLines(t *testing.T) {
	endless := io.LimitReader(zeros{}, 1<<30)
	if _, err := ResolveUser("app", endless, nil); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func FuzzResolveUser(f *testing.F) {
	for _, user := range []string{"", "app:audio", "1000", "0:-1", "2000:x"} {
		f.Add(user, passwdFile, groupFile)
	}
	f.Fuzz(func(t *testing.T, user, passwd, group string) {
		got, err := ResolveUser(user, strings.NewReader(passwd), strings.NewReader(group))
		if err != nil {
			if !errors.Is(err, runtime.ErrInvalid) {
				t.Errorf("%v is not ErrInvalid", err)
			}
			return
		}
		if got.UID > math.MaxInt32 || got.GID > math.MaxInt32 {
			t.Errorf("%+v is out of range", got)
		}
		name, _, _ := strings.Cut(user, ":")
		if name != "" && got.UID == 0 && !strings.Contains(passwd, name) && strings.Trim(name, "+-0") != "" {
			t.Errorf("%q became root without an entry", user)
		}
	})
}

func TestHome(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		user User
		want string
	}{
		{nil, User{}, "HOME=/"},
		{nil, User{Home: "/root"}, "HOME=/root"},
		{[]string{"A=1", "HOME="}, User{Home: "/root"}, "A=1 HOME=/root"},
		{[]string{"HOME=/tmp", "A=1"}, User{Home: "/root"}, "HOME=/tmp A=1"},
		{[]string{"HOMER=1"}, User{}, "HOMER=1 HOME=/"},
	} {
		if got := strings.Join(withHome(tt.env, tt.user), " "); got != tt.want {
			t.Errorf("%q of %+v: %q, want %q", tt.env, tt.user, got, tt.want)
		}
	}
	if got := home(strings.Split("root:x:0:0:root:/ro\x00ot:/bin/sh", ":")); got != "" {
		t.Errorf("a home with a NUL byte: %q", got)
	}
}
