package cni

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/fardel-io/fardel/internal/keylock"
	"github.com/fardel-io/fardel/network"
)

// Fabric joins ENIs to one network of the operator's.
type Fabric struct {
	cfg     Config
	records records
	keys    keylock.Locks // by ENI

	// op is held for writing by what concerns everything, and for reading by what concerns one ENI.
	op     sync.RWMutex
	opened bool
	closed bool
	state  network.State // what was applied last, without ENIs
	net    *netConfig    // nil before Apply

	mu       sync.Mutex        // guards what follows
	attached map[string]record // by ENI; complete ones
	addrs    map[string]string // who has an address or a MAC, by its text
}

var _ network.Fabric = (*Fabric)(nil)

// New returns a fabric. It touches nothing: the first call of a method finds what an earlier fabric with the same Dir left,
// and removes what that had half made. The error matches [network.ErrInvalid].
func New(cfg Config) (*Fabric, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configure CNI fabric: %w", err)
	}
	return &Fabric{cfg: cfg, records: records{cfg.recordDir()}, attached: map[string]record{}, addrs: map[string]string{}}, nil
}

// begin opens the fabric if need be and holds op for reading until the returned func is called.
func (f *Fabric) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.op.RLock()
	if f.opened && !f.closed {
		return f.op.RUnlock, nil
	}
	f.op.RUnlock()
	f.op.Lock()
	err = f.open(ctx)
	f.op.Unlock()
	if err != nil {
		return nil, err
	}
	f.op.RLock()
	if f.closed {
		f.op.RUnlock()
		return nil, network.ErrClosed
	}
	return f.op.RUnlock, nil
}

// open finds what is there. The caller holds op for writing.
func (f *Fabric) open(ctx context.Context) error {
	if f.closed {
		return network.ErrClosed
	}
	if f.opened {
		return nil
	}
	if err := f.checkMachine(); err != nil {
		return err
	}
	all, err := f.records.list()
	if err != nil {
		return fmt.Errorf("open CNI fabric in %s: %w", f.cfg.Dir, err)
	}
	for _, rec := range all {
		if !rec.Complete {
			if err := f.remove(ctx, rec); err != nil {
				return fmt.Errorf("open CNI fabric in %s: remove %s, which was half made: %w", f.cfg.Dir, rec.ENI.ID, err)
			}
			continue
		}
		f.setAttached(rec)
	}
	f.opened = true
	return f.removeStrayLocks()
}

// removeStrayLocks removes the lock files of ENIs that are not there: their maker died before it began, or at the end.
func (f *Fabric) removeStrayLocks() error {
	files, err := os.ReadDir(f.cfg.lockDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range files {
		if _, ok := f.attached[file.Name()]; !ok {
			err = errors.Join(err, os.Remove(f.cfg.lockPath(file.Name())))
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (f *Fabric) setAttached(rec record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[rec.ENI.ID] = rec
	f.addrs[rec.ENI.PrivateIPv4.String()], f.addrs[rec.ENI.MAC.String()] = rec.ENI.ID, rec.ENI.ID
}

func (f *Fabric) get(id string) (record, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec, ok := f.attached[id]
	return rec, ok
}

// claim takes an address and a MAC for an ENI, unless another one has them.
func (f *Fabric) claim(e network.ENI) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, used := f.addrs[e.PrivateIPv4.String()]; used && id != e.ID {
		return fmt.Errorf("%w: %s is the address of %s", network.ErrAddressInUse, e.PrivateIPv4, id)
	}
	if id, used := f.addrs[e.MAC.String()]; used && id != e.ID {
		return fmt.Errorf("%w: %s is the MAC of %s", network.ErrInvalid, e.MAC, id)
	}
	f.addrs[e.PrivateIPv4.String()], f.addrs[e.MAC.String()] = e.ID, e.ID
	return nil
}

// release gives them back.
func (f *Fabric) release(e network.ENI) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.attached, e.ID)
	maps.DeleteFunc(f.addrs, func(_, id string) bool { return id == e.ID })
}

// Apply implements [network.Fabric]. A state that a CNI network cannot be matches [network.ErrUnsupported] and changes
// nothing.
func (f *Fabric) Apply(ctx context.Context, s network.State) error {
	if err := network.Validate(s); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	s = s.Clone()
	f.op.Lock()
	defer f.op.Unlock()
	if err := errors.Join(ctx.Err(), f.open(ctx)); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	n, err := f.cfg.load()
	if err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	if err := n.supported(s); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	for _, dir := range []string{f.cfg.namespaceDir(), f.cfg.recordDir(), f.cfg.lockDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("apply network state: %w", err)
		}
	}
	f.state, f.net = s, n
	f.state.ENIs = nil
	var errs []error
	wanted := map[string]bool{}
	for _, e := range s.ENIs {
		wanted[e.ID] = true
	}
	f.mu.Lock()
	have := maps.Clone(f.attached)
	f.mu.Unlock()
	for _, e := range s.ENIs { // addresses of what goes may be those of what comes, so removal is first here
		if rec, ok := have[e.ID]; ok && !sameENI(rec.ENI, e) {
			wanted[e.ID] = false
		}
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if !wanted[id] {
			errs = append(errs, f.detach(ctx, id))
		}
	}
	for _, e := range s.ENIs {
		_, err := f.attach(ctx, e, true)
		errs = append(errs, err)
	}
	errs = append(errs, f.collect(ctx))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("apply network state: %w", err)
	}
	if len(s.VPCs) == 0 {
		return f.removeDirs()
	}
	return nil
}

