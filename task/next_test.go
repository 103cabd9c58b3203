package task

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// life follows Next from last towards desired and returns the steps on the way
// and where it ends.
func life(t *testing.T, last, desired Status) ([]Step, Status) {
	t.Helper()
	var steps []Step
	for range 16 {
		step, to := Next(last, desired)
		if step == None {
			if to != last {
				t.Errorf("Next(%v, %v) moves to %v without a step", last, desired, to)
			}
			return steps, last
		}
		if to <= last {
			t.Errorf("Next(%v, %v) goes back to %v", last, desired, to)
		}
		if d := step.During(); d < last || d >= to {
			t.Errorf("Next(%v, %v): during %v the status is %v, which is not between %v and %v", last, desired, step, d, last, to)
		}
		steps, last = append(steps, step), to
	}
	t.Fatalf("Next(…, %v) does not end", desired)
	return nil, 0
}

// TestNextTotal goes through every pair of bytes: never backwards, always ends,
// the three steps of release always in full.
func TestNextTotal(t *testing.T) {
	for last := range 256 {
		for desired := range 256 {
			last, desired := Status(last), Status(desired)
			steps, end := life(t, last, desired)
			known := last >= Provisioning && last <= Stopped && desired <= Deleted
			switch {
			case !known || desired <= last:
				if len(steps) > 0 || end != last {
					t.Errorf("from %v towards %v: got %v to %v, want nothing", last, desired, steps, end)
				}
			case end < min(desired, Stopped), end != desired && (desired == Running || desired == Stopped):
				t.Errorf("from %v towards %v: ended %v", last, desired, end)
			}
			if desired == Stopped && last >= Provisioning && last < Deactivating {
				if diff := cmp.Diff([]Step{Deactivate, Stop, Deprovision}, steps); diff != "" {
					t.Errorf("stop from %v (-want +got):\n%s", last, diff)
				}
			}
		}
	}
}

func TestNextUp(t *testing.T) {
	steps, end := life(t, Provisioning, Running)
	if diff := cmp.Diff([]Step{Provision, Accept, Activate}, steps); diff != "" || end != Running {
		t.Errorf("ended %v (-want +got):\n%s", end, diff)
	}
}

func TestDuring(t *testing.T) {
	want := map[Step]Status{
		None: 0, Provision: Provisioning, Accept: Pending, Activate: Activating,
		Deactivate: Deactivating, Stop: Stopping, Deprovision: Deprovisioning, 200: 0,
	}
	for step, want := range want {
		if got := step.During(); got != want {
			t.Errorf("%v.During() = %v, want %v", step, got, want)
		}
	}
}

func TestStatusText(t *testing.T) {
	for s := Status(0); s <= Deleted; s++ {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Status
		if err := json.Unmarshal(data, &back); err != nil || back != s {
			t.Errorf("%s decodes to %v, %v", data, back, err)
		}
	}
	if got, want := Running.String(), "RUNNING"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Status(99).String(), "Status(99)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := json.Marshal(Status(99)); err == nil {
		t.Error("Status(99) encodes, want an error")
	}
	for _, text := range []string{"running", "RUNNING ", "DONE"} {
		if s, err := ParseStatus(text); err == nil {
			t.Errorf("ParseStatus(%q) = %v, want an error", text, s)
		}
	}
}

func TestContainerStatusText(t *testing.T) {
	for s := ContainerStatus(0); s <= ContainerStopped; s++ {
		data, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back ContainerStatus
		if err := back.UnmarshalText(data); err != nil || back != s {
			t.Errorf("%s decodes to %v, %v", data, back, err)
		}
	}
	if _, err := ContainerStatus(4).MarshalText(); err == nil {
		t.Error("ContainerStatus(4) encodes, want an error")
	}
	if s, err := ParseContainerStatus("ACTIVATING"); err == nil {
		t.Errorf("ParseContainerStatus(ACTIVATING) = %v, want an error", s)
	}
}
