package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"stockade/firewall"
)

// ErrOwned says that another running process owns the table.
var ErrOwned = errors.New("the table has another owner")

// errClosed is the error of every call after Close.
var errClosed = errors.New("nftables: closed")

// Options says how Open works.
type Options struct {
	// Config is the checked configuration.
	Config firewall.Config
	// Log gets what an operator must know. nil: nothing is logged.
	Log *slog.Logger
	// NetNS is a descriptor of the network namespace to work in, 0 for the process's own. It must
	// stay open as long as the Enforcer.
	NetNS int
	// SetSize bounds each set of elements; 0 bounds none. What is over it gets firewall.ErrFull.
	SetSize uint32
}

// Enforcer is the firewall.Enforcer for nftables. All its methods may be called concurrently; they take turns.
type Enforcer struct {
	config  firewall.Config
	log     *slog.Logger
	netns   int
	setSize uint32
	table   *nftables.Table

	mu       sync.Mutex
	closed   bool
	lib      *nftables.Conn // writes through the socket of writer
	writer   *link
	reader   *link
	port     uint32  // of the writer's socket
	spare    []*link // sockets that were borrowed, to be used again
	asked    asked
	owned    bool // the table belongs to the writer's socket
	sets     map[setID]bool
	nets     map[setID]*netSet
	never    []netip.Prefix
	filled   map[setID]time.Time                // when each was last written to
	samples  map[setID]map[netip.Addr]time.Time // some elements and their ends
	repaired []string                           // what was found missing outside of Watch

	generation uint32     // of the ruleset after our last transaction
	own        [64]uint32 // generations that we made, each at its number modulo the length
	flowtable  bool       // some table has one
	disturbed  bool       // others have made transactions before that

	now  func() time.Time
	sent func(error) error // what commit answered, as a test wants it heard
}

// Open makes the table, or takes over the one that is there with the elements it holds, and
// brings chains and rules up to date in one transaction. The error is firewall.ErrCapability
// without CAP_NET_ADMIN in the namespace, ErrOwned when another process has the table and keeps it
// for a second.
func Open(o Options) (*Enforcer, error) {
	e := newEnforcer(o)
	if err := e.dial(); err != nil {
		return nil, err
	}
	err := e.takeOver()
	for end := time.Now().Add(ownerPatience); errors.Is(err, ErrOwned) && time.Now().Before(end); err = e.takeOver() {
		time.Sleep(ownerPause)
	}
	if err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

const (
	// ownerPatience is how long Open waits for another owner to go: a socket that was closed lives on
	// in a child that its process was starting just then, until that child has its own program.
	ownerPatience = time.Second
	ownerPause    = 10 * time.Millisecond
)

// newEnforcer makes an Enforcer without its sockets.
func newEnforcer(o Options) *Enforcer {
	e := &Enforcer{
		config: o.Config, log: o.Log, netns: o.NetNS, setSize: o.SetSize,
		table: &nftables.Table{Family: nftables.TableFamilyINet, Name: o.Config.Table},
		sets:  make(map[setID]bool), nets: make(map[setID]*netSet),
		filled: make(map[setID]time.Time), samples: make(map[setID]map[netip.Addr]time.Time),
		now: time.Now, sent: func(err error) error { return err },
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.log = e.log.With("component", "nft")
	for k := range kinds {
		e.sets[setID{kind: k}] = true
	}
	return e
}

// Available says why nftables cannot be used by this process, as an error that is
// firewall.ErrCapability where it is not permitted.
func Available() error {
	l, err := dial(0)
	if err != nil {
		return permission(err)
	}
	defer func() { _ = l.close() }()
	_, err = generation(l)
	return err
}

func (e *Enforcer) dial() error {
	var err error
	if e.reader, err = dial(e.netns); err != nil {
		return permission(err)
	}
	capture := func(c *netlink.Conn) error {
		if e.writer, err = newLink(c); err == nil {
			e.port, err = e.writer.port()
		}
		return err
	}
	e.lib, err = nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(e.netns), nftables.WithSockOptions(capture))
	if err != nil {
		_ = e.reader.close()
		return permission(fmt.Errorf("open a netlink socket: %w", err))
	}
	return nil
}

// takeOver makes the table what it must be, keeping what is in it.
func (e *Enforcer) takeOver() error {
	var err error
	if e.generation, err = generation(e.reader); err != nil {
		return err
	}
	if err := e.ensureTable(); err != nil {
		return err
	}
	have, err := listSets(e.reader, e.config.Table)
	if err != nil {
		return fmt.Errorf("list the sets of table inet %s: %w", e.config.Table, err)
	}
	for _, f := range have {
		if id, ok := parseSet(f.name, f.comment); ok {
			e.sets[id] = true
		}
	}
	if e.config.Owner == "auto" && !e.owned {
		e.log.Info("others may change our table, which is repaired then",
			"hint", "the kernel is older than 6.9, or the table was made without owner: stockade firewall remove, then start again")
	}
	if err := e.structure(); err != nil {
		return err
	}
	if err := e.findFlowtables(); err != nil {
		return err
	}
	if err := e.adoptNets(); err != nil {
		return err
	}
	return e.adoptNever()
}

// Name is "nftables".
func (e *Enforcer) Name() string { return firewall.BackendNFTables }

// Owned says whether the kernel refuses changes of the table by others while the Enforcer is open.
func (e *Enforcer) Owned() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.owned
}

// Close closes the sockets. What is enforced stays. It may be called again.
func (e *Enforcer) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	err := errors.Join(e.lib.CloseLasting(), e.reader.close())
	for _, l := range e.spare {
		err = errors.Join(err, l.close())
	}
	e.spare = nil
	return err
}

// borrow gives a socket that belongs to the caller until giveBack.
func (e *Enforcer) borrow() (*link, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if n := len(e.spare) - 1; n >= 0 {
		l := e.spare[n]
		e.spare = e.spare[:n]
		return l, nil
	}
	l, err := dial(e.netns)
	return l, permission(err)
}

// giveBack keeps a borrowed socket, whose requests were answered in full, for others.
func (e *Enforcer) giveBack(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.spare) >= reconcileWorkers {
		_ = l.close()
		return
	}
	e.spare = append(e.spare, l)
}

// setList is the sets that hold elements, in the order of their rules.
func (e *Enforcer) setList() []setID { return slices.SortedFunc(maps.Keys(e.sets), inOrder) }

// RemoveAll deletes our table with all bans, and closes the Enforcer. It is for taking Stockade
// off a host; Close alone leaves the bans in force.
func (e *Enforcer) RemoveAll(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return errClosed
	}
	err := deleteTable(e.writer, e.config.Table)
	e.mu.Unlock()
	if err != nil {
		return fmt.Errorf("delete table inet %s: %w", e.config.Table, err)
	}
	return e.Close()
}
