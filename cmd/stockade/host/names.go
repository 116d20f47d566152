package host

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Limits of the look-ups.
const (
	maxNames       = 256 // of all lists together; further ones are not looked up
	maxAnswers     = 64  // addresses of one name
	lookupTimeout  = 5 * time.Second
	refreshAnswers = 5 * time.Minute
	retryLookup    = 30 * time.Second
)

// names looks up the DNS names of the lists in the background. It asks nothing while there are
// none.
type names struct {
	o       Options
	changed chan struct{} // capacity 1: a hint that an answer changed
	poke    chan struct{} // capacity 1: a hint that the names changed

	mu      sync.Mutex
	list    map[string]*name
	version uint64 // counts changes of answers
}

// name is one name with its last good answer.
type name struct {
	addrs []netip.Addr
	due   time.Time // when it is looked up next
	fault string    // why the last look-up failed; empty: it did not
}

func newNames(o Options) *names {
	n := &names{o: o, changed: make(chan struct{}, 1), poke: make(chan struct{}, 1), list: map[string]*name{}}
	if n.o.lookup == nil {
		n.o.lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name+".") // absolute: no search domains
		}
	}
	return n
}

// set replaces the names; those that stay keep their answers.
func (n *names) set(all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := map[string]*name{}
	for _, s := range all {
		if len(next) >= maxNames {
			n.o.Log.Warn("too many names in the lists; the rest is not looked up", "limit", maxNames)
			break
		}
		if next[s] = n.list[s]; next[s] == nil {
			next[s] = &name{}
		}
	}
	n.list = next
	hint(n.poke)
}

func hint(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// answer returns the last good answer of a name. The slice must not be changed.
func (n *names) answer(s string) []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.list[s]; e != nil {
		return e.addrs
	}
	return nil
}

// answered counts the changes of answers.
func (n *names) answered() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.version
}

// run looks names up until ctx is done, one after the other.
func (n *names) run(ctx context.Context) {
	for ctx.Err() == nil {
		s, wait, any := n.next()
		if s != "" {
			n.refresh(ctx, s)
			continue
		}
		timer := time.NewTimer(wait)
		alarm := timer.C
		if !any {
			alarm = nil // nothing to do until there are names
		}
		select {
		case <-ctx.Done():
		case <-n.poke:
		case <-alarm:
		}
		timer.Stop()
	}
}

// next returns a name whose time has come, or how long to wait for one.
func (n *names) next() (s string, wait time.Duration, any bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.o.now()
	wait = refreshAnswers
	for key, e := range n.list {
		left := e.due.Sub(now)
		if left <= 0 || left > refreshAnswers { // the clock was set back
			return key, 0, true
		}
		wait = min(wait, left)
	}
	return "", wait, len(n.list) > 0
}

func (n *names) refresh(ctx context.Context, s string) {
	bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
	addrs, err := n.o.lookup(bounded, s)
	cancel()
	if ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.list[s]
	if e == nil {
		return
	}
	if err != nil || len(addrs) == 0 {
		e.due = n.o.now().Add(retryLookup)
		fault := "no address"
		if err != nil {
			fault = err.Error()
		}
		if e.fault == "" {
			n.o.Log.Warn("a name of a list cannot be looked up; its last answer stays", "name", s, "addresses", len(e.addrs), "err", fault)
		}
		e.fault = fault
		return
	}
	e.due, e.fault = n.o.now().Add(refreshAnswers), ""
	addrs = slices.Clone(addrs[:min(len(addrs), maxAnswers)])
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	if !slices.Equal(addrs, e.addrs) {
		e.addrs = addrs
		n.version++
		hint(n.changed)
	}
}
