package cni

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/fardel-io/fardel/network"
)

// eniName is the name of the interface in a task's namespace.
const eniName = "eth0"

// undoTime bounds the removal of what could not be made, whose caller may not wait any more.
const undoTime = time.Minute

// cni returns libcni's view of the plugins. lock is what they hold open while they run.
func (f *Fabric) cni(lock *os.File) *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir(f.cfg.PluginDirs, f.cfg.cacheDir(), &plugins{lock: lock})
}

// runtimeConf is what plugins are told of an ENI. Plugins without the capability get address and MAC as arguments, of
// which they take what they know.
func (f *Fabric) runtimeConf(rec record) *libcni.RuntimeConf {
	e := rec.ENI
	rt := &libcni.RuntimeConf{
		ContainerID: f.cfg.containerID(e.ID), NetNS: f.cfg.namespacePath(e.ID), IfName: eniName,
		Args: [][2]string{{"IgnoreUnknown", "1"}, {"IP", e.PrivateIPv4.String()}, {"MAC", e.MAC.String()}},
	}
	rt.CapabilityArgs = map[string]any{}
	maps.Copy(rt.CapabilityArgs, rec.Args)
	return rt
}

// add makes an ENI, or leaves nothing of it.
func (f *Fabric) add(ctx context.Context, v network.VPC, e network.ENI) (rec record, err error) {
	n, _ := f.state.Subnet(e.Subnet)
	rec = record{Version: recordVersion, VPC: v.ID, ENI: e, Config: f.net.list.Bytes, Args: map[string]any{}}
	if f.cfg.CapabilityArgs != nil {
		maps.Copy(rec.Args, f.cfg.CapabilityArgs(e))
	}
	rec.Args["ips"] = []string{netip.PrefixFrom(e.PrivateIPv4, n.CIDR.Bits()).String()}
	rec.Args["mac"] = e.MAC.String()
	lock, err := f.lockPlugins(ctx, e.ID)
	if err != nil {
		return rec, err
	}
	defer lock.Close()
	if err := f.records.write(rec); err != nil {
		return rec, err
	}
	err = makeNamespace(f.cfg.namespacePath(e.ID))
	if err == nil {
		rec.Attachment, err = f.callAdd(ctx, lock, v, rec)
	}
	if err == nil {
		rec.Complete = true
		err = f.records.write(rec)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		return rec, errors.Join(err, f.removeLocked(undo, lock, rec))
	}
	return rec, nil
}

// callAdd has the plugins make an interface and checks that it has the ENI's address.
func (f *Fabric) callAdd(ctx context.Context, lock *os.File, v network.VPC, rec record) (a network.Attachment, err error) {
	raw, err := f.cni(lock).AddNetworkList(ctx, f.net.list, f.runtimeConf(rec))
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		return a, err
	}
	result, err := types100.NewResultFromResult(raw)
	if err != nil {
		return a, fmt.Errorf("read the answer of the plugins of network %s: %w", f.net.list.Name, err)
	}
	return f.describe(v, rec.ENI, result)
}

// describe makes an attachment of what plugins answered.
func (f *Fabric) describe(v network.VPC, e network.ENI, result *types100.Result) (a network.Attachment, err error) {
	a = network.Attachment{ENI: e.ID, NetNS: f.cfg.namespacePath(e.ID), Interface: eniName, Hostname: hostname(v, e)}
	var got []string
	for _, ip := range result.IPs {
		ones, _ := ip.Address.Mask.Size()
		addr, _ := netip.AddrFromSlice(ip.Address.IP)
		p := netip.PrefixFrom(addr.Unmap(), ones)
		got = append(got, p.String())
		if p.Addr() == e.PrivateIPv4 {
			a.Address = p
			gateway, _ := netip.AddrFromSlice(ip.Gateway)
			a.Gateway = gateway.Unmap()
		}
	}
	if !a.Address.IsValid() || len(got) > 1 {
		return a, &network.UnsupportedError{Feature: "the address " + e.PrivateIPv4.String(),
			Needs: fmt.Sprintf("an IPAM plugin that gives the address it is asked for, and no other: the network %q gave %s", f.net.list.Name, strings.Join(got, ", "))}
	}
	for _, i := range result.Interfaces {
		if i.Sandbox != "" && i.Name == eniName {
			if a.MAC, err = network.ParseMAC(i.Mac); err != nil {
				return a, fmt.Errorf("read the answer of the plugins of network %s: %w", f.net.list.Name, err)
			}
		}
	}
	a.DNS, a.Search = f.nameServers(result.DNS), append([]string{network.PrivateDomain(v.Region)}, result.DNS.Search...)
	return a, nil
}

