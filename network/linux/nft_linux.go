package linux

import (
	"errors"
	"fmt"
	"os"
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

// remove removes a table. No error if there is none.
func (t *tables) remove(name string) error {
	return t.transaction(false, func(c *nftables.Conn) error {
		table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: name}
		c.AddTable(table) // removing a missing table is an error, adding one that is there is not
		c.DelTable(table)
		return nil
	})
}

// replace makes r the content of its table, whatever was in it. Connections that are tracked stay so.
func (t *tables) replace(r ruleset) error {
	return t.transaction(true, func(c *nftables.Conn) error {
		table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: r.Table}
		c.AddTable(table)
		c.DelTable(table)
		c.AddTable(table)
		sets := map[string]*nftables.Set{}
		for _, s := range r.Sets {
			sets[s.Name] = t.set(table, s.Name, s.Kind)
			if err := c.AddSet(sets[s.Name], nil); err != nil {
				return err
			}
		}
		for _, ch := range r.Chains {
			c.AddChain(chainOf(table, ch))
		}
		for _, ch := range r.Chains {
			addRules(c, table, ch)
		}
		for _, s := range r.Sets {
			if err := addElements(c, sets[s.Name], s.Kind, s.Elements); err != nil {
				return err
			}
		}
		return nil
	})
}

// edit removes some elements, adds chains, and adds other elements.
func (t *tables) edit(tableName string, removed []setElement, chains []chain, added []setElement) error {
	return t.transaction(false, func(c *nftables.Conn) error {
		table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
		for _, e := range removed {
			list, err := elementsOf(e.Kind, []element{e.element})
			if err != nil {
				return err
			}
			if err := c.SetDeleteElements(t.set(table, e.Set, e.Kind), list); err != nil {
				return err
			}
		}
		for _, ch := range chains {
			c.AddChain(chainOf(table, ch))
			addRules(c, table, ch)
		}
		for _, e := range added {
			if err := addElements(c, t.set(table, e.Set, e.Kind), e.Kind, []element{e.element}); err != nil {
				return err
			}
		}
		return nil
	})
}

// set describes a set to the library. IDs tell the sets of a batch apart; the library's own counter is shared by all of
// a program's sockets without a lock.
func (t *tables) set(table *nftables.Table, name string, kind setKind) *nftables.Set {
	t.nextID++
	s := &nftables.Set{Table: table, Name: name, ID: t.nextID, KeyType: nftables.TypeIPAddr}
	switch kind {
	case interfaces:
		s.KeyType, s.KeyByteOrder = nftables.TypeIFName, binaryutil.NativeEndian
	case sources:
		s.KeyType = nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr, nftables.TypeEtherAddr)
		s.Concatenation = true
	case classes:
		s.IsMap, s.DataType = true, nftables.TypeMark
	case verdicts:
		s.IsMap, s.KeyType, s.DataType = true, nftables.TypeMark, nftables.TypeVerdict
		s.KeyByteOrder = binaryutil.NativeEndian
	}
	return s
}

func addElements(c *nftables.Conn, s *nftables.Set, kind setKind, elements []element) error {
	for len(elements) > 0 {
		n := min(len(elements), nftChunk)
		list, err := elementsOf(kind, elements[:n])
		if err != nil {
			return err
		}
		if err := c.SetAddElements(s, list); err != nil {
			return err
		}
		elements = elements[n:]
	}
	return nil
}

func elementsOf(kind setKind, elements []element) ([]nftables.SetElement, error) {
	list := make([]nftables.SetElement, len(elements))
	for i, e := range elements {
		switch kind {
		case addrs:
			list[i].Key = e.Addr.AsSlice()
		case interfaces:
			list[i].Key = ifname(e.Interface)
		case sources:
			list[i].Key = append(append(ifname(e.Interface), e.Addr.AsSlice()...), append(e.MAC[:], 0, 0)...) // in words of 4 bytes
		case classes:
			list[i].Key, list[i].Val = e.Addr.AsSlice(), binaryutil.NativeEndian.PutUint32(e.Class)
		case verdicts:
			list[i].Key, list[i].VerdictData = binaryutil.NativeEndian.PutUint32(e.Class), verdictOf(e.Verdict)
		default:
			return nil, fmt.Errorf("set kind %d has no elements", kind)
		}
	}
	return list, nil
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
		"forward": nftables.ChainHookForward, "postrouting": nftables.ChainHookPostrouting}
	policy := nftables.ChainPolicyAccept
	if ch.Hook.Drop {
		policy = nftables.ChainPolicyDrop
	}
	c.Type, c.Hooknum, c.Policy = nftables.ChainType(ch.Hook.Type), points[ch.Hook.Point], &policy
	c.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(ch.Hook.Priority))
	return c
}

func addRules(c *nftables.Conn, table *nftables.Table, ch chain) {
	for _, r := range ch.Rules {
		var exprs []expr.Any
		for _, s := range r {
			exprs = append(exprs, expressions(s)...)
		}
		c.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: ch.Name}, Exprs: exprs})
	}
}
