package linux

import (
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/fardel-io/fardel/internal/userns"
	"github.com/fardel-io/fardel/network"
)

// Config says where a fabric keeps what it makes and how it is told from others.
type Config struct {
	// Dir is an absolute path to a directory of the fabric's own, made if missing. Namespaces are mounted below it.
	// Required.
	Dir string

	// Owner marks what the fabric makes in the host's namespace: links and an nftables table. It is 1 to 32 lower-case
	// letters, digits and dashes, and no two fabrics of a host may have the same. Required.
	Owner string

	// HostNetNS is the path of the network namespace that counts as the host's; "" is that of the process.
	HostNetNS string

	// DNS are the name servers that tasks are told of; nil means those of the host that a task can reach, see
	// [network.Attachment].
	DNS []netip.Addr

	// RoutedPublicAddresses says that the outside knows the way to the public addresses of the state's pools, which leads
	// to this host: then they are the source of what ENIs send outside. If not, they reach the host's own network, and
	// outside of it stands the host's address for them.
	RoutedPublicAddresses bool

	// PublicAddressLink is the name of the host's link on whose network the outside looks for the public addresses of the
	// state's pools, and for the IPv6 addresses of its VPCs: the host answers there for those that ENIs and NAT gateways
	// have, with ARP and, where net.ipv6.conf.<link>.proxy_ndp is 1, with neighbor discovery. It implies
	// RoutedPublicAddresses. "" answers for nothing.
	PublicAddressLink string

	// Isolated leaves out the link between VPCs and the host: the host reaches no task and no task reaches the outside.
	Isolated bool

	// UserNamespaces has the network namespace of each ENI belong to a user namespace of its own, with 65536 of these IDs of
	// the machine, so that a runtime can put the processes of a task there. The fabric takes the first half of the range, as
	// containerd.Config.UserNamespaces, which wants the same range, takes the second. It concerns ENIs that are attached from
	// then on. Nil leaves them to the machine's user namespace.
	UserNamespaces *IDRange

	// ConnectionLimits bound what one ENI takes of its VPC's table of connections and memory for fragments.
	ConnectionLimits ConnectionLimits

	// Logger takes what an operator would act upon; nil discards.
	Logger *slog.Logger
}

// IDRange is user and group IDs of the machine: Count of them, a multiple of 65536 and at least twice that, from First, 65536
// or above; the last is at most 2147483647.
type IDRange struct{ First, Count uint32 }

func (c Config) check() error {
	if r := c.UserNamespaces; r != nil {
		if err := userns.Range(*r).Check(); err != nil {
			return fmt.Errorf("%w: UserNamespaces: %w", network.ErrInvalid, err)
		}
	}
	if !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("%w: Dir %q must be an absolute path", network.ErrInvalid, c.Dir)
	}
	if c.HostNetNS != "" && !filepath.IsAbs(c.HostNetNS) {
		return fmt.Errorf("%w: HostNetNS %q must be an absolute path", network.ErrInvalid, c.HostNetNS)
	}
	if len(c.PublicAddressLink) > maxLinkName || strings.ContainsAny(c.PublicAddressLink, "/ \t\n") || strings.HasPrefix(c.PublicAddressLink, hostLinkHead) {
		return fmt.Errorf("%w: PublicAddressLink %q must be the name of a link of the host that is not a fabric's", network.ErrInvalid, c.PublicAddressLink)
	}
	if c.PublicAddressLink != "" && c.Isolated {
		return fmt.Errorf("%w: PublicAddressLink %q of a fabric that is Isolated", network.ErrInvalid, c.PublicAddressLink)
	}
	for _, a := range c.DNS {
		if !a.Is4() || a.IsLoopback() || a.IsUnspecified() {
			return fmt.Errorf("%w: DNS server %s must be an IPv4 address that a task can reach", network.ErrInvalid, a)
		}
	}
	if l := c.ConnectionLimits; max(l.Open, l.PerSecond, l.Fragments, l.Questions) > mostLimit {
		return fmt.Errorf("%w: ConnectionLimits %+v must be %d at most, or negative for none", network.ErrInvalid, l, mostLimit)
	}
	return checkOwner(c.Owner)
}

// routed reports whether public addresses are what the outside sees.
func (c Config) routed() bool { return c.RoutedPublicAddresses || c.PublicAddressLink != "" }

// Paths below Dir. Namespaces have the ID of their VPC or ENI as name.
func (c Config) namespaceDir() string           { return filepath.Join(c.Dir, "netns") }
func (c Config) namespacePath(id string) string { return filepath.Join(c.Dir, "netns", id) }
func (c Config) recordDir() string              { return filepath.Join(c.Dir, "enis") }
