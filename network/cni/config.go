package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"

	"github.com/fardel-io/fardel/network"
)

// Config says which network tasks join and where a fabric keeps what it knows.
type Config struct {
	// Dir is an absolute path to a directory of the fabric's own, made if missing. Namespaces are mounted below it.
	// Required.
	Dir string

	// Owner is part of the names of attachments: 1 to 32 lower-case letters, digits and dashes, and no two fabrics on a
	// network may have the same. Required.
	Owner string

	// Network is the path of a configuration, *.conflist, *.conf or *.json, or of a directory, of which the first in order
	// of names counts. It is read by every Apply. Required.
	Network string

	// PluginDirs are where plugins are; nil is /opt/cni/bin and /usr/lib/cni.
	PluginDirs []string

	// CapabilityArgs returns what plugins are told of an ENI by their capabilities, such as "portMappings" or "bandwidth".
	// It must return the same for the same ENI. Nil tells nothing but the address and MAC.
	CapabilityArgs func(e network.ENI) map[string]any

	// Exclusive says that nobody else uses the network. Plugins of version 1.1.0 are then told in Apply what is in use, to
	// remove all else. Without, the fabric removes what it knows of alone.
	Exclusive bool

	// DNS are the name servers that tasks are told of if the plugins name none.
	DNS []netip.Addr

	// Logger takes what an operator would act upon; nil discards.
	Logger *slog.Logger
}

func defaultPluginDirs() []string { return []string{"/opt/cni/bin", "/usr/lib/cni"} }

func (c Config) withDefaults() (Config, error) {
	var errs []error
	for name, path := range map[string]string{"Dir": c.Dir, "Network": c.Network} {
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("%w: %s %q must be an absolute path", network.ErrInvalid, name, path))
		}
	}
	if len(c.Owner) == 0 || len(c.Owner) > 32 || strings.Trim(c.Owner, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		errs = append(errs, fmt.Errorf("%w: Owner %q must be 1 to 32 lower-case letters, digits and dashes", network.ErrInvalid, c.Owner))
	}
	if c.PluginDirs == nil {
		c.PluginDirs = defaultPluginDirs()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// Paths below Dir.
func (c Config) namespaceDir() string           { return filepath.Join(c.Dir, "netns") }
func (c Config) namespacePath(id string) string { return filepath.Join(c.Dir, "netns", id) }
func (c Config) recordDir() string              { return filepath.Join(c.Dir, "enis") }
func (c Config) lockDir() string                { return filepath.Join(c.Dir, "locks") }
func (c Config) lockPath(id string) string      { return filepath.Join(c.Dir, "locks", id) }
func (c Config) cacheDir() string               { return filepath.Join(c.Dir, "cache") }

// containerID names an attachment. Plugins take letters, digits, "_", "." and "-".
func (c Config) containerID(eni string) string { return "fardel-" + c.Owner + "-" + eni }

// netConfig is the operator's configuration.
type netConfig struct {
	list    *libcni.NetworkConfigList
	address bool // a plugin gives the address that is asked for
	ranges  []netip.Prefix
}

// load reads the operator's configuration.
func (c Config) load() (*netConfig, error) {
	path := c.Network
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: Config.Network: %w", network.ErrInvalid, err)
	}
	if info.IsDir() {
		files, err := libcni.ConfFiles(path, []string{".conf", ".conflist", ".json"})
		if err != nil {
			return nil, fmt.Errorf("%w: Config.Network: %w", network.ErrInvalid, err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%w: Config.Network: no *.conflist, *.conf or *.json in %s", network.ErrInvalid, path)
		}
		slices.Sort(files)
		path = files[0]
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: Config.Network: %w", network.ErrInvalid, err)
	}
	n, err := parseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%w: Config.Network: %s: %w", network.ErrInvalid, path, err)
	}
	return n, nil
}

// parseConfig reads a list of plugins, or one plugin alone.
func parseConfig(data []byte) (*netConfig, error) {
	list, err := libcni.NetworkConfFromBytes(data)
	if one, oneErr := libcni.NetworkPluginConfFromBytes(data); oneErr == nil && (err != nil || len(list.Plugins) == 0) {
		list, err = libcni.ConfListFromConf(one)
	}
	switch {
	case err != nil:
		return nil, err
	case len(list.Plugins) == 0:
		return nil, errors.New("it lists no plugins")
	}
	if !regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$`).MatchString(list.Name) {
		return nil, fmt.Errorf("the network's name %q is none", list.Name)
	}
	n := &netConfig{list: list}
	for _, p := range list.Plugins {
		if p.Network.Capabilities["ips"] {
			n.address = true
		}
		n.readIPAM(p.Bytes)
	}
	return n, nil
}

// ipam is what matters of an IPAM plugin's configuration.
type ipam struct {
	IPAM struct {
		Type   string      `json:"type"`
		Subnet string      `json:"subnet"`
		Ranges [][]ipRange `json:"ranges"`
	} `json:"ipam"`
}

type ipRange struct {
	Subnet string `json:"subnet"`
}

// readIPAM notes which addresses a plugin has to give. Whether the configuration is right is for the plugin to say.
func (n *netConfig) readIPAM(data []byte) {
	var c ipam
	if json.Unmarshal(data, &c) != nil {
		return
	}
	switch c.IPAM.Type {
	case "host-local":
		n.address = true
		c.IPAM.Ranges = append(c.IPAM.Ranges, []ipRange{{c.IPAM.Subnet}})
		for _, set := range c.IPAM.Ranges {
			for _, r := range set {
				if p, err := netip.ParsePrefix(r.Subnet); err == nil && p.Addr().Is4() {
					n.ranges = append(n.ranges, p.Masked())
				}
			}
		}
	}
}
