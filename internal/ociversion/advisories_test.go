package ociversion

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	threeOf2025 = []string{"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}
	lesserOfAll = []string{"CVE-2024-45310", "CVE-2026-41579"}
)

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name, path, text string
		want             Verdict
	}{
		{
			"Debian 12", "/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8\nlibseccomp: 2.5.4\n",
			Verdict{Program: "runc", Version: "1.1.5+ds1, 1.1.5+ds1-1+deb12u1", Known: true, Escapes: threeOf2025, Lesser: lesserOfAll},
		},
		{
			"Debian 12 before its first update", "/usr/sbin/runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\n",
			Verdict{Program: "runc", Version: "1.1.5+ds1", Known: true, Escapes: append([]string{"CVE-2024-21626"}, threeOf2025...), Lesser: lesserOfAll},
		},
		{
			"Debian 13", "/usr/sbin/runc", "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+b4\n",
			Verdict{Program: "runc", Version: "1.1.15+ds1", Known: true, Escapes: threeOf2025, Lesser: lesserOfAll[1:]},
		},
		{
			"Debian 13, two of three mended", "/usr/sbin/runc", "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+deb13u1\n",
			Verdict{Program: "runc", Version: "1.1.15+ds1, 1.1.15+ds1-2+deb13u1", Known: true, Escapes: threeOf2025[2:]},
		},
		{
			"a later package of Debian 13", "/usr/sbin/runc", "runc version 1.1.15+ds1\ncommit: 1.1.15+ds1-2+deb13u12\n",
			Verdict{Program: "runc", Version: "1.1.15+ds1, 1.1.15+ds1-2+deb13u12", Known: true, Escapes: threeOf2025[2:]},
		},
		{
			"Debian testing", "/usr/sbin/runc", "runc version 1.3.6+ds1\ncommit: 1.3.6+ds1-1\n",
			Verdict{Program: "runc", Version: "1.3.6+ds1", Known: true},
		},
		{
			"Ubuntu", "/usr/sbin/runc", "runc version 1.3.3-0ubuntu1~24.04.2\nspec: 1.2.1\n",
			Verdict{Program: "runc", Version: "1.3.3-0ubuntu1~24.04.2", Known: true, Lesser: lesserOfAll[1:]},
		},
		{
			"Ubuntu before", "/usr/sbin/runc", "runc version 1.3.0-0ubuntu2~24.04.1\nspec: 1.2.1\n",
			Verdict{Program: "runc", Version: "1.3.0-0ubuntu2~24.04.1", Known: true, Escapes: threeOf2025, Lesser: lesserOfAll[1:]},
		},
		{"1.5.3", "/usr/local/sbin/runc", "runc version 1.5.3\nspec: 1.3.0\n", Verdict{Program: "runc", Version: "1.5.3", Known: true}},
		{
			"1.2.8", "/r", "runc version 1.2.8\ncommit: v1.2.8-0-geeb7e602\n",
			Verdict{Program: "runc", Version: "1.2.8", Known: true, Lesser: lesserOfAll[1:]},
		},
		{
			"1.2.7", "/r", "runc version 1.2.7\ncommit: v1.2.7-0-g1a2b3c4d\n",
			Verdict{Program: "runc", Version: "1.2.7", Known: true, Escapes: threeOf2025, Lesser: lesserOfAll[1:]},
		},
		{
			"a candidate", "/r", "runc version 1.4.0-rc.2\n",
			Verdict{Program: "runc", Version: "1.4.0-rc.2", Known: true, Escapes: threeOf2025, Lesser: lesserOfAll[1:]},
		},
		{
			"a mended candidate", "/r", "runc version 1.4.0-rc.3+dev\n",
			Verdict{Program: "runc", Version: "1.4.0-rc.3+dev", Known: true, Lesser: lesserOfAll[1:]},
		},
		{
			"an old candidate", "/r", "runc version 1.0.0-rc93+dev\ncommit: 12644e614e25b05da6fd08a38ffa0cfe1903fdec\n",
			Verdict{
				Program: "runc", Version: "1.0.0-rc93+dev", Known: true,
				Escapes: append([]string{"CVE-2021-30465", "CVE-2023-28642", "CVE-2024-21626"}, threeOf2025...), Lesser: lesserOfAll,
			},
		},
		{"to come", "/r", "runc version 2.0.0\n", Verdict{Program: "runc", Version: "2.0.0", Known: true}},
		{"no version", "/usr/sbin/runc", "runc version unknown\nspec: 1.0.2-dev\n", Verdict{Program: "runc"}},
		{"nothing", "/usr/sbin/runc", "", Verdict{Program: "runc"}},
		{"a number beyond all", "/r", "runc version 99999999999999999999.1.1\n", Verdict{Program: "runc", Version: "99999999999999999999.1.1"}},
		{
			"crun of Debian 12", "/usr/bin/crun", "crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\nrundir: /run/crun\n",
			Verdict{Program: "crun", Version: "1.8.1", Known: true, Lesser: []string{"CVE-2026-47766", "CVE-2026-115521"}},
		},
		{"crun by another name", "/usr/local/bin/runc", "crun version 1.31\n", Verdict{Program: "crun", Version: "1.31", Known: true}},
		{
			"krun", "/usr/bin/krun", "crun version 1.19.1\n",
			Verdict{Program: "krun", Version: "1.19.1", Known: true, Escapes: []string{"CVE-2025-24965"}, Lesser: []string{"CVE-2026-47766", "CVE-2026-115521"}},
		},
		{
			"crun that follows links", "/usr/bin/crun", "crun version 0.10.4\n",
			Verdict{Program: "crun", Version: "0.10.4", Known: true, Escapes: []string{"CVE-2019-18837"}, Lesser: []string{"CVE-2026-47766", "CVE-2026-115521"}},
		},
		{
			"youki", "/usr/bin/youki", "youki version: 0.5.6\ncommit: 0.5.6-0-0000000\n",
			Verdict{Program: "youki", Version: "0.5.6", Known: true, Escapes: []string{"CVE-2025-62161", "CVE-2025-62596"}},
		},
		{"youki, mended", "/usr/bin/youki", "youki 0.5.7\n", Verdict{Program: "youki", Version: "0.5.7", Known: true}},
		{
			"kata", "/usr/bin/kata-runtime", "kata-runtime  : 1.11.0\n   commit   : 0000\n   OCI specs: 1.0.1-dev\n",
			Verdict{Program: "kata-runtime", Version: "1.11.0", Known: true, Escapes: []string{"CVE-2020-2026"}},
		},
		{"gVisor", "/usr/bin/runsc", "runsc version release-20261116.0\nspec: 1.2.0\n", Verdict{Program: "runsc", Version: "20261116.0", Known: true}},
		{"gVisor from its module", "/x/runsc", "runsc version VERSION_MISSING\nspec: 1.2.0\n", Verdict{Program: "runsc"}},
		{"one of one's own", "/opt/mine", "mine version 3.2\n", Verdict{Program: "mine", Version: "3.2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Judge(tt.path, tt.text)); diff != "" {
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
