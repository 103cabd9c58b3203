package runtime

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var digest = "sha256:" + strings.Repeat("0a", 32)

func TestParseImageName(t *testing.T) {
	for ref, want := range map[string]ImageName{
		"nginx":                                   {"docker.io", "library/nginx", "latest", ""},
		"nginx:1.29":                              {"docker.io", "library/nginx", "1.29", ""},
		"bitnami/nginx":                           {"docker.io", "bitnami/nginx", "latest", ""},
		"docker.io/nginx":                         {"docker.io", "library/nginx", "latest", ""},
		"index.docker.io/library/nginx:1":         {"docker.io", "library/nginx", "1", ""},
		"localhost/app":                           {"localhost", "app", "latest", ""},
		"localhost:5000/app:v1":                   {"localhost:5000", "app", "v1", ""},
		"host:5000/a/b_c/d--e:v_1.0-x":            {"host:5000", "a/b_c/d--e", "v_1.0-x", ""},
		"[::1]:5000/app":                          {"[::1]:5000", "app", "latest", ""},
		"public.ecr.aws/x/y@" + digest:            {"public.ecr.aws", "x/y", "", digest},
		"nginx:1@" + digest:                       {"docker.io", "library/nginx", "1", digest},
		"Host/app":                                {"Host", "app", "latest", ""},
		"123.dkr.ecr.eu-west-1.amazonaws.com/app": {"123.dkr.ecr.eu-west-1.amazonaws.com", "app", "latest", ""},
	} {
		got, err := ParseImageName(ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ref, diff)
		}
		again, err := ParseImageName(got.String())
		if err != nil || again != got {
			t.Errorf("%s in full is %s, which is %+v, %v", ref, got, again, err)
		}
	}
}

func TestParseImageNameInvalid(t *testing.T) {
	for _, ref := range []string{
		"", "UPPER", "a b", "a:", ":a", "a@", "a@sha256:12", "a@md5:" + strings.Repeat("0", 32), "a//b", "/a", "a/", "https://host/a",
		"a:" + strings.Repeat("x", 129), strings.Repeat("a/", 127) + "ab", "-host.com/a", "host:port/a", "a:b:c", "a\n",
		strings.Repeat("0a", 32), "a..b", "a___b", "a@" + digest + "@" + digest,
	} {
		got, err := ParseImageName(ref)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %+v, %v; want ErrInvalid", ref, got, err)
		}
	}
}
