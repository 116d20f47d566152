package filter

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"time"
)

// Bounds of the memory of ids.
const (
	maxIDsPerHost = 1000            // of one filter, source and host
	maxIDs        = 20_000          // of one Matcher: some 40 MiB at worst
	idLife        = 5 * time.Minute // since the first line of the id
	maxIDBytes    = 256             // longer ids join nothing
	maxUsers      = 16              // of one id; who comes later is not kept
	fewSlots      = 64              // of the table in the beginning; a power of two
	slotsPerID    = 4               // at least: a new id mostly finds its slot empty, and looks at no other id
)

// idKey says whose id it is. The bytes are borrowed: what is kept of them is a copy.
type idKey struct {
	filter int
	source string
	host   []byte
	id     []byte

	of   *hostIDs // found by get: the host's record, if it has one, and the id's hash there
	hash uint64
}

type hostKey struct {
	filter       int
	source, host string
}

// connection is what is remembered of one id. Regular expression filters use fields and what
// follows them, native ones the rest. The memory of one that is dropped serves the next, so that a
// stream of ids allocates nothing.
type connection struct {
	id      []byte
	hash    uint64
	next    *connection // in its slot of the table, or among the free ones
	since   time.Time
	known   bool // it is in the cache
	pending bool // it still waits: for its address, or for its end
	host    *hostIDs
	links   [2]links // in the lists of its host and of the cache

	fields  []Field
	users   []string
	nofail  bool
	gained  bool
	waiting bool // a failure whose address is not known yet
	lines   int  // matched lines not yet reported
	early   int  // lines that were no failure by themselves

	addr     netip.Addr // not valid until a line names it
	port     []byte
	step     uint8
	started  bool // a CountEach line was seen
	tried    bool // a CountNone line was seen
	attempts int
	success  bool
}

type links struct{ prev, next *connection }

// The lists that a connection is in, by their links.
const (
	ofHost = iota
	ofAll
)

// idList is a list of connections by one of their links, the longest unused first.
type idList struct{ first, last *connection }

func (l *idList) push(conn *connection, link int) {
	conn.links[link] = links{prev: l.last}
	if l.last != nil {
		l.last.links[link].next = conn
	} else {
		l.first = conn
	}
	l.last = conn
}

func (l *idList) remove(conn *connection, link int) {
	at := conn.links[link]
	if at.prev != nil {
		at.prev.links[link].next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		at.next.links[link].prev = at.prev
	} else {
		l.last = at.prev
	}
	conn.links[link] = links{}
}

// waits are two lists: of those that wait and of the others.
type waits struct{ done, pending idList }

func (w *waits) of(pending bool) *idList {
	if pending {
		return &w.pending
	}
	return &w.done
}

// hostIDs are the ids of one filter, source and host.
type hostIDs struct {
	key  hostKey
	salt uint64 // of the hashes of its ids
	n    int
	waits
}

// idCache keeps connections by id, bounded per host and over all. When there is no room the
// longest unused id goes, those that wait last.
type idCache struct {
	perHost, total int
	seed           maphash.Seed
	table          []*connection // by hash, those of one slot by next; its length is a power of two
	n              int
	hosts          map[hostKey]*hostIDs
	last           *hostIDs    // the host of the last line
	free           *connection // dropped ones, by next
	waits
	evicted        uint64
	evictedPending uint64
}

func newIDCache(total, perHost int) *idCache {
	return &idCache{
		perHost: perHost, total: total, seed: maphash.MakeSeed(),
		table: make([]*connection, fewSlots), hosts: map[hostKey]*hostIDs{},
	}
}

// hostOf returns the record of a key's host, nil when it has none.
func (c *idCache) hostOf(key *idKey) *hostIDs {
	h := c.last
	if h != nil && h.key.filter == key.filter && h.key.source == key.source && h.key.host == string(key.host) {
		return h
	}
	if h = c.hosts[hostKey{key.filter, key.source, string(key.host)}]; h != nil {
		c.last = h
	}
	return h
}

