package filter

import (
	"container/list"
	"time"
)

// Bounds of the memory of ids.
const (
	maxIDsPerHost = 1000            // of one filter, source and host
	maxIDs        = 20_000          // of one Matcher: some 40 MiB at worst
	idLife        = 5 * time.Minute // since the first line of the id
	maxIDBytes    = 256             // longer ids join nothing
	maxUsers      = 16              // of one id; who comes later is not kept
)

type hostKey struct {
	filter       int
	source, host string
}

type idKey struct {
	hostKey
	id string
}

// connection is what is remembered of one id. Regular expression filters use fields and what
// follows them, native ones the rest.
type connection struct {
	key     idKey
	since   time.Time
	pending bool // it still waits: for its address, or for its end
	inHost  *list.Element
	inAll   *list.Element
	host    *hostIDs

	fields  []Field
	users   []string
	nofail  bool
	gained  bool
	waiting bool // a failure whose address is not known yet
	lines   int  // matched lines not yet reported
	early   int  // lines that were no failure by themselves

	addr     string
	port     string
	step     uint8
	started  bool // a CountEach line was seen
	tried    bool // a CountNone line was seen
	attempts int
	success  bool
}

// hostIDs are the ids of one filter, source and host: those that wait and the others, the
// longest unused first.
type hostIDs struct {
	key     hostKey
	n       int
	done    list.List
	pending list.List
}

// idCache keeps connections by id, bounded per host and over all. When there is no room the
// longest unused id goes, those that wait last.
type idCache struct {
	perHost, total int
	ids            map[idKey]*connection
	hosts          map[hostKey]*hostIDs
	done           list.List
	pending        list.List
	evicted        uint64
	evictedPending uint64
}

func newIDCache(total, perHost int) *idCache {
	return &idCache{
		perHost: perHost, total: total,
		ids: map[idKey]*connection{}, hosts: map[hostKey]*hostIDs{},
	}
}

// get returns the connection of the id, or nil when none is known or it is too old at now.
func (c *idCache) get(key idKey, now time.Time) *connection {
	conn := c.ids[key]
	if conn == nil {
		return nil
	}
	if now.Sub(conn.since) > idLife {
		c.drop(conn)
		return nil
	}
	return conn
}

// add stores a new connection, which must not be known yet.
func (c *idCache) add(key idKey, now time.Time) *connection {
	h := c.hosts[key.hostKey]
	if h == nil {
		h = &hostIDs{key: key.hostKey}
		c.hosts[key.hostKey] = h
	}
	if h.n >= c.perHost {
		c.evict(&h.done, &h.pending)
	}
	if len(c.ids) >= c.total {
		c.evict(&c.done, &c.pending)
	}
	// The eviction may have emptied and dropped the host's record.
	c.hosts[key.hostKey] = h
	conn := &connection{key: key, since: now, host: h}
	h.n++
	c.ids[key] = conn
	conn.inHost, conn.inAll = h.done.PushBack(conn), c.done.PushBack(conn)
	return conn
}

// touch records that the connection was used, and whether it waits.
func (c *idCache) touch(conn *connection, pending bool) {
	if c.ids[conn.key] != conn {
		return
	}
	if conn.pending == pending {
		c.lists(conn, func(l *list.List, e *list.Element) *list.Element { l.MoveToBack(e); return e })
		return
	}
	c.unlink(conn)
	conn.pending = pending
	c.lists(conn, func(l *list.List, _ *list.Element) *list.Element { return l.PushBack(conn) })
}

func (c *idCache) lists(conn *connection, do func(*list.List, *list.Element) *list.Element) {
	host, all := &conn.host.done, &c.done
	if conn.pending {
		host, all = &conn.host.pending, &c.pending
	}
	conn.inHost, conn.inAll = do(host, conn.inHost), do(all, conn.inAll)
}

func (c *idCache) unlink(conn *connection) {
	c.lists(conn, func(l *list.List, e *list.Element) *list.Element { l.Remove(e); return nil })
}

// drop forgets a connection.
func (c *idCache) drop(conn *connection) {
	if c.ids[conn.key] != conn {
		return
	}
	c.unlink(conn)
	delete(c.ids, conn.key)
	if conn.host.n--; conn.host.n == 0 {
		delete(c.hosts, conn.host.key)
	}
}

func (c *idCache) evict(done, pending *list.List) {
	e := done.Front()
	if e == nil {
		e = pending.Front()
		c.evictedPending++
	}
	c.evicted++
	c.drop(e.Value.(*connection))
}
