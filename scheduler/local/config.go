package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/fardel-io/fardel/network"
	"github.com/fardel-io/fardel/network/dns"
	"github.com/fardel-io/fardel/network/linux"
	"github.com/fardel-io/fardel/policy/sts"
	"github.com/fardel-io/fardel/runtime"
	"github.com/fardel-io/fardel/runtime/containerd"
	"github.com/fardel-io/fardel/runtime/logs"
	"github.com/fardel-io/fardel/scheduler"
	"github.com/fardel-io/fardel/task"
	"github.com/fardel-io/fardel/task/engine"
	"github.com/fardel-io/fardel/task/secrets"
	"github.com/fardel-io/fardel/task/volumes"
)

// Config says where a cluster lives and what it may use. Only Dir is required.
type Config struct {
	// Dir holds everything that the cluster keeps: state, images, root file systems, logs. It is made with mode 0700 if it
	// is missing, and one process at a time can have it open. Through a symbolic link it is the same cluster. // required
	Dir string

	// Containerd is the address of a containerd daemon to use, such as "/run/containerd/containerd.sock". "" runs
	// containerd in this process, which needs no daemon and shares nothing with one.
	Containerd string

	// Runtime is the OCI runtime, a path or a name in PATH; "" is runc. Of a name it is the first program without known ways out of
	// containers. crun does the same. With gVisor's runsc each container has a kernel of its own, for code that is not trusted at
	// all; containerd.Config.Runtime says what it lacks.
	Runtime string

	// UserNamespaces has each task live in a user namespace of its own: root in its containers is nobody on this machine, and
	// another nobody than that of any other task. Nil has all tasks live in the machine's. See [UserNamespaces] for what it
	// needs and what such tasks cannot do. Tasks that run when it is changed stay as they are.
	UserNamespaces *UserNamespaces

	// AllowVulnerableRuntime has Open take an OCI runtime with known ways out of containers, with a warning, which it refuses
	// otherwise; see containerd.Config. It is for code that is trusted.
	AllowVulnerableRuntime bool

	// CgroupManager is who makes the cgroups of tasks: "cgroupfs" is the cluster itself, "systemd" a scope of systemd's
	// that is left to the cluster. "" is systemd on machines with cgroup v2 that run it.
	CgroupManager string

	// Registries say how registries are spoken to, by host: "registry.example:5000". Those not named are asked over TLS
	// and without credentials, and only if their addresses are public: neither of this machine nor of a private network.
	Registries map[string]containerd.Registry

	// ImageLimits bound what an image may take of this machine; the zero value has defaults that few images need more than.
	ImageLimits containerd.ImageLimits

	// PullAttempts is how often a registry is asked when the network or the registry is at fault; 0 is 5, as in ECS. A layer
	// that was broken off goes on where it was, also in another pull or process within a day.
	PullAttempts int

	// Network is the cluster's VPCs, subnets, security groups and routes; see scheduler.Config. If it has none, the
	// cluster gets a default VPC, with CIDR as its address range, and keeps it.
	Network network.State

	// CIDR is the default VPC's range, /16 to /24. The zero value is 172.31.0.0/16, or another range of the same size
	// when this machine has routes there.
	CIDR netip.Prefix

	// RoutedPublicAddresses says that the outside knows the way to the network's pools of public addresses, and to the IPv6
	// addresses of its VPCs, and that it leads to this machine: tasks are known by them there. If not, the addresses are
	// good on this machine, and for those beyond it that send to them through it; what tasks send to the outside has the
	// machine's address.
	RoutedPublicAddresses bool

	// PublicAddressLink is the name of this machine's link on whose network these addresses are: the machine answers there
	// for those that tasks have, so nobody needs a route to them; for IPv6 ones where net.ipv6.conf.<link>.proxy_ndp is 1. A
	// task whose address cannot be answered for, because there is no such link, does not start, with a reason that says
	// so. It implies RoutedPublicAddresses. See linux.Config.
	PublicAddressLink string

	// ConnectionLimits bound what one task takes of what all of its VPC share: the table of connections, the memory for
	// fragments and the sockets of the name server. The zero value is defaults; see linux.ConnectionLimits.
	ConnectionLimits linux.ConnectionLimits

	// FlowLogs are the flow logs of the VPCs; nil is none.
	FlowLogs *FlowLogs

	// DNS are name servers that tasks ask instead of their VPC's own, which is left out then. Nil is the VPC's own, at
	// 169.254.169.253: it knows the names of tasks and of Zones, and asks Upstreams for all else.
	DNS []netip.Addr

	// Upstreams are whom the VPCs' name servers ask. Nil are those in this machine's /etc/resolv.conf, as it is at the
	// time; they may be such as only this machine can reach.
	Upstreams []netip.AddrPort

	// Zones are private hosted zones of every VPC. [Cluster.Names] changes them while the cluster runs, and has more of
	// what can be changed.
	Zones []dns.Zone

	// Namespaces are private DNS namespaces of Cloud Map: RunOptions.ServiceRegistries makes tasks instances of their
	// services. They need the VPCs' own name servers, which hide zones of the same names.
	Namespaces []scheduler.Namespace

	// DNSSearch are search domains of tasks after that of their VPC. DNSFallback are name servers that tasks are told of
	// after their VPC's own, which is silent while no program has the cluster open; see [dns.FabricConfig] for why there
	// are none by default.
	DNSSearch   []string
	DNSFallback []netip.Addr

	// MaxTask is the size of the largest task allowed. 0 in either member is what this machine has.
	MaxTask task.Size

	// Capacity is what all tasks together may reserve. 0 in either member is no limit: tasks that want more than there
	// is share it.
	Capacity task.Size

	Name       string               // of the cluster; "" is "default"
	Region     string               // in ARNs and host names; "" is "us-east-1"
	Account    string               // in ARNs; "" is "000000000000"
	Authorizer scheduler.Authorizer // nil allows everything
	Retention  time.Duration        // of stopped tasks and their logs; 0 is one hour
	Logger     *slog.Logger         // nil discards

	// Roles has the roles that tasks can have. A task whose definition or overrides name one gets its credentials at
	// 169.254.170.2, where the AWS SDKs and the AWS CLI look for them, and fresh ones before they end; a task with a role
	// that is not there, or does not trust ecs-tasks.amazonaws.com, is refused. The account of the roles is the cluster's.
	// Give the service a store in a directory of the program's, so that tasks which outlive the program keep their
	// credentials. Nil is that task roles are names only, or what TaskCredentials makes of them.
	Roles *sts.Service

	// LogSink is where the log driver awslogs delivers to. Nil is a logs.FileSink in Dir/awslogs.
	LogSink logs.Sink

	// EnforceDefaultStorage is as in scheduler.Config. It needs mkfs.ext4, loop devices and overlayfs, as ephemeralStorage of a
	// definition does; where one is missing tasks do not start, with a reason that names it.
	EnforceDefaultStorage bool

	// NoNewPrivileges and DropNetRaw confine the containers of all tasks further, as in scheduler.Config.
	NoNewPrivileges bool
	DropNetRaw      bool

	// AppArmorProfile confines the containers that name no profile of their own, where the kernel has AppArmor: "" is the
	// cluster's own, "unconfined" none; see containerd.Config. A definition for EC2 may name one with the dockerSecurityOptions
	// apparmor:NAME, or none.
	AppArmorProfile string

	// DefaultLogDriverMode and LogLimit are as in scheduler.Config.
	DefaultLogDriverMode string
	LogLimit             int64

	// ImageCache is how much disk images may take that were pulled from registries: ImageCache.MaxBytes, with those going
	// first that were not used for longest. The zero value keeps them all, until RemoveImage or CollectImages.
	ImageCache engine.ImageCache

	// Volumes, PullBehavior, Secrets, EnvironmentFiles, RegistryCredentials, RegistryAuth, TaskCredentials and
	// PullProgress are as in scheduler.Config.
	Volumes             volumes.Provider
	PullBehavior        engine.PullBehavior
	Secrets             secrets.Provider
	EnvironmentFiles    secrets.ObjectStore
	RegistryCredentials func(ctx context.Context, parameter string) (runtime.Credentials, error)
	RegistryAuth        func(ctx context.Context, registry string) (*runtime.Credentials, error)
	TaskCredentials     http.Handler
	PullProgress        func(taskARN string, p runtime.PullProgress)
}

// withDefaults checks c and fills in what needs no look at the machine.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("local: Config.Dir is required")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("local: Config.Dir: %w", err)
	}
	c.Dir = dir
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if len(c.Network.VPCs) > 0 && c.CIDR.IsValid() {
		return c, errors.New("local: Config.CIDR is the default VPC's, and Config.Network brings its own: set one of them")
	}
	if len(c.Namespaces) > 0 && c.DNS != nil {
		return c, errors.New("local: Config.Namespaces need the VPCs' own name servers: leave out Config.DNS")
	}
	return c.withRoles()
}

// owner marks what the cluster makes in the kernel. It depends on the directory's real path alone, so that what a dead
// process left is found again.
func (c Config) owner() string {
	h := sha256.Sum256([]byte(c.Dir))
	return hex.EncodeToString(h[:4])
}
