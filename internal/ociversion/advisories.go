package ociversion

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// advisory is a published fault of an OCI runtime that a container can use against the host.
type advisory struct {
	name  string
	since string   // the first release that has it; "" is all
	fixed []string // the first good release of each series, ascending: those after the last are good, too

	// packages are those of distributions that have the fix in an older release, as far as a number at their end, which is
	// that of the first good one. Only builds that tell their package's version can be known by it: Debian's do, Red Hat's
	// do not.
	packages []string

	// lesser is one that does not lead out, as containers are made here: it is warned of. Without a word stay those that
	// need what nobody asks a runtime for here, such as checkpoints.
	lesser bool
}

// advisories are by program. Sources are the release notes and advisories of opencontainers/runc, containers/crun,
// youki-dev/youki and kata-containers, and the changelogs of Debian's packages, as of November 2026.
//
// Debian 13 has mended two of runc's three faults of 2025: CVE-2025-52881 is open in 1.1.15+ds1-2+deb13u1. Debian 12 has
// mended none.
//
// gVisor has its own kernel between a container and this machine's, and publishes no list of faults.
var advisories = map[string][]advisory{
	"runc": {
		{name: "CVE-2019-5736", fixed: []string{"1.0.0-rc7"}},
		{name: "CVE-2019-16884", fixed: []string{"1.0.0-rc9"}},
		{name: "CVE-2019-19921", fixed: []string{"1.0.0-rc10"}},
		{name: "CVE-2021-30465", fixed: []string{"1.0.0-rc95"}},
		{name: "CVE-2023-27561", since: "1.0.0-rc95", fixed: []string{"1.1.5"}},
		{name: "CVE-2023-28642", fixed: []string{"1.1.5"}},
		{name: "CVE-2024-21626", since: "1.0.0-rc93", fixed: []string{"1.1.12"}, packages: []string{"1.1.5+ds1-1+deb12u1"}},
		{name: "CVE-2025-31133", fixed: []string{"1.2.8", "1.3.3", "1.4.0-rc3"}, packages: []string{"1.1.15+ds1-2+deb13u1"}},
		{name: "CVE-2025-52565", fixed: []string{"1.2.8", "1.3.3", "1.4.0-rc3"}, packages: []string{"1.1.15+ds1-2+deb13u1"}},
		{name: "CVE-2025-52881", fixed: []string{"1.2.8", "1.3.3", "1.4.0-rc3"}},

		// Empty files and directories on the host, through volumes that two containers share.
		{name: "CVE-2024-45310", fixed: []string{"1.1.14", "1.2.0-rc3"}, lesser: true},
		// The same through an image's link /dev.
		{name: "CVE-2026-41579", fixed: []string{"1.3.6", "1.4.3", "1.5.0-rc3"}, packages: []string{"1.1.15+ds1-2+deb13u1"}, lesser: true},
	},
	"crun": {
		{name: "CVE-2019-18837", fixed: []string{"0.10.5"}},
		// Device nodes beside the root file system, through an image's link /dev.
		{name: "CVE-2026-47766", fixed: []string{"1.28"}, lesser: true},
		// A read-only root file system stays writable.
		{name: "CVE-2026-115521", fixed: []string{"1.31"}, lesser: true},
	},
	// crun by this name runs containers in virtual machines, and has crun's faults as well.
	"krun": {
		{name: "CVE-2019-18837", fixed: []string{"0.10.5"}},
		{name: "CVE-2025-24965", fixed: []string{"1.20"}},
		{name: "CVE-2026-47766", fixed: []string{"1.28"}, lesser: true},
		{name: "CVE-2026-115521", fixed: []string{"1.31"}, lesser: true},
	},
	"youki": {
		{name: "CVE-2025-54867", fixed: []string{"0.5.5"}},
		{name: "CVE-2025-62161", fixed: []string{"0.5.7"}},
		{name: "CVE-2025-62596", fixed: []string{"0.5.7"}},
	},
	"kata-runtime": {
		{name: "CVE-2020-2026", fixed: []string{"1.10.5", "1.11.1"}},
	},
	"runsc": {},
}

// Verdict is what the version of an OCI runtime says about it.
type Verdict struct {
	Program string   // "runc"; what it calls itself, and else the name of its file
	Version string   // "1.1.5+ds1, 1.1.5+ds1-1+deb12u1"; "" if it cannot be read
	Known   bool     // the program and its version are such as advisories can be told of
	Escapes []string // names of advisories
	Lesser  []string // those of faults that do not lead out
}

// Safe reports whether it is known, and without a way out.
func (v Verdict) Safe() bool { return v.Known && len(v.Escapes) == 0 }