func (f *Fabric) nameServers(d types.DNS) []netip.Addr {
	var list []netip.Addr
	for _, s := range d.Nameservers {
		if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return slices.Clone(f.cfg.DNS)
	}
	return list
}

// check has the plugins look whether an ENI is as they made it.
func (f *Fabric) check(ctx context.Context, rec record) error {
	if err := isMounted(rec.Attachment.NetNS); err != nil {
		return err
	}
	lock, err := f.lockPlugins(ctx, rec.ENI.ID)
	if err != nil {
		return err
	}
	defer lock.Close()
	n, err := parseConfig(rec.Config)
	if err != nil {
		return err
	}
	err = f.cni(lock).CheckNetworkList(ctx, n.list, f.runtimeConf(rec))
	if errors.Is(err, libcni.ErrorCheckNotSupp) {
		return nil
	}
	return errors.Join(err, ctx.Err())
}

// remove undoes an ENI, also one that is half made or half removed.
func (f *Fabric) remove(ctx context.Context, rec record) error {
	lock, err := f.lockPlugins(ctx, rec.ENI.ID)
	if err != nil {
		return err
	}
	defer lock.Close()
	return f.removeLocked(ctx, lock, rec)
}

func (f *Fabric) removeLocked(ctx context.Context, lock *os.File, rec record) error {
	if rec.Complete {
		rec.Complete = false // from here on, whoever comes after goes on with it
		if err := f.records.write(rec); err != nil {
			return err
		}
	}
	n, err := parseConfig(rec.Config)
	if err != nil {
		return err
	}
	if err := f.assumeResult(n.list, rec); err != nil {
		return err
	}
	if err := f.cni(lock).DelNetworkList(ctx, n.list, f.runtimeConf(rec)); err != nil {
		return err
	}
	if err := clearMountPoint(f.cfg.namespacePath(rec.ENI.ID)); err != nil {
		return err
	}
	if err := f.records.remove(rec.ENI.ID); err != nil {
		return err
	}
	return os.Remove(f.cfg.lockPath(rec.ENI.ID))
}

// assumeResult tells plugins that undo an ENI what the ones before them are likely to have answered. libcni replaces it
// with the answer that it has kept; it has none if somebody died between the plugins, and the plugin firewall then leaves
// its rules, for it does not know the address.
func (f *Fabric) assumeResult(list *libcni.NetworkConfigList, rec record) error {
	if knows, err := version.GreaterThanOrEqualTo(list.CNIVersion, "0.4.0"); err != nil || !knows {
		return err // plugins are told of no answers then
	}
	e := rec.ENI
	result, err := (&types100.Result{
		CNIVersion: types100.ImplementedSpecVersion,
		Interfaces: []*types100.Interface{{Name: eniName, Mac: e.MAC.String(), Sandbox: f.cfg.namespacePath(e.ID)}},
		IPs: []*types100.IPConfig{{Interface: types100.Int(0),
			Address: net.IPNet{IP: e.PrivateIPv4.AsSlice(), Mask: net.CIDRMask(32, 32)}}},
	}).GetAsVersion(list.CNIVersion)
	if err != nil {
		return err
	}
	for i, p := range list.Plugins {
		if list.Plugins[i], err = libcni.InjectConf(p, map[string]any{"prevResult": result}); err != nil {
			return err
		}
	}
	return nil
}
