package leaktest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long Check waits for what is released behind the caller's back: the kernel takes tens of milliseconds
// for an interface or a namespace, and more on a busy machine.
const patience = 15 * time.Second

// Snapshot is what there was of somebody's at one moment.
type Snapshot struct {
	t       testing.TB
	marks   []string
	folders []string
	ignored []string
	had     set
}

// set holds one line for each thing.
type set map[string]struct{}

func (s set) add(kind, what string) { s[kind+": "+what] = struct{}{} }

// Take looks at what there is with one of the marks in its name, and fails the test if it cannot. A mark is any string
// that is long enough to be nobody else's; eight characters at least.
func Take(t testing.TB, marks ...string) *Snapshot {
	t.Helper()
	for _, m := range marks {
		if len(m) < 8 {
			t.Fatalf("leaktest: the mark %q is so short that it may be in anything", m)
		}
	}
	if len(marks) == 0 {
		t.Fatal("leaktest: no mark")
	}
	s := &Snapshot{t: t, marks: marks}
	had, err := s.look()
	if err != nil {
		t.Fatalf("leaktest: %v", err)
	}
	s.had = had
	return s
}

// Folder adds the files below a folder, which need not exist, by name and type. It returns s.
func (s *Snapshot) Folder(path string) *Snapshot {
	s.t.Helper()
	if err := files(path, s.had); err != nil {
		s.t.Fatalf("leaktest: %v", err)
	}
	s.folders = append(s.folders, path)
	return s
}

// Ignore leaves out the things whose line holds one of the texts: those that change while they are all right, such as the
// process of a container that is started again. It returns s.
func (s *Snapshot) Ignore(texts ...string) *Snapshot {
	s.ignored = append(s.ignored, texts...)
	return s
}

func (s *Snapshot) ignores(line string) bool {
	return slices.ContainsFunc(s.ignored, func(text string) bool { return strings.Contains(line, text) })
}

// Check fails the test for each thing that was not there at Take and is now, and for each that is gone. It waits some
// seconds for them to be as they were.
func (s *Snapshot) Check() {
	s.t.Helper()
	extra, gone, err := s.settle(patience)
	if err != nil {
		s.t.Errorf("leaktest: %v", err)
	}
	for _, line := range extra {
		s.t.Errorf("left over: %s", line)
	}
	for _, line := range gone {
		s.t.Errorf("gone: %s", line)
	}
}

// settle looks until there is no difference or the time is up.
func (s *Snapshot) settle(limit time.Duration) (extra, gone []string, err error) {
	end := time.After(limit)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		extra, gone, err = s.compare()
		if err == nil && len(extra)+len(gone) == 0 {
			return nil, nil, nil
		}
		select {
		case <-end:
			return extra, gone, err
		case <-again.C:
		}
	}
}

func (s *Snapshot) compare() (extra, gone []string, err error) {
	has, err := s.look()
	if err != nil {
		return nil, nil, err
	}
	for line := range has {
		if _, ok := s.had[line]; !ok && !s.ignores(line) {
			extra = append(extra, line)
		}
	}
	for line := range s.had {
		if _, ok := has[line]; !ok && !s.ignores(line) {
			gone = append(gone, line)
		}
	}
	slices.Sort(extra)
	slices.Sort(gone)
	return extra, gone, nil
}

// look collects everything there is.
func (s *Snapshot) look() (set, error) {
	all := set{}
	for _, source := range []struct {
		name string
		list func(all set) error
	}{
		{"mounts", s.mounts}, {"interfaces", s.links}, {"cgroups", s.cgroups}, {"processes", s.processes},
		{"nftables", s.tables}, {"network namespaces", s.namespaces},
		{"AppArmor profiles", s.profiles},
	} {
		if err := source.list(all); err != nil {
			return nil, fmt.Errorf("list %s: %w", source.name, err)
		}
	}
	for _, folder := range s.folders {
		if err := files(folder, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// marked reports whether a text holds a mark.
func (s *Snapshot) marked(text string) bool {
	return slices.ContainsFunc(s.marks, func(m string) bool { return strings.Contains(text, m) })
}

// String lists what there was.
func (s *Snapshot) String() string {
	return strings.Join(slices.Sorted(maps.Keys(s.had)), "\n")
}