// collect tells plugins what is in use, if nobody else uses the network.
func (f *Fabric) collect(ctx context.Context) error {
	if !f.cfg.Exclusive {
		return nil
	}
	args := &libcni.GCArgs{}
	f.mu.Lock()
	for id := range f.attached {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: f.cfg.containerID(id), IfName: eniName})
	}
	f.mu.Unlock()
	if err := f.cni(nil).GCNetworkList(ctx, f.net.list, args); err != nil {
		return fmt.Errorf("collect garbage of network %s: %w", f.net.list.Name, err)
	}
	return nil
}

// removeDirs removes the directories of a fabric that holds nothing. Dir itself is the caller's.
func (f *Fabric) removeDirs() error {
	var errs []error
	for _, dir := range []string{f.cfg.namespaceDir(), f.cfg.recordDir(), f.cfg.lockDir(), f.cfg.cacheDir() + "/results", f.cfg.cacheDir()} {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Attach implements [network.Fabric].
func (f *Fabric) Attach(ctx context.Context, e network.ENI) (network.Attachment, error) {
	end, err := f.begin(ctx)
	if err != nil {
		return network.Attachment{}, fmt.Errorf("attach %s: %w", e.ID, err)
	}
	defer end()
	return f.attach(ctx, e.Clone(), false)
}

// attach makes an ENI, or changes what can be changed of one. check has the plugins look after one that is there.
func (f *Fabric) attach(ctx context.Context, e network.ENI, check bool) (a network.Attachment, err error) {
	defer f.keys.Lock(e.ID)()
	defer func() {
		if err != nil {
			err = fmt.Errorf("attach %s: %w", e.ID, err)
		}
	}()
	v, err := f.place(e)
	if err != nil {
		return a, err
	}
	if have, ok := f.get(e.ID); ok {
		if !sameENI(have.ENI, e) {
			return a, fmt.Errorf("%w: it is %s (%s) in %s", network.ErrExists, have.ENI.PrivateIPv4, have.ENI.MAC, have.ENI.Subnet)
		}
		return f.keep(ctx, v, have, e, check)
	}
	if err := f.claim(e); err != nil {
		return a, err
	}
	rec, err := f.add(ctx, v, e)
	if err != nil {
		f.release(e)
		return a, err
	}
	f.setAttached(rec)
	return rec.Attachment, nil
}

func sameENI(a, b network.ENI) bool {
	return a.Subnet == b.Subnet && a.PrivateIPv4 == b.PrivateIPv4 && a.MAC == b.MAC
}

// keep records what is new of an ENI, and makes it again if it is not as it was made.
func (f *Fabric) keep(ctx context.Context, v network.VPC, have record, e network.ENI, check bool) (network.Attachment, error) {
	if check {
		if err := f.check(ctx, have); err != nil {
			f.cfg.Logger.Warn("CNI attachment is broken and made again", "networkInterfaceId", e.ID, "error", err)
			if err := f.remove(ctx, have); err != nil {
				return network.Attachment{}, err
			}
			rec, err := f.add(ctx, v, e)
			if err != nil {
				f.release(e)
				return network.Attachment{}, err
			}
			f.setAttached(rec)
			return rec.Attachment, nil
		}
	}
	want := have
	want.ENI = e
	want.Attachment.Hostname = hostname(v, e)
	if !reflect.DeepEqual(want, have) {
		if err := f.records.write(want); err != nil {
			return network.Attachment{}, err
		}
		f.setAttached(want)
	}
	return want.Attachment, nil
}

func hostname(v network.VPC, e network.ENI) string {
	return cmp.Or(e.PrivateDNSName, network.PrivateDNSName(v.Region, e.PrivateIPv4))
}

// place finds where an ENI belongs and checks it against the applied state.
func (f *Fabric) place(e network.ENI) (v network.VPC, err error) {
	n, ok := f.state.Subnet(e.Subnet)
	if !ok {
		return v, fmt.Errorf("%w: the subnet ID '%s' does not exist", network.ErrNotFound, e.Subnet)
	}
	part := network.State{Subnets: []network.Subnet{n}}
	for _, id := range e.SecurityGroups {
		i := slices.IndexFunc(f.state.SecurityGroups, func(g network.SecurityGroup) bool { return g.ID == id })
		if i < 0 {
			return v, fmt.Errorf("%w: the security group '%s' does not exist", network.ErrNotFound, id)
		}
		part.SecurityGroups = append(part.SecurityGroups, f.state.SecurityGroups[i])
	}
	if err := network.ValidateENI(part, e); err != nil {
		return v, err
	}
	v, _ = f.state.VPC(n.VPC)
	return v, f.net.supportedENI(e)
}

// Detach implements [network.Fabric].
func (f *Fabric) Detach(ctx context.Context, eniID string) error {
	end, err := f.begin(ctx)
	if err != nil {
		return fmt.Errorf("detach %s: %w", eniID, err)
	}
	defer end()
	return f.detach(ctx, eniID)
}

func (f *Fabric) detach(ctx context.Context, eniID string) error {
	defer f.keys.Lock(eniID)()
	rec, ok := f.get(eniID)
	if !ok {
		return nil
	}
	if err := f.remove(ctx, rec); err != nil {
		return fmt.Errorf("detach %s: %w", eniID, err)
	}
	f.release(rec.ENI)
	return nil
}

// Attachments implements [network.Fabric].
func (f *Fabric) Attachments(ctx context.Context) ([]network.Attachment, error) {
	end, err := f.begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	defer end()
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]network.Attachment, 0, len(f.attached))
	for _, rec := range f.attached {
		list = append(list, rec.Attachment)
	}
	slices.SortFunc(list, func(a, b network.Attachment) int { return cmp.Compare(a.ENI, b.ENI) })
	return list, nil
}

// Close implements [network.Fabric]. It waits for what is under way.
func (f *Fabric) Close() error {
	f.op.Lock()
	defer f.op.Unlock()
	f.closed = true
	return nil
}
