package flowlog

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fardel-io/fardel/network"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestLines has the shape of the examples in Amazon's documentation.
func TestLines(t *testing.T) {
	eni := Interface{ID: "eni-1235b8ca123456789", AccountID: "123456789010", VPCID: "vpc-abcdefab012345678", SubnetID: "subnet-aaaaaaaa012345678",
		Region: "eu-central-1", AZID: "euc1-az2"}
	ssh := Record{Interface: eni, Flow: Flow{Direction: Ingress, Action: Accept, Protocol: 6, Source: addr("172.31.16.139"), Dest: addr("172.31.16.21"),
		SourcePort: 20641, DestPort: 22}, TCPFlags: FlagSYN | FlagFIN, Packets: 20, Bytes: 4249,
		Start: time.Unix(1418530010, 0).UTC(), End: time.Unix(1418530070, 0).UTC(), Status: OK}
	six := ssh
	six.Flow = Flow{Direction: Egress, Action: Reject, Protocol: 58, Source: addr("2001:db8::1"), Dest: addr("2001:db8::2"), TrafficPath: PathInternetGateway}
	six.TCPFlags = 0
	nat := ssh
	nat.PacketSource = addr("10.0.0.9")
	none, skipped := Record{Interface: eni, Start: ssh.Start, End: ssh.End, Status: NoData}, Record{Interface: eni, Start: ssh.Start, End: ssh.End, Status: SkipData}
	const v5 = "${version} ${vpc-id} ${type} ${tcp-flags} ${pkt-srcaddr} ${pkt-dstaddr} ${flow-direction} ${traffic-path} ${pkt-src-aws-service} ${region} ${az-id} ${instance-id} ${log-status}"
	for _, c := range []struct {
		format string
		record Record
		want   string
	}{
		{"", ssh, "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"},
		{"", six, "2 123456789010 eni-1235b8ca123456789 2001:db8::1 2001:db8::2 0 0 58 20 4249 1418530010 1418530070 REJECT OK"},
		{"", none, "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1418530010 1418530070 - NODATA"},
		{"", skipped, "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1418530010 1418530070 - SKIPDATA"},
		{"${action} ${version}", ssh, "ACCEPT 2"},
		{"${version} ${tcp-flags}", ssh, "3 3"},
		{"${version} ${region}", ssh, "4 eu-central-1"},
		{v5, ssh, "5 vpc-abcdefab012345678 IPv4 3 172.31.16.139 172.31.16.21 ingress - - eu-central-1 euc1-az2 - OK"},
		{v5, nat, "5 vpc-abcdefab012345678 IPv4 3 10.0.0.9 172.31.16.21 ingress - - eu-central-1 euc1-az2 - OK"},
		{v5, six, "5 vpc-abcdefab012345678 IPv6 0 2001:db8::1 2001:db8::2 egress 8 - eu-central-1 euc1-az2 - OK"},
		{v5, none, "5 vpc-abcdefab012345678 - - - - - - - eu-central-1 euc1-az2 - NODATA"},
	} {
		f := DefaultFormat()
		if c.format != "" {
			var err error
			if f, err = ParseFormat(c.format); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.Line(c.record); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", f, got, c.want)
		}
		back, err := f.Parse(c.want)
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
		} else if got := f.Line(back); got != c.want {
			t.Errorf("read and written:\n got %s\nwant %s", got, c.want)
		}
	}
	var names []string
	for _, x := range fields() {
		names = append(names, "${"+x.name+"}")
	}
	all, err := ParseFormat(strings.Join(names, " "))
	if err != nil {
		t.Fatal(err)
	}
	nat.PacketDest, nat.InstanceID = addr("10.0.0.8"), "i-0123456789abcdef0"
	back, err := all.Parse(all.Line(nat))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(nat, back, sameAddr); diff != "" {
		t.Errorf("all fields written and read: -want +got\n%s", diff)
	}
	if got, want := all.Version(), 5; got != want || all.String() != strings.Join(names, " ") {
		t.Errorf("version %d of %s, want %d", got, all, want)
	}
}

