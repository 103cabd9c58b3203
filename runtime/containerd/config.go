package containerd

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"time"

	"github.com/fardel-io/fardel/internal/userns"
)

// IDRange is user and group IDs of the machine: Count of them, a multiple of 65536 and at least twice that, from First, 65536
// or above; the last is at most 2147483647. Nobody else may have them, also not in /etc/subuid.
type IDRange struct{ First, Count uint32 }

// Config says where a driver keeps its things and how it marks them.
type Config struct {
	// Owner marks everything that the driver makes: the containerd namespace is "fardel-<Owner>" and the parent of all
	// cgroups "fardel/<Owner>". One driver at a time may use an owner on a machine. Lower-case letters, digits and
	// hyphens, at most 32. // required
	Owner string

	// Dir is the directory for the driver's state, absolute, made with mode 0700 if missing. With [Embed] it also holds
	// images and root file systems; overlayfs must be able to have its upper directories there, else layers are copied.
	// Logs are not in it. // required
	Dir string

	// Runtime is the OCI runtime: a path, or a name looked up in PATH, /usr/local/sbin, /usr/sbin and /sbin, where the first
	// program of that name is taken that has no known way out. "" is runc.
	//
	// A program of the name runsc is gVisor, with a kernel of its own for each container, and gets the flags that it needs
	// to share the sandbox's network. It lacks SandboxSpec.SharePID, which is refused, system controls, abstract sockets
	// between containers, and the kill of an Exec whose process catches signals; a program that is not in the image is
	// found out by Start. While a container exists, its environment with the secrets in it is in a file below Dir.
	Runtime string

	// AllowVulnerableRuntime takes an OCI runtime whose version has known ways out of containers, as published for runc, crun
	// and youki, or whose version cannot be read, with a warning to Logger. Without it they are refused. A Runtime that is set
	// and of which nothing is known, like a build of one's own, is taken with a warning. A distribution may have mended a
	// version without a word in what the program prints: Red Hat's do. See [runtime.UnsupportedError] for what the error says.
	AllowVulnerableRuntime bool

	// AppArmorProfile is the profile of containers that name none and are not privileged, where the kernel has AppArmor. ""
	// is the driver's own, "fardel-<Owner>", which is loaded with apparmor_parser and removed by Close when no sandbox is left;
	// where it cannot be loaded containers run without, with a warning to Logger. "unconfined" is none. Another one must be
	// loaded. gVisor confines its processes by itself, and takes no profile.
	AppArmorProfile string

	// CgroupManager is who makes the cgroup below which every sandbox gets its own: [CgroupFS] or [Systemd]. "" is Systemd
	// where it is the machine's first process, the machine has cgroup v2, and CgroupParent is ""; else CgroupFS. While
	// sandboxes of an earlier driver exist, neither this nor CgroupParent may be another.
	CgroupManager string

	// CgroupParent is that cgroup, without the mount point. "" is "fardel/<Owner>", and must be with Systemd, which has
	// "fardel.slice/fardel-<Owner>.scope".
	CgroupParent string

	// UserNamespaces has the containers of each sandbox live in a user namespace of its own, with 65536 of these IDs of the
	// machine: root in a container is nobody outside of it. A sandbox with a network namespace lives in the user namespace
	// which that belongs to, see linux.Config.UserNamespaces; for one without the driver makes one, of the second half of
	// the range. It concerns sandboxes that are made from then on. Nil leaves them to the machine's user namespace.
	//
	// It needs an OCI runtime with idmapped mounts, such as runc 1.2, overlayfs, Linux 5.19, and file systems with idmapped
	// mounts below Dir and wherever mounts come from; [Embed] and [Connect] try what can be tried. Refused in such
	// sandboxes are privileged containers and the machine's own network. Users and groups above 65535 are refused in
	// specs and nobody's in images.
	UserNamespaces *IDRange

	// Registries says how to reach registries that need more than HTTPS and public certificates, by host as image names
	// have it: "docker.io", "registry.local:5000". Only what is named here, or as a mirror or token server here, may have an
	// address of this machine, of a private network or of a cloud's metadata; a registry on loopback needs an entry, with
	// PlainHTTP if that is how it is reached. Credentials go to the host and port that they are configured for.
	Registries map[string]Registry

	// ImageLimits bound what an image may take of this machine. With [Connect], each layer is read once more for that, before
	// the daemon unpacks it.
	ImageLimits ImageLimits

	// PullAttempts is how often a registry is asked for something when the network or the registry is at fault. An attempt
	// that brought a part of a layer begins the count anew, as the next one goes on from there. 0 is 5, as with the ECS
	// agent; waits between attempts are its own, from 1.1 s, doubled up to 5 s.
	PullAttempts int

	Logger *slog.Logger // nil discards

	pullDelay    time.Duration // the first wait between attempts; 0 is 1.1 s
	pullSilence  time.Duration // how long a registry may send next to nothing of a layer; 0 is a minute
	parentIsSet  bool          // CgroupParent was not ""
	runtimeIsSet bool          // Runtime was not ""

	documentTime time.Duration // how long an index, a manifest or a configuration may take; 0 is a minute
	resolver     *net.Resolver // of registries' names; nil is the machine's
	proxy        func(*http.Request) (*url.URL, error)

	callTimeout  time.Duration // how long a call of the OCI runtime may take; 0 is callTimeout
	callPatience time.Duration // how long one may take that is not wanted any more; 0 is callPatience
}

