package linux

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	mdnetlink "github.com/mdlayher/netlink"
)

// tables changes the nftables tables of one namespace. Each call is one transaction: all of it happens, or nothing.
type tables struct {
	ns *os.File

	mu     sync.Mutex
	conn   *nftables.Conn
	nextID uint32
}

// nftBuffer is the size of the socket's buffers in bytes. A transaction is one message out and an answer per object in,
// and neither may exceed its buffer.
const nftBuffer = 64 << 20

// nftChunk is the number of elements in a message, whose list of elements may be 64 KiB long.
const nftChunk = 400

func newTables(ns *os.File) *tables { return &tables{ns: ns} }

func (t *tables) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reset()
}

func (t *tables) reset() {
	if t.conn != nil {
		_ = t.conn.CloseLasting()
		t.conn = nil
	}
}

// transaction fills a batch and sends it; whole says that it refers to nothing outside of it. After an error the socket is replaced, since answers may be left in it.
func (t *tables) transaction(whole bool, fill func(*nftables.Conn) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		conn, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(int(t.ns.Fd())), nftables.WithSockOptions(
			func(c *mdnetlink.Conn) error {
				return errors.Join(c.SetReadBuffer(nftBuffer), c.SetWriteBuffer(nftBuffer))
			}))
		if err != nil {
			return unsupportedNFT(err, whole)
		}
		t.conn = conn
	}
	err := fill(t.conn)
	if err == nil {
		err = t.conn.Flush()
	}
	if err != nil {
		t.reset()
	}
	return unsupportedNFT(err, whole)
}

// exists reports whether there is a table. It doubles as the question whether there are tables at all.
func (t *tables) exists(name string) (bool, error) {
	found := false
	err := t.transaction(false, func(c *nftables.Conn) error {
		list, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
		for _, table := range list {
			found = found || table.Name == name
		}
		return err
	})
	return found, err
}

// remove removes a table, of both families. No error if there is none.
func (t *tables) remove(name string) error {
	return t.transaction(false, func(c *nftables.Conn) error {
		for _, f := range families() {
			table := tableOf(f, name)
			c.AddTable(table) // removing a missing table is an error, adding one that is there is not
			c.DelTable(table)
		}
		return nil
	})
}

func tableOf(f family, name string) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamily(f.number()), Name: name}
}