func TestFormatInvalid(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"", "no field"}, {"version", `"version"`}, {"${version", `"${version"`}, {"${nothing}", "${nothing}"}, {"${version} ${version}", "twice"},
		{"${version},${action}", "no field ${version},${action}"}, {"${ecs-task-arn}", "${ecs-task-arn}"},
	} {
		_, err := ParseFormat(c.format)
		if c.format == "${version},${action}" {
			c.want = "there is no field"
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.format, err, c.want)
		}
	}
	f, err := ParseFormat("${version} ${srcaddr} ${srcport} ${action} ${start} ${protocol}")
	if err != nil {
		t.Fatal(err)
	}
	good := []string{"2", "10.0.0.1", "80", "ACCEPT", "1", "6"}
	if _, err := f.Parse(strings.Join(good, " ")); err != nil {
		t.Error(err)
	}
	for i, bad := range []string{"3", "10.0.0", "65536", "MAYBE", "x", "256"} {
		line := append([]string{}, good...)
		line[i] = bad
		if _, err := f.Parse(strings.Join(line, " ")); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: error %v, want %v", line, err, ErrInvalid)
		}
	}
	if _, err := f.Parse("2 10.0.0.1"); !errors.Is(err, ErrInvalid) {
		t.Errorf("too few fields: %v", err)
	}
	if got := f.Line(Record{Interface: Interface{ID: "x"}, Flow: Flow{Action: "A B\nC"}, Status: OK}); strings.Count(got, " ") != 5 || strings.Contains(got, "\n") {
		t.Errorf("a value with spaces: %q", got)
	}
}

func TestTCPFlags(t *testing.T) {
	for flags, want := range map[uint8]uint8{0x02: 2, 0x12: 18, 0x10: 0, 0x18: 0, 0x11: 1, 0x14: 4, 0x04: 4, 0x00: 0, 0xd2: 18} {
		if got := TCPFlags(flags); got != want {
			t.Errorf("TCPFlags(%#x) = %d, want %d", flags, got, want)
		}
	}
}

func TestAggregator(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0).UTC() }
	flow := func(port uint16, action Action) Flow {
		return Flow{Direction: Egress, Action: action, Protocol: 6, Source: addr("10.0.0.1"), Dest: addr("10.0.0.2"), SourcePort: port, DestPort: 80}
	}
	see := func(eni string, f Flow, from, to int, packets uint64, flags uint8) Observation {
		return Observation{Interface: eni, Flow: f, TCPFlags: flags, Packets: packets, Bytes: packets * 100, Start: at(from), End: at(to)}
	}
	format, err := ParseFormat("${interface-id} ${srcport} ${action} ${packets} ${bytes} ${tcp-flags} ${start} ${end} ${log-status}")
	if err != nil {
		t.Fatal(err)
	}
	a := NewAggregator(Config{Interval: time.Minute, MaxFlows: 2})
	flush := func(s int, want ...string) {
		t.Helper()
		var got []string
		for _, r := range a.Flush(at(s)) {
			got = append(got, format.Line(r))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("flushed at %d: -want +got\n%s", s, diff)
		}
	}
	if !a.Next().IsZero() {
		t.Error("something is due though nothing is watched")
	}
	flush(0)
	a.Watch(Interface{ID: "eni-a"}, at(0))
	a.Watch(Interface{ID: "eni-b"}, at(30))
	if got := a.Next(); !got.Equal(at(60)) {
		t.Errorf("Next is %v, want %v", got, at(60))
	}
	a.Add(see("eni-a", flow(1, Accept), 5, 9, 3, FlagSYN))
	a.Add(see("eni-a", flow(1, Accept), 2, 7, 1, FlagFIN))
	a.Add(see("eni-a", flow(1, Reject), 6, 6, 1, FlagSYN))
	a.Add(see("eni-a", flow(9, Accept), 6, 6, 0, 0))
	a.Add(see("eni-x", flow(1, Accept), 6, 6, 1, 0))
	flush(59)
	flush(60, "eni-a 1 ACCEPT 4 400 3 1002 1009 OK", "eni-a 1 REJECT 1 100 2 1006 1006 OK")
	flush(90, "eni-b - - - - - 1030 1090 NODATA")
	for port := range uint16(4) {
		a.Add(see("eni-a", flow(port+1, Accept), 70, 70+int(port), 1, 0))
	}
	flush(120, "eni-a 1 ACCEPT 1 100 0 1070 1070 OK", "eni-a 2 ACCEPT 1 100 0 1070 1071 OK", "eni-a - - - - - 1060 1120 SKIPDATA")
	a.Skip("eni-b")
	a.Unwatch("eni-b")
	a.Unwatch("eni-b")
	flush(125, "eni-b - - - - - 1090 1125 SKIPDATA")
	a.Skip("")
	flush(180, "eni-a - - - - - 1120 1180 SKIPDATA")
	a.Unwatch("eni-a")
	a.Watch(Interface{ID: "eni-a", VPCID: "vpc-1"}, at(190)) // it came back
	flush(200)
	flush(240, "eni-a - - - - - 1180 1240 NODATA")
}

