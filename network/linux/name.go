package linux

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/fardel-io/fardel/network"
)

// Names of what stands in a router namespace. The namespace is ours alone, so they need not tell fabrics apart.
const (
	uplinkName    = "uplink" // the router's end of the link to the host
	eniName       = "eth0"   // an ENI's end in the task's namespace
	routerTable   = "fardel" // nftables table
	hostTableHead = "fardel-"
	hostLinkHead  = "fardel-"
)

// maxLinkName is the length of a link's name in bytes.
const maxLinkName = 15

// linkName returns the name of the router's end of an ENI. It is at most 15 bytes long, as the kernel demands, and the
// same each time, so that what a dead process left is recognised.
func linkName(eniID string) string { return "e" + short(14, eniID) }

// natLink returns the name of the router's end of a NAT gateway. It depends on all that the gateway's namespace is made
// of, so one that is changed is made anew.
func natLink(g network.NATGateway) string {
	return "n" + short(14, g.ID, g.Subnet, g.PrivateIPv4.String())
}

func natMAC(g network.NATGateway) network.MAC { return network.NewMAC(g.ID) }

// peeringLink returns the name of both ends of a peering connection.
func peeringLink(id string) string { return "p" + short(14, id) }

// peeringMAC returns the hardware address of one end of a peering connection.
func peeringMAC(id string, first bool) network.MAC {
	return network.NewMAC(id, strconv.FormatBool(first))
}

// peeringAddr is the address of whoever is at the other end of a peering connection. Nobody has it: it leads to a
// hardware address.
func peeringAddr(f family) netip.Addr {
	if f == ipv6 {
		return network.IPv6Gateway()
	}
	return netip.AddrFrom4([4]byte{169, 254, 0, 1})
}

// hostLinkName returns the name of the host's end of a VPC's uplink.
func hostLinkName(owner, vpcID string) string { return hostLinkHead + short(8, owner, vpcID) }

// hostTable returns the name of the nftables table in the host's namespace.
func hostTable(owner string) string { return hostTableHead + owner }

// short returns n hexadecimal digits that depend on all words.
func short(n int, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:])[:n]
}

// Hardware addresses of the router. All its ends of ENIs have the same one: each is alone on its link.
func routerMAC() network.MAC { return network.NewMAC("router") }
func uplinkMAC() network.MAC { return network.NewMAC("uplink") }
func hostMAC() network.MAC   { return network.NewMAC("host") }

// mark is the alias of a host link: it says whose the link is and what Linux forgets otherwise. The name alone would
// not do, since it is a digest.
type mark struct {
	Owner string
	VPC   string
	// Forward says that ip_forward was 0 before a fabric set it, so that the last one restores it.
	Forward bool
}

const (
	markHead    = "fardel owner="
	markVPC     = " vpc="
	markForward = " restore=ip_forward"
)

func (m mark) String() string {
	s := markHead + m.Owner + markVPC + m.VPC
	if m.Forward {
		s += markForward
	}
	return s
}

// parseMark reads an alias. ok is false for a link that is no fabric's.
func parseMark(alias string) (m mark, ok bool) {
	rest, ok := strings.CutPrefix(alias, markHead)
	if !ok {
		return mark{}, false
	}
	rest, m.Forward = strings.CutSuffix(rest, markForward)
	m.Owner, m.VPC, ok = strings.Cut(rest, markVPC)
	return m, ok
}

// checkOwner reports whether an owner mark can be part of the names of tables.
func checkOwner(owner string) error {
	if owner == "" || len(owner) > 32 || strings.Trim(owner, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%w: owner %q must be 1 to 32 lower-case letters, digits and dashes", network.ErrInvalid, owner)
	}
	return nil
}