func (c *idCache) hash(h *hostIDs, id []byte) uint64 { return maphash.Bytes(c.seed, id) ^ h.salt }

// slot is where the connections of a hash begin.
func (c *idCache) slot(hash uint64) **connection { return &c.table[hash&uint64(len(c.table)-1)] }

// grow doubles the table.
func (c *idCache) grow() {
	old := c.table
	c.table = make([]*connection, 2*len(old))
	for _, conn := range old {
		for conn != nil {
			next, at := conn.next, c.slot(conn.hash)
			conn.next, *at = *at, conn
			conn = next
		}
	}
}

// get returns the connection of the id, or nil when none is known or it is too old at now.
func (c *idCache) get(key *idKey, now time.Time) *connection {
	h := c.hostOf(key)
	if h == nil {
		return nil
	}
	key.of, key.hash = h, c.hash(h, key.id)
	for conn := *c.slot(key.hash); conn != nil; conn = conn.next {
		if conn.hash != key.hash || conn.host != h || !bytes.Equal(conn.id, key.id) {
			continue
		}
		if now.Sub(conn.since) > idLife {
			c.drop(conn)
			return nil
		}
		return conn
	}
	return nil
}

// add stores a new connection, which must not be known yet.
func (c *idCache) add(key *idKey, now time.Time) *connection {
	h, hash := key.of, key.hash
	if h == nil {
		if h = c.hostOf(key); h == nil {
			own := hostKey{key.filter, key.source, string(key.host)}
			h = &hostIDs{key: own, salt: maphash.Comparable(c.seed, own)}
		}
		hash = c.hash(h, key.id)
	}
	if h.n >= c.perHost {
		c.evict(&h.waits)
	}
	if c.n >= c.total {
		c.evict(&c.waits)
	}
	if h.n == 0 { // new, or the eviction has emptied it
		c.hosts[h.key] = h
	}
	c.last = h
	conn := c.free
	if conn == nil {
		conn = &connection{}
	} else {
		c.free = conn.next
	}
	if slotsPerID*c.n >= len(c.table) {
		c.grow()
	}
	id, port := append(conn.id[:0], key.id...), conn.port[:0]
	*conn = connection{}
	conn.id, conn.port, conn.hash, conn.since, conn.known, conn.host = id, port, hash, now, true, h
	at := c.slot(hash)
	conn.next, *at = *at, conn
	c.n++
	h.n++
	h.done.push(conn, ofHost)
	c.done.push(conn, ofAll)
	return conn
}

// touch records that the connection was used, and whether it waits.
func (c *idCache) touch(conn *connection, pending bool) {
	if !conn.known || conn.pending == pending && conn.links[ofHost].next == nil && conn.links[ofAll].next == nil {
		return // it is the last one already
	}
	c.unlink(conn)
	conn.pending = pending
	conn.host.of(pending).push(conn, ofHost)
	c.of(pending).push(conn, ofAll)
}

func (c *idCache) unlink(conn *connection) {
	conn.host.of(conn.pending).remove(conn, ofHost)
	c.of(conn.pending).remove(conn, ofAll)
}

// drop forgets a connection. It may still be read until the next one is added.
func (c *idCache) drop(conn *connection) {
	if !conn.known {
		return
	}
	c.unlink(conn)
	conn.known = false
	at := c.slot(conn.hash)
	for *at != conn {
		at = &(*at).next
	}
	*at = conn.next
	c.n--
	if conn.host.n--; conn.host.n == 0 {
		delete(c.hosts, conn.host.key)
		if c.last == conn.host {
			c.last = nil
		}
	}
	conn.next, c.free = c.free, conn
}

func (c *idCache) evict(w *waits) {
	conn := w.done.first
	if conn == nil {
		conn = w.pending.first
		c.evictedPending++
	}
	c.evicted++
	c.drop(conn)
}
