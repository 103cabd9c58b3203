package network

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// NewID returns an identifier as EC2 writes them: prefix ("vpc", "subnet", "sg", "eni", "igw", "rtb"), a dash and 17
// hexadecimal digits, which are a digest of the seed. Equal arguments give equal IDs; a caller that wants a new one
// each time passes something random.
func NewID(prefix string, seed ...string) string {
	sum := digest(prefix, seed)
	return prefix + "-" + hex.EncodeToString(sum[:])[:17]
}

// validID reports whether id is prefix, a dash and 8 or 17 lower-case hexadecimal digits; EC2 has both lengths.
func validID(prefix, id string) bool {
	digits, found := strings.CutPrefix(id, prefix+"-")
	if !found || len(digits) != 17 && len(digits) != 8 {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}

// MAC is a 48-bit hardware address. The zero value is none.
type MAC [6]byte

// NewMAC returns a locally administered unicast address that is a digest of the seed.
func NewMAC(seed ...string) MAC {
	sum := digest("mac", seed)
	var m MAC
	copy(m[:], sum[:])
	m[0] = m[0]&^0x01 | 0x02 // unicast, locally administered: EC2's ENIs begin with 02, 06, 0a or 0e, too
	return m
}

// ParseMAC reads an address in the form 02:42:ac:1f:00:05.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return MAC{}, fmt.Errorf("%w: %q is no MAC address", ErrInvalid, s)
	}
	return MAC(hw), nil
}

// String returns the address in the form 02:42:ac:1f:00:05.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsZero reports whether m is no address.
func (m MAC) IsZero() bool { return m == MAC{} }

// MarshalText implements encoding.TextMarshaler; the zero value becomes "".
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = MAC{}
		return nil
	}
	parsed, err := ParseMAC(string(text))
	if err == nil {
		*m = parsed
	}
	return err
}

// PrivateDNSName returns the name EC2 gives to a private address: ip-10-0-2-100.eu-central-1.compute.internal.
func PrivateDNSName(region string, addr netip.Addr) string {
	return "ip-" + strings.ReplaceAll(addr.String(), ".", "-") + "." + PrivateDomain(region)
}

// PrivateDomain returns the domain of the names EC2 gives to private addresses in a region. us-east-1 is older than
// the scheme and has ec2.internal.
func PrivateDomain(region string) string {
	if region == "us-east-1" {
		return "ec2.internal"
	}
	return region + ".compute.internal"
}

// digest hashes strings so that their boundaries count.
func digest(kind string, seed []string) [sha256.Size]byte {
	var b strings.Builder
	for _, s := range append([]string{kind}, seed...) {
		fmt.Fprintf(&b, "%d:%s", len(s), s)
	}
	return sha256.Sum256([]byte(b.String()))
}