func TestLog(t *testing.T) {
	i := Interface{ID: "eni-1", SubnetID: "subnet-1", VPCID: "vpc-1"}
	accepted, rejected := Record{Interface: i, Flow: Flow{Action: Accept}, Status: OK}, Record{Interface: i, Flow: Flow{Action: Reject}, Status: OK}
	none := Record{Interface: i, Status: NoData}
	for _, c := range []struct {
		log  Log
		want string // which of the three records it has
	}{
		{Log{}, "ARN"}, {Log{ResourceID: "vpc-1"}, "ARN"}, {Log{ResourceID: "subnet-1"}, "ARN"}, {Log{ResourceID: "eni-1"}, "ARN"}, {Log{ResourceID: "eni-2"}, ""},
		{Log{ResourceID: "vpc-1", TrafficType: TrafficAccept}, "AN"}, {Log{ResourceID: "vpc-1", TrafficType: TrafficReject}, "RN"},
	} {
		l, err := c.log.WithDefaults()
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for i, r := range []Record{accepted, rejected, none} {
			if l.Wants(r) {
				got += "ARN"[i : i+1]
			}
		}
		if got != c.want || l.Interval != LongInterval || l.Format.Version() != 2 {
			t.Errorf("%+v has %q, want %q", c.log, got, c.want)
		}
	}
	for _, l := range []Log{{ResourceID: "sg-1"}, {ResourceID: "vpc-1", TrafficType: "SOME"}, {ResourceID: "vpc-1", Interval: time.Second}} {
		if _, err := l.WithDefaults(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: error %v, want %v", l, err, ErrInvalid)
		}
	}
}

func TestIgnored(t *testing.T) {
	v := network.VPC{CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}
	n := network.Subnet{CIDR: netip.MustParsePrefix("10.0.16.0/20")}
	for dest, want := range map[string]bool{"10.0.0.2": true, "169.254.169.253": true, "169.254.170.2": true, "10.0.16.1": true, "10.0.16.2": false,
		"10.0.0.5": false, "192.0.2.1": false, "fe80::1": true, "2001:db8::1": false} {
		f := Flow{Protocol: 6, Source: addr("10.0.16.9"), Dest: addr(dest)}
		back := Flow{Protocol: 6, Source: f.Dest, Dest: f.Source}
		if got := Ignored(v, n, f); got != want || Ignored(v, n, back) != want {
			t.Errorf("to and from %s: %v, want %v", dest, got, want)
		}
	}
	if !Ignored(v, n, Flow{Protocol: 17, Source: addr("10.0.16.9"), Dest: addr("192.0.2.1"), SourcePort: 68, DestPort: 67}) {
		t.Error("DHCP is not ignored")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.log")
	format, err := ParseFormat("${interface-id} ${log-status}")
	if err != nil {
		t.Fatal(err)
	}
	write := func(ids ...string) {
		t.Helper()
		f, err := OpenFile(FileConfig{Path: path, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		var records []Record
		for _, id := range ids {
			records = append(records, Record{Interface: Interface{ID: id}, Status: NoData})
		}
		if err := errors.Join(f.Write(Log{}, records), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("eni-1", "eni-2")
	write("eni-3")
	cut, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(cut, "eni-4 NOD"); err != nil { // a host program that was killed
		t.Fatal(err)
	}
	_ = cut.Close()
	write("eni-5")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "interface-id log-status\neni-1 NODATA\neni-2 NODATA\neni-3 NODATA\neni-4 NOD\neni-5 NODATA\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if _, err := OpenFile(FileConfig{Path: path}); !errors.Is(err, ErrInvalid) {
		t.Errorf("another format: %v, want %v", err, ErrInvalid)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("${version} ${account-id} ${srcaddr} ${type} ${start}", "3 1 10.0.0.1 IPv4 5")
	f.Fuzz(func(t *testing.T, format, line string) {
		x, err := ParseFormat(format)
		if err != nil {
			return
		}
		if again, err := ParseFormat(x.String()); err != nil || again.String() != x.String() {
			t.Fatalf("%q is read as %q: %v", x, again, err)
		}
		r, err := x.Parse(line)
		if err != nil {
			return
		}
		once := x.Line(r)
		r, err = x.Parse(once)
		if err != nil || x.Line(r) != once {
			t.Fatalf("%q and %q: %v", once, x.Line(r), err)
		}
	})
}
