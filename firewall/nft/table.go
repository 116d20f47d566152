package nft

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// The flags of a table that x/sys lacks or spreads over versions.
const (
	tableDormant    = 0x1
	tableOwner      = 0x2 // since 5.12: only the socket that made the table may change it
	tablePersist    = 0x4 // since 6.9: the table stays when its owner goes
	nftaTableOwner  = 7
	nftaTableHandle = 4
)

// tableInfo is our table as the kernel has it.
type tableInfo struct {
	exists bool
	flags  uint32
	owner  uint32 // the port of the socket that owns it, 0 for none
	handle uint64
}

func getTable(l *link, name string) (tableInfo, error) {
	var t tableInfo
	l.enc.b = l.enc.b[:0]
	m := l.enc.begin(unix.NFT_MSG_GETTABLE, 0)
	l.enc.text(unix.NFTA_TABLE_NAME, name)
	l.enc.end(m)
	err := l.ask(unix.NFT_MSG_NEWTABLE, func(b []byte) bool {
		t = tableInfo{
			exists: true, flags: be32(attr(b, unix.NFTA_TABLE_FLAGS)),
			owner: be32(attr(b, nftaTableOwner)), handle: be64(attr(b, nftaTableHandle)),
		}
		return true
	})
	if errors.Is(err, unix.ENOENT) {
		return tableInfo{}, nil
	}
	return t, err
}

// newTable makes the table, or changes the flags of the one that is there.
func newTable(l *link, name string, flags uint32) error {
	l.batch()
	m := l.enc.begin(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_ACK)
	l.enc.text(unix.NFTA_TABLE_NAME, name)
	l.enc.u32(unix.NFTA_TABLE_FLAGS, flags)
	l.enc.end(m)
	return l.commit()
}

// deleteTable deletes the table with all it holds. It is no error that there is none.
func deleteTable(l *link, name string) error {
	l.batch()
	m := l.enc.begin(unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK)
	l.enc.text(unix.NFTA_TABLE_NAME, name)
	l.enc.end(m)
	if err := l.commit(); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// ensureTable makes our table exist, owned where the configuration and the kernel allow it.
func (e *Enforcer) ensureTable() error {
	name := e.config.Table
	t, err := getTable(e.reader, name)
	if err != nil {
		return fmt.Errorf("look for table inet %s: %w", name, err)
	}
	auto := e.config.Owner != "off"
	switch {
	case t.exists && t.flags&tableOwner != 0 && t.owner == e.port:
		e.owned = true
		return nil
	case t.exists && t.flags&tableOwner != 0:
		return fmt.Errorf("table inet %s: belongs to the running process with netlink port %d: %w (hint: is another stockade running?)", name, t.owner, ErrOwned)
	case t.exists && t.flags&tablePersist == 0 || !auto:
		// A plain table cannot become owned, and making it anew would lose what it holds.
		e.owned = false
		if t.exists && t.flags&tableDormant == 0 {
			return nil
		}
		err = e.counted(newTable(e.writer, name, t.flags&tablePersist))
	default:
		e.owned = true
		if err = e.counted(newTable(e.writer, name, tableOwner|tablePersist)); errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
			e.owned = false
			err = e.counted(newTable(e.writer, name, 0))
		}
	}
	if err != nil {
		return fmt.Errorf("make table inet %s: %w", name, err)
	}
	return nil
}

// structure makes sets, chains and rules what they must be, in one transaction; sets that are
// there keep their elements.
func (e *Enforcer) structure() error {
	have, err := listSets(e.reader, e.config.Table)
	if err != nil {
		return fmt.Errorf("list the sets of table inet %s: %w", e.config.Table, err)
	}
	byName := make(map[string]found, len(have))
	for _, f := range have {
		byName[f.name] = f
	}
	ids := e.setList()
	c := e.lib
	for _, ch := range chains(ids) {
		c.AddChain(e.chain(ch))
		c.FlushChain(e.chain(ch))
	}
	// The numbers by which a transaction knows its new sets. The library would take them from a
	// variable that all its connections share without a lock.
	lastID := uint32(0)
	id := func() uint32 {
		lastID++
		return lastID
	}
	wanted := make(map[string]bool)
	want := func(s *nftables.Set) error {
		wanted[s.Name] = true
		f, ok := byName[s.Name]
		if ok && f.fits(s) {
			return nil
		}
		if ok {
			c.DelSet(&nftables.Set{Table: e.table, Name: s.Name})
			e.log.Warn("a set was not of our shape and is made anew, empty", "set", s.Name)
		}
		s.ID = id()
		return c.AddSet(s, nil)
	}
	for _, s := range e.definitions() {
		if err := want(s); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	for _, r := range e.program(ids) {
		for _, a := range r.sets {
			s := &nftables.Set{
				Table: e.table, ID: id(), Name: "__set%d", Anonymous: true, Constant: true, Interval: a.interval, KeyType: a.key,
			}
			if err := c.AddSet(s, a.elements); err != nil {
				return fmt.Errorf("rule %q: %w", r.text, err)
			}
			a.lookup.SetName, a.lookup.SetID = s.Name, s.ID
		}
		c.AddRule(&nftables.Rule{Table: e.table, Chain: e.chain(r.chain), Exprs: r.exprs, UserData: r.mark()})
	}
	for _, ch := range softChains {
		if !slices.Contains(chains(ids), ch) {
			c.AddChain(e.chain(ch)) // deleting what is not there would fail
			c.FlushChain(e.chain(ch))
			c.DelChain(e.chain(ch))
		}
	}
	for _, f := range have {
		if !wanted[f.name] {
			c.DelSet(&nftables.Set{Table: e.table, Name: f.name})
		}
	}
	if err := e.counted(c.Flush()); err != nil {
		return fmt.Errorf("write sets, chains and rules of table inet %s: %w", e.config.Table, permission(err))
	}
	return nil
}

// softChains are the chains of the verdict reject.
var softChains = []string{"refuse", "softcut"}

// chains are the chains that the program for these sets needs; a chain stands before those
// that go to it are filled.
func chains(ids []setID) []string {
	out := []string{"gate", "judge", "awayfwd", "awayout", "cut"}
	for _, id := range ids {
		if id.verdict == firewall.Reject {
			return append(out, softChains...)
		}
	}
	return out
}

// The priorities of our base chains.
const (
	gatePriority = -150 // after conntrack (-200), before DNAT (-100)
	awayPriority = -1   // before the filters of others (0)
)

func (e *Enforcer) chain(name string) *nftables.Chain {
	c := &nftables.Chain{Name: name, Table: e.table}
	accept := nftables.ChainPolicyAccept
	switch name {
	case "gate":
		c.Hooknum, c.Priority = nftables.ChainHookPrerouting, nftables.ChainPriorityRef(gatePriority)
	case "awayfwd":
		c.Hooknum, c.Priority = nftables.ChainHookForward, nftables.ChainPriorityRef(awayPriority)
	case "awayout":
		c.Hooknum, c.Priority = nftables.ChainHookOutput, nftables.ChainPriorityRef(awayPriority)
	default:
		return c
	}
	c.Type, c.Policy = nftables.ChainTypeFilter, &accept
	return c
}
