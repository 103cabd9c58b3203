package network_test

import (
	"errors"
	"net/netip"
	"regexp"
	"testing"

	"github.com/fardel-io/fardel/network"
)

func TestNewID(t *testing.T) {
	id := network.NewID("eni", "a", "b")
	if !regexp.MustCompile(`^eni-[0-9a-f]{17}$`).MatchString(id) {
		t.Errorf("NewID = %q", id)
	}
	if id != network.NewID("eni", "a", "b") {
		t.Error("equal arguments give different IDs")
	}
	for _, other := range [][]string{{"ab"}, {"a", "b", ""}, {"b", "a"}, {"1:a", "b"}} {
		if network.NewID("eni", other...) == id {
			t.Errorf("NewID of %q is that of a, b", other)
		}
	}
}

func TestMAC(t *testing.T) {
	m := network.NewMAC("a")
	if m.IsZero() || m[0]&0x03 != 0x02 {
		t.Errorf("NewMAC = %s, want a unicast address of local administration", m)
	}
	got, err := network.ParseMAC(m.String())
	if err != nil || got != m {
		t.Errorf("ParseMAC(%s) = %s, %v", m, got, err)
	}
	for _, bad := range []string{"", "02:00", "02:00:00:00:00:00:00:01", "zz:00:00:00:00:00"} {
		if _, err := network.ParseMAC(bad); !errors.Is(err, network.ErrInvalid) {
			t.Errorf("ParseMAC(%q): %v", bad, err)
		}
	}
}

func TestPrivateDNSName(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1":    "ip-10-0-2-100.ec2.internal",
		"eu-central-1": "ip-10-0-2-100.eu-central-1.compute.internal",
	} {
		if got := network.PrivateDNSName(region, netip.MustParseAddr("10.0.2.100")); got != want {
			t.Errorf("PrivateDNSName(%s) = %s, want %s", region, got, want)
		}
	}
}