// String is for errors: "runc 1.1.5, with CVE-2025-31133".
func (v Verdict) String() string {
	switch {
	case v.Version == "":
		return v.Program + " of a version that cannot be read"
	case !v.Known:
		return v.Program + " " + v.Version + ", of which no advisories are known here"
	case len(v.Escapes) > 0:
		return v.Program + " " + v.Version + ", with " + strings.Join(v.Escapes, ", ")
	}
	return v.Program + " " + v.Version
}

// The first line of "--version" has the program and its version: "runc version 1.3.3-0ubuntu1~24.04.2", "youki version:
// 0.5.7", "kata-runtime  : 1.11.0", "runsc version release-20261116.0". A line "commit: 1.1.5+ds1-1+deb12u1" has the package
// where a distribution put it there. They are compiled when they are needed: not in the processes that a program starts of itself.
var (
	versionLine = once(`^([a-z][a-z0-9_-]*)(?: version)?:? *:? (?:v|release-)?(\d+(?:\.\d+)+\S*)`)
	programLine = once(`^([a-z][a-z0-9_-]*) version`)
	commitLine  = once(`(?m)^ *commit *: *(\S+)`)
)

func once(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// Judge says what is known of the OCI runtime at a path that describes itself with a text.
func Judge(path, text string) Verdict {
	v := Verdict{Program: filepath.Base(path)}
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if m := programLine().FindStringSubmatch(first); m != nil && v.Program != "krun" {
		v.Program = m[1]
	}
	m := versionLine().FindStringSubmatch(first)
	if m == nil {
		return v
	}
	if v.Program != "krun" {
		v.Program = m[1]
	}
	v.Version = m[2]
	pkg := ""
	if m := commitLine().FindStringSubmatch(text); m != nil && strings.Contains(m[1], "+deb") {
		pkg = m[1]
		v.Version += ", " + pkg
	}
	list, known := advisories[v.Program]
	r, ok := parseRelease(m[2])
	if v.Known = known && ok; !v.Known {
		return v
	}
	for _, a := range list {
		switch {
		case !a.affects(r, pkg):
		case a.lesser:
			v.Lesser = append(v.Lesser, a.name)
		default:
			v.Escapes = append(v.Escapes, a.name)
		}
	}
	return v
}

// affects reports whether a release has the fault, in a distribution's package if that is known.
func (a advisory) affects(r release, pkg string) bool {
	if since, ok := parseRelease(a.since); ok && compareReleases(r, since) < 0 {
		return false
	}
	for _, p := range a.packages {
		if sameOrLater(pkg, p) {
			return false
		}
	}
	for i, f := range a.fixed {
		fixed, _ := parseRelease(f)
		last := i == len(a.fixed)-1
		if (last || r.major == fixed.major && r.minor == fixed.minor) && compareReleases(r, fixed) >= 0 {
			return false
		}
	}
	return true
}

// release is a version number. A candidate comes before the release; 0 is that itself.
type release struct{ major, minor, patch, candidate int }

// What follows the numbers is a candidate if it says so, as in 1.0.0-rc95, 1.4.0-rc.3 and 1.3.6~rc1, and else whatever a
// builder has put there: +dev, +ds1, -0ubuntu1~24.04.2, -dirty.
var releasePattern = once(`^(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:[-~+]?rc\.?(\d{1,9}))?`)

func parseRelease(s string) (release, bool) {
	m := releasePattern().FindStringSubmatch(s)
	if m == nil {
		return release{}, false
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // digits or nothing
	}
	return release{n[0], n[1], n[2], n[3]}, true
}

func compareReleases(a, b release) int {
	order := func(r release) int { // of candidates, the release being the last
		if r.candidate == 0 {
			return 1 << 30
		}
		return r.candidate
	}
	return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor), cmp.Compare(a.patch, b.patch),
		cmp.Compare(order(a), order(b)))
}

// sameOrLater reports whether a package is another one but for a number at its end that is no smaller.
func sameOrLater(pkg, first string) bool {
	prefix := strings.TrimRight(first, "0123456789")
	rest, ok := strings.CutPrefix(pkg, prefix)
	if !ok {
		return false
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	have, err := strconv.Atoi(digits)
	want, _ := strconv.Atoi(first[len(prefix):])
	return err == nil && have >= want
}

// goodReleases names what to install instead of a program with ways out.
func goodReleases(program string) string {
	var all []string
	for _, a := range advisories[program] {
		if !a.lesser {
			all = a.fixed
		}
	}
	list := slices.Clone(all)
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("%s %s or later", program, strings.Join(list, ", "))
}
