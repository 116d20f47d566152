package host

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Protected is a prefix that must not be banned.
type Protected struct {
	Prefix netip.Prefix // masked, IPv4 never in IPv6 clothes, no zone
	Why    string       // "resolver", "login session": for reports
	List   string       // the Key of the list it stands in; empty: the host itself needs it
}

// List is a list of the operator: addresses, prefixes, file:PATH and DNS names.
type List struct {
	Key     string   // such as never_ban or jails[2].ignoreip
	Entries []string // as in the configuration; what cannot be read is left out and logged
}

// Options say what to watch.
type Options struct {
	// Root is the folder that stands for / when the host's own files are read; empty: /. The
	// files of lists are read as they are named.
	Root string
	// Changed gets all that is protected, sorted by prefix: before the watcher is ready, and
	// after each change. It is called by one goroutine at a time and owns the slice.
	Changed func([]Protected)
	Log     *slog.Logger // nil: nowhere

	now    func() time.Time                                             // nil: time.Now
	lookup func(ctx context.Context, name string) ([]netip.Addr, error) // nil: the system's resolver
	every  time.Duration                                                // 0: pollEvery
}

const (
	// pollEvery leaves time for a change of a list's file to be in force within a second of its being
	// written. While no list has a file, twice as long is enough.
	pollEvery = 500 * time.Millisecond
	// maxProtected bounds what one finder may return.
	maxProtected = 4096
)

// How long something stays protected that is no longer seen.
const (
	lingerSession = 10 * time.Minute
	lingerVPN     = 10 * time.Minute
	lingerNTP     = 24 * time.Hour // a server is asked once in half an hour, by a socket that lives for moments
)

// Watcher watches this host. It is a task: Run works until its context is done.
type Watcher struct {
	o     Options
	fs    root
	ready chan struct{}
	names *names
	procs processes
	utmp  logins
	peers *timePeers

	mu       sync.Mutex
	lists    []List // guarded by mu
	replaced uint64 // guarded by mu: how often lists was

	// The rest belongs to the goroutine of Run.
	groups   []*group
	files    map[string]*listFile
	warned   map[string]string
	lingers  map[Protected]time.Time // until when
	last     []Protected
	reported bool
	needed   []Protected // what the host itself needs, at the last look
	inLists  []Protected // what lists hold
	versions versions    // of inLists
	filed    uint64      // how often the file of a list was read
}

// New returns a watcher that does nothing yet.
func New(o Options) *Watcher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.every == 0 {
		o.every = pollEvery
	}
	o.Log = o.Log.With("component", "host")
	w := &Watcher{
		o: o, fs: root(o.Root), ready: make(chan struct{}), names: newNames(o),
		files: map[string]*listFile{}, warned: map[string]string{}, lingers: map[Protected]time.Time{},
	}
	w.procs.fs, w.procs.loadavg.path = w.fs, w.fs.path("/proc/loadavg")
	w.utmp.fs, w.peers = w.fs, newTimePeers(w.fs)
	w.groups = []*group{
		newGroup(w.fs, resolverFiles, 0, readResolvers),
		newGroup(w.fs, ntpFiles, 0, readNTP),
		newGroup(w.fs, vpnFiles, 0, readVPN),
		newGroup(w.fs, sessionFiles, lingerSession, readSession),
	}
	return w
}

// String names the task.
func (w *Watcher) String() string { return "host watcher" }

// Ready is closed when what is protected now was reported; names may still be looked up.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// SetLists replaces the operator's lists. It is in force within a second; the answers of names
// that stay are kept. It may be called before and during Run.
func (w *Watcher) SetLists(lists []List) {
	w.mu.Lock()
	w.lists = slices.Clone(lists)
	w.replaced++
	w.mu.Unlock()
	defer hint(w.names.changed)
	var all []string
	for _, l := range lists {
		names, _ := SplitNames(l.Entries)
		all = append(all, names...)
	}
	w.names.set(all)
}

// Run watches until ctx is done, then returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { w.names.run(ctx) })
	defer w.procs.loadavg.close()
	defer w.peers.close()
	w.past()
	w.look()
	close(w.ready)
	tick := time.NewTimer(untilNext(w.pace()))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-w.names.changed:
		}
		w.look()
		tick.Reset(untilNext(w.pace()))
	}
}

// pace is how often to look.
func (w *Watcher) pace() time.Duration {
	if len(w.files) > 0 {
		return w.o.every
	}
	return 2 * w.o.every
}

// look finds everything once and reports it if it changed.
func (w *Watcher) look() {
	now := w.o.now()
	seen := map[Protected]bool{}
	add := func(list []Protected, linger time.Duration) {
		for i, p := range list {
			if i == maxProtected {
				break
			}
			seen[p] = true
			if linger > 0 {
				w.lingers[p] = now.Add(linger)
			}
		}
	}
	for _, g := range w.groups {
		add(g.look(now), g.linger)
	}
	add(w.utmp.look(now), lingerSession)
	add(w.peers.look(now), lingerNTP)
	sessions, vpn := w.procs.look(now)
	add(sessions, lingerSession)
	add(vpn, lingerVPN)
	for p, until := range w.lingers {
		if now.Before(until) {
			seen[p] = true
		} else {
			delete(w.lingers, p)
		}
	}
	needed := w.own(seen)
	listed, changed := w.listed(now)
	if !changed && slices.Equal(needed, w.needed) {
		return // lists may be long
	}
	w.needed = needed
	w.report(slices.Concat(needed, listed))
}

// own makes a list of what the host needs, one reason a prefix.
func (w *Watcher) own(seen map[Protected]bool) []Protected {
	byPrefix := map[netip.Prefix]Protected{}
	for p := range seen {
		if q, ok := byPrefix[p.Prefix]; !ok || p.Why < q.Why {
			byPrefix[p.Prefix] = p
		}
	}
	list := make([]Protected, 0, len(byPrefix))
	for _, p := range byPrefix {
		list = append(list, p)
	}
	slices.SortFunc(list, compare)
	return list
}

func compare(a, b Protected) int {
	return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.List, b.List), cmp.Compare(a.Why, b.Why))
}

func (w *Watcher) report(list []Protected) {
	slices.SortFunc(list, compare)
	list = slices.Compact(list)
	if w.reported && slices.Equal(list, w.last) {
		return
	}
	w.last, w.reported = slices.Clone(list), true
	w.o.Changed(list)
}

// warn logs a fault once, until it changes.
func (w *Watcher) warn(about, fault string) {
	if w.warned[about] == fault {
		return
	}
	w.warned[about] = fault
	if fault != "" {
		w.o.Log.Warn("part of a list cannot be used", "list", about, "err", fault)
	}
}

// single is the protection of one address; false when it is none that could be banned.
func single(a netip.Addr, why string) (Protected, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() {
		return Protected{}, false
	}
	return Protected{Prefix: netip.PrefixFrom(a, a.BitLen()), Why: why}, true
}

// appendText adds the address that text holds, if it holds one.
func appendText(list []Protected, text, why string) []Protected {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return list
	}
	if p, ok := single(a, why); ok && len(list) < maxProtected {
		list = append(list, p)
	}
	return list
}

// untilNext is how long it is until the wall clock shows a multiple of every. The other parts of the
// daemon look at such times, too, so that an idle processor wakes once.
func untilNext(every time.Duration) time.Duration {
	return every - time.Duration(time.Now().UnixNano())%every
}
