package containerd

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/runtime"
)

var (
	threeOf2025 = []string{"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}
	lesserOfAll = []string{"CVE-2024-45310", "CVE-2026-41579"}
)

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name, path, text string
		want             verdict
	}{
		{
			"Debian 12", "/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\nlibseccomp: 2.5.4\n",
			verdict{program: "runc", version: "1.1.5+ds1, 1.1.5+ds1-1+deb12u1", known: true, escapes: threeOf2025, lesser: lesserOfAll},
		},
		{
			"Debian 12 before its first update", "/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\n",
			verdict{program: "runc", version: "1.1.5+ds1", known: true, escapes: append([]string{"CVE-2024-21626"}, threeOf2025...), lesser: lesserOfAll},
		},
		{
			"Debian 13", "/usr/sbin/runc", "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+b4\n",
			verdict{program: "runc", version: "1.1.15+ds1", known: true, escapes: threeOf2025, lesser: lesserOfAll[1:]},
		},
		{
			"Debian 13, two of three mended", "/usr/sbin/runc", "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+deb13u1\n",
			verdict{program: "runc", version: "1.1.15+ds1, 1.1.15+ds1-2+deb13u1", known: true, escapes: threeOf2025[2:]},
		},
		{
			"a later package of Debian 13", "/usr/sbin/runc", "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+deb13u12\n",
			verdict{program: "runc", version: "1.1.15+ds1, 1.1.15+ds1-2+deb13u12", known: true, escapes: threeOf2025[2:]},
		},
		{
			"Debian testing", "/usr/sbin/runc", "runc version 1.3.6+ds1\ncommit: 1.3.6+ds1-1\n",
			verdict{program: "runc", version: "1.3.6+ds1", known: true},
		},
		{
			"Ubuntu", "/usr/sbin/runc", "runc version 1.3.3-0ubuntu1~24.04.2\nspec: 1.2.1\n",
			verdict{program: "runc", version: "1.3.3-0ubuntu1~24.04.2", known: true, lesser: lesserOfAll[1:]},
		},
		{
			"Ubuntu before", "/usr/sbin/runc", "runc version 1.3.0-0ubuntu2~24.04.1\nspec: 1.2.1\n",
			verdict{program: "runc", version: "1.3.0-0ubuntu2~24.04.1", known: true, escapes: threeOf2025, lesser: lesserOfAll[1:]},
		},
		{"1.5.3", "/usr/local/sbin/runc", "runc version 1.5.3\nspec: 1.3.0\n", verdict{program: "runc", version: "1.5.3", known: true}},
		{
			"1.2.8", "/r", "runc version 1.2.8\ncommit: v1.2.8-0-geeb7e602\n",
			verdict{program: "runc", version: "1.2.8", known: true, lesser: lesserOfAll[1:]},
		},
		{
			"1.2.7", "/r", "runc version 1.2.7\ncommit: v1.2.7-0-g1a2b3c4d\n",
			verdict{program: "runc", version: "1.2.7", known: true, escapes: threeOf2025, lesser: lesserOfAll[1:]},
		},
		{
			"a candidate", "/r", "runc version 1.4.0-rc.2\n",
			verdict{program: "runc", version: "1.4.0-rc.2", known: true, escapes: threeOf2025, lesser: lesserOfAll[1:]},
		},
		{
			"a mended candidate", "/r", "runc version 1.4.0-rc.3+dev\n",
			verdict{program: "runc", version: "1.4.0-rc.3+dev", known: true, lesser: lesserOfAll[1:]},
		},
		{
			"an old candidate", "/r", "runc version 1.0.0-rc93+dev\ncommit: 12644e614e25b05da6fd08a38ffa0cfe1903fdec\n",
			verdict{
				program: "runc", version: "1.0.0-rc93+dev", known: true,
				escapes: append([]string{"CVE-2021-30465", "CVE-2023-28642", "CVE-2024-21626"}, threeOf2025...), lesser: lesserOfAll,
			},
		},
		{"to come", "/r", "runc version 2.0.0\n", verdict{program: "runc", version: "2.0.0", known: true}},
		{"no version", "/usr/sbin/runc", "runc version unknown\nspec: 1.0.2-dev\n", verdict{program: "runc"}},
		{"nothing", "/usr/sbin/runc", "", verdict{program: "runc"}},
		{"a number beyond all", "/r", "runc version 99999999999999999999.1.1\n", verdict{program: "runc", version: "99999999999999999999.1.1"}},
		{
			"crun of Debian 12", "/usr/bin/crun", "crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\nrundir: /run/crun\n",
			verdict{program: "crun", version: "1.8.1", known: true, lesser: []string{"CVE-2026-47766", "CVE-2026-115521"}},
		},
		{"crun by another name", "/usr/local/bin/runc", "crun version 1.31\n", verdict{program: "crun", version: "1.31", known: true}},
		{
			"krun", "/usr/bin/krun", "crun version 1.19.1\n",
			verdict{program: "krun", version: "1.19.1", known: true, escapes: []string{"CVE-2025-24965"}, lesser: []string{"CVE-2026-47766", "CVE-2026-115521"}},
		},
		{
			"crun that follows links", "/usr/bin/crun", "crun version 0.10.4\n",
			verdict{program: "crun", version: "0.10.4", known: true, escapes: []string{"CVE-2019-18837"}, lesser: []string{"CVE-2026-47766", "CVE-2026-115521"}},
		},
		{
			"youki", "/usr/bin/youki", "youki version: 0.5.6\ncommit: 0.5.6-0-0000000\n",
			verdict{program: "youki", version: "0.5.6", known: true, escapes: []string{"CVE-2025-62161", "CVE-2025-62596"}},
		},
		{"youki, mended", "/usr/bin/youki", "youki 0.5.7\n", verdict{program: "youki", version: "0.5.7", known: true}},
		{
			"kata", "/usr/bin/kata-runtime", "kata-runtime  : 1.11.0\n   commit   : 0000\n   OCI specs: 1.0.1-dev\n",
			verdict{program: "kata-runtime", version: "1.11.0", known: true, escapes: []string{"CVE-2020-2026"}},
		},
		{"gVisor", "/usr/bin/runsc", "runsc version release-20261116.0\nspec: 1.2.0\n", verdict{program: "runsc", version: "20261116.0", known: true}},
		{"gVisor from its module", "/x/runsc", "runsc version VERSION_MISSING\nspec: 1.2.0\n", verdict{program: "runsc"}},
		{"one of one's own", "/opt/mine", "mine version 3.2\n", verdict{program: "mine", version: "3.2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, judge(tt.path, tt.text), cmp.AllowUnexported(verdict{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAdvisories reads the table: what cannot be parsed in it would count as mended or as never mended.
func TestAdvisories(t *testing.T) {
	for program, list := range advisories {
		for _, a := range list {
			if !strings.HasPrefix(a.name, "CVE-") || len(a.fixed) == 0 {
				t.Errorf("%s: %+v", program, a)
			}
			ascending := slices.IsSortedFunc(a.fixed, func(x, y string) int {
				rx, okx := parseRelease(x)
				ry, oky := parseRelease(y)
				if !okx || !oky {
					t.Errorf("%s: %s: %q or %q is no release", program, a.name, x, y)
				}
				return compareReleases(rx, ry)
			})
			if _, ok := parseRelease(a.since); !ascending || a.since != "" && !ok {
				t.Errorf("%s: %s: since %q, fixed %q", program, a.name, a.since, a.fixed)
			}
			for _, f := range a.fixed {
				if r, _ := parseRelease(f); a.affects(r, "") {
					t.Errorf("%s: %s affects %s, which mends it", program, a.name, f)
				}
			}
		}
	}
}

func TestChooseRuntime(t *testing.T) {
	bad := judge("/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\n")
	good := judge("/usr/local/sbin/runc", "runc version 1.5.3\n")
	lesser := judge("/usr/bin/runc", "crun version 1.8.1\n")
	mute := judge("/opt/runc", "")
	paths := []string{"/a/runc", "/b/runc"}
	for _, tt := range []struct {
		name         string
		found        []verdict
		asked, allow bool
		want         int
		refused      []string
	}{
		{name: "the first is safe", found: []verdict{good, bad}},
		{name: "the second is", found: []verdict{bad, good}, want: 1},
		{name: "that is so where others are allowed", found: []verdict{bad, good}, allow: true, want: 1},
		{name: "lesser faults are warned of", found: []verdict{lesser, good}},
		{name: "none is", found: []verdict{bad, mute}, refused: []string{
			"/a/runc is runc 1.1.5+ds1, 1.1.5+ds1-1+deb12u1, with CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
			"/b/runc is runc of a version that cannot be read", "Install runc 1.2.8, 1.3.3, 1.4.0-rc3 or later", "/usr/local/sbin/runc",
			"AllowVulnerableRuntime",
		}},
		{name: "none is, and that is allowed", found: []verdict{bad, mute}, allow: true},
		{name: "one with ways out was asked for", found: []verdict{bad}, asked: true, refused: []string{"CVE-2025-52881"}},
		{name: "one of which nothing is known was asked for", found: []verdict{bad, mute}, asked: true, want: 1},
		{name: "nothing is known, and it was not asked for", found: []verdict{mute}, refused: []string{"cannot be read"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chooseRuntime(paths, tt.found, tt.asked, tt.allow)
			if len(tt.refused) == 0 {
				if err != nil || got != tt.want {
					t.Errorf("got %d, %v, want %d", got, err, tt.want)
				}
				return
			}
			if !errors.Is(err, runtime.ErrUnsupported) {
				t.Fatalf("got %d, %v, want an UnsupportedError", got, err)
			}
			for _, words := range tt.refused {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%v: does not say %q", err, words)
				}
			}
		})
	}
}