// The ECS agent's: five attempts, each wait twice as long as the last and up to a fifth longer at random, a minute of
// silence, and two hours for a whole image.
const (
	defaultPullAttempts = 5
	firstPullDelay      = 1100 * time.Millisecond
	mostPullDelay       = 5 * time.Second
	pullJitter          = 0.2
	pullSilence         = time.Minute
	documentTime        = time.Minute
	pullTimeout         = 2 * time.Hour
)

// What a call of the OCI runtime takes is tens of milliseconds on a quiet machine, and was 15 s for the last of a hundred
// containers that were made at once. One that takes callTimeout hangs, in a file of the container for example. callPatience
// is for one that nobody wants any more, and for what is to end after SIGKILL.
const (
	callTimeout  = 2 * time.Minute
	callPatience = 10 * time.Second
)

// Values of Config.CgroupManager.
const (
	CgroupFS = "cgroupfs" // the driver makes directories, which nobody else may manage
	Systemd  = "systemd"  // a scope with delegation, which systemd leaves alone; cgroup v2 only
)

var ownerPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func (c Config) withDefaults() (Config, error) {
	if !ownerPattern.MatchString(c.Owner) {
		return c, fmt.Errorf("containerd: Config.Owner %q: want 1 to 32 of a-z, 0-9 and inner hyphens", c.Owner)
	}
	if !filepath.IsAbs(c.Dir) {
		return c, fmt.Errorf("containerd: Config.Dir %q: want an absolute path", c.Dir)
	}
	c.Dir = filepath.Clean(c.Dir)
	c.runtimeIsSet = c.Runtime != ""
	c.Runtime = cmp.Or(c.Runtime, "runc")
	if r := c.UserNamespaces; r != nil {
		if err := userns.Range(*r).Check(); err != nil {
			return c, fmt.Errorf("containerd: Config.UserNamespaces: %w", err)
		}
	}
	switch c.CgroupManager {
	case "", CgroupFS:
	case Systemd:
		if c.CgroupParent != "" {
			return c, fmt.Errorf("containerd: Config.CgroupParent %q: with %s the parent is a scope of its own", c.CgroupParent, Systemd)
		}
	default:
		return c, fmt.Errorf("containerd: Config.CgroupManager %q: want %q, %q or nothing", c.CgroupManager, CgroupFS, Systemd)
	}
	if c.parentIsSet = c.CgroupParent != ""; !c.parentIsSet {
		c.CgroupParent = "fardel/" + c.Owner
	}
	c.CgroupParent = filepath.Clean("/" + c.CgroupParent)[1:]
	if c.CgroupParent == "" {
		return c, errors.New("containerd: Config.CgroupParent is the root cgroup: name one below it")
	}
	if c.PullAttempts < 0 {
		return c, fmt.Errorf("containerd: Config.PullAttempts %d: want 1 or more, or 0 for %d", c.PullAttempts, defaultPullAttempts)
	}
	c.PullAttempts = cmp.Or(c.PullAttempts, defaultPullAttempts)
	if _, err := namedHosts(c.Registries); err != nil {
		return c, fmt.Errorf("containerd: %w", err)
	}
	c.ImageLimits = c.ImageLimits.withDefaults()
	c.documentTime = cmp.Or(c.documentTime, documentTime)
	if c.proxy == nil {
		c.proxy = http.ProxyFromEnvironment
	}
	c.pullDelay, c.pullSilence = cmp.Or(c.pullDelay, firstPullDelay), cmp.Or(c.pullSilence, pullSilence)
	c.callTimeout, c.callPatience = cmp.Or(c.callTimeout, callTimeout), cmp.Or(c.callPatience, callPatience)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