// replace makes rulesets the content of their tables, whatever was in them. Connections that are tracked stay so.
func (t *tables) replace(rulesets ...ruleset) error {
	return t.transaction(true, func(c *nftables.Conn) error {
		for _, r := range rulesets {
			if err := t.fill(c, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tables) fill(c *nftables.Conn, r ruleset) error {
	table := tableOf(r.Family, r.Table)
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	sets := map[string]*nftables.Set{}
	for _, s := range r.Sets {
		sets[s.Name] = t.set(table, r.Family, s.Name, s.Kind)
		if err := c.AddSet(sets[s.Name], nil); err != nil {
			return err
		}
	}
	for _, ch := range r.Chains {
		c.AddChain(chainOf(table, ch))
	}
	for _, ch := range r.Chains {
		addRules(c, table, r.Family, ch)
	}
	for _, s := range r.Sets {
		if err := addElements(c, sets[s.Name], s.Kind, s.Elements); err != nil {
			return err
		}
	}
	return nil
}

// edit removes some elements, adds chains to the tables of both families, and adds other elements.
func (t *tables) edit(tableName string, removed []setElement, chains []chain, added []setElement) error {
	return t.transaction(false, func(c *nftables.Conn) error {
		for _, e := range removed {
			list, err := elementsOf(e.Kind, []element{e.element})
			if err != nil {
				return err
			}
			if err := c.SetDeleteElements(t.set(tableOf(e.Family, tableName), e.Family, e.Set, e.Kind), list); err != nil {
				return err
			}
		}
		for _, f := range families() {
			for _, ch := range chains {
				c.AddChain(chainOf(tableOf(f, tableName), ch))
				addRules(c, tableOf(f, tableName), f, ch)
			}
		}
		for _, e := range added {
			if err := addElements(c, t.set(tableOf(e.Family, tableName), e.Family, e.Set, e.Kind), e.Kind, []element{e.element}); err != nil {
				return err
			}
		}
		return nil
	})
}

// set describes a set to the library. IDs tell the sets of a batch apart; the library's own counter is shared by all of
// a program's sockets without a lock.
func (t *tables) set(table *nftables.Table, f family, name string, kind setKind) *nftables.Set {
	t.nextID++
	address := nftables.TypeIPAddr
	if f == ipv6 {
		address = nftables.TypeIP6Addr
	}
	s := &nftables.Set{Table: table, Name: name, ID: t.nextID, KeyType: address}
	switch kind {
	case ranges:
		s.Interval = true
	case interfaces:
		s.KeyType, s.KeyByteOrder = nftables.TypeIFName, binaryutil.NativeEndian
	case sources:
		s.KeyType = nftables.MustConcatSetType(nftables.TypeIFName, address, nftables.TypeEtherAddr)
		s.Concatenation = true
	case hardwares:
		s.KeyType = nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherAddr)
		s.Concatenation = true
	case classes:
		s.IsMap, s.KeyType, s.DataType = true, nftables.TypeIFName, nftables.TypeMark
		s.KeyByteOrder = binaryutil.NativeEndian
	case verdicts:
		s.IsMap, s.KeyType, s.DataType = true, nftables.TypeMark, nftables.TypeVerdict
		s.KeyByteOrder = binaryutil.NativeEndian
	case translations:
		s.IsMap, s.DataType = true, address
	case groupPairs:
		s.KeyType = nftables.MustConcatSetType(nftables.TypeDevGroup, nftables.TypeDevGroup)
		s.Concatenation = true
	case groupVerdicts:
		s.IsMap, s.KeyType, s.DataType = true, nftables.TypeDevGroup, nftables.TypeVerdict
		s.KeyByteOrder = binaryutil.NativeEndian
	case services, addrServices:
		s.KeyType = nftables.MustConcatSetType(address, nftables.TypeInetProto, nftables.TypeInetService)
		s.Concatenation = true
	case portServices:
		s.KeyType = nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)
		s.Concatenation = true
	case rates:
		s.KeyType, s.KeyByteOrder = nftables.TypeIFName, binaryutil.NativeEndian
		s.Dynamic, s.HasTimeout, s.Size = true, true, rateSetSize
	case counts:
		s.KeyType = nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeMark)
		s.Concatenation, s.Dynamic, s.Size = true, true, countSetSize
	}
	if kind == addrServices || kind == portServices {
		s.IsMap, s.DataType = true, nftables.MustConcatSetType(address, nftables.TypeInetService)
	}
	return s
}

func addElements(c *nftables.Conn, s *nftables.Set, kind setKind, elements []element) error {
	list, err := elementsOf(kind, elements)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(list, nftChunk) {
		if err := c.SetAddElements(s, part); err != nil {
			return err
		}
	}
	return nil
}

func elementsOf(kind setKind, elements []element) ([]nftables.SetElement, error) {
	if kind == ranges {
		return rangeElements(elements), nil
	}
	list := make([]nftables.SetElement, len(elements))
	for i, e := range elements {
		switch kind {
		case addrs:
			list[i].Key = e.Addr.AsSlice()
		case interfaces:
			list[i].Key = ifname(e.Interface)
		case sources:
			list[i].Key = slices.Concat(ifname(e.Interface), e.Addr.AsSlice(), e.MAC[:], []byte{0, 0}) // in words of 4 bytes
		case hardwares:
			list[i].Key = slices.Concat(ifname(e.Interface), e.MAC[:], []byte{0, 0})
		case classes:
			list[i].Key, list[i].Val = ifname(e.Interface), binaryutil.NativeEndian.PutUint32(e.Class)
		case verdicts:
			list[i].Key, list[i].VerdictData = binaryutil.NativeEndian.PutUint32(e.Class), verdictOf(e.Verdict)
		case translations:
			list[i].Key, list[i].Val = e.Addr.AsSlice(), e.To.AsSlice()
		case groupPairs:
			group := binaryutil.NativeEndian.PutUint32(e.Group)
			list[i].Key = slices.Concat(group, group)
		case groupVerdicts:
			list[i].Key, list[i].VerdictData = binaryutil.NativeEndian.PutUint32(e.Group), verdictOf(e.Verdict)
		case services:
			list[i].Key = slices.Concat(e.Addr.AsSlice(), serviceKey(e))
		case addrServices:
			list[i].Key, list[i].Val = slices.Concat(e.Addr.AsSlice(), serviceKey(e)), serviceOf(e.To, e.ToPort)
		case portServices:
			list[i].Key, list[i].Val = serviceKey(e), serviceOf(e.To, e.ToPort)
		default:
			return nil, fmt.Errorf("set kind %d has no elements", kind)
		}
	}
	return list, nil
}

// serviceKey returns protocol and port as sets have them: each in a word of its own.
func serviceKey(e element) []byte {
	return append([]byte{e.Protocol, 0, 0, 0}, word(e.Port)...)
}

// serviceOf returns an address and a port as maps have them.
func serviceOf(a netip.Addr, port uint16) []byte { return append(a.AsSlice(), word(port)...) }

// word returns a port at the beginning of a word of four bytes.
func word(port uint16) []byte { return append(binaryutil.BigEndian.PutUint16(port), 0, 0) }

// rangeElements returns prefixes as the kernel's sets of intervals have them: the first address of each and the first one
// after it, with no overlaps.
func rangeElements(elements []element) []nftables.SetElement {
	prefixes := make([]netip.Prefix, 0, len(elements))
	for _, e := range elements {
		prefixes = append(prefixes, e.Prefix)
	}
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var list []nftables.SetElement
	var last netip.Prefix
	for _, p := range prefixes {
		if last.IsValid() && last.Overlaps(p) {
			continue // it begins after the wider one, and so is inside
		}
		last = p
		list = append(list, nftables.SetElement{Key: p.Addr().AsSlice()})
		if end := after(p); end.IsValid() {
			list = append(list, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return list
}

// after returns the first address after a prefix; the zero value if there is none.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		bits := min(max(p.Bits()-8*i, 0), 8)
		b[i] |= byte(0xff >> bits)
	}
	end, _ := netip.AddrFromSlice(b)
	return end.Next()
}

// ifname returns the name of an interface as nftables compares it.
func ifname(name string) []byte {
	b := make([]byte, 16)
	copy(b, name)
	return b
}

func chainOf(table *nftables.Table, ch chain) *nftables.Chain {
	c := &nftables.Chain{Table: table, Name: ch.Name}
	if ch.Hook == nil {
		return c
	}
	points := map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "input": nftables.ChainHookInput,
		"forward": nftables.ChainHookForward, "output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting}
	policy := nftables.ChainPolicyAccept
	if ch.Hook.Drop {
		policy = nftables.ChainPolicyDrop
	}
	c.Type, c.Hooknum, c.Policy = nftables.ChainType(ch.Hook.Type), points[ch.Hook.Point], &policy
	if table.Family == nftables.TableFamilyARP {
		c.Hooknum = nftables.ChainHookPrerouting // NF_ARP_IN has its number
	}
	c.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(ch.Hook.Priority))
	return c
}

func addRules(c *nftables.Conn, table *nftables.Table, f family, ch chain) {
	for _, r := range ch.Rules {
		var exprs []expr.Any
		for _, s := range r {
			exprs = append(exprs, expressions(f, s)...)
		}
		c.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: ch.Name}, Exprs: exprs})
	}
}
