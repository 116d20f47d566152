package receiver

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// pending holds the connections that are not identified yet. Waiting ones cost memory alone
// and are bounded in number: the oldest of the prefix that holds most goes first, so that a
// newcomer always gets its chance. Those that compute are bounded in all and by prefix; a
// handshake that waits for its peer does not count, so stalled ones block nobody.
type pending struct {
	max, perPrefix int
	slots          chan struct{} // capacity: handshakes computed on at once; full: they wait

	mu     sync.Mutex
	count  int
	groups map[netip.Prefix]*group
}

// group is the pending connections of one prefix, oldest first.
type group struct {
	prefix netip.Prefix
	conns  []*conn
	slots  chan struct{} // capacity: handshakes of the prefix computed on at once; full: they wait
}

func newPending(limit, handshakes, perPrefix int) *pending {
	return &pending{
		max: limit, perPrefix: perPrefix,
		slots:  make(chan struct{}, handshakes),
		groups: make(map[netip.Prefix]*group),
	}
}

// crowd is the prefix that unidentified peers are counted by: IPv4 /24, IPv6 /56.
func crowd(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 56
	}
	p, _ := a.Prefix(bits) // the zero prefix for the zero address
	return p
}

// enter takes c in and evicts another if there is no place.
func (p *pending) enter(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count >= p.max {
		var heaviest *group
		for _, g := range p.groups {
			if heaviest == nil || len(g.conns) > len(heaviest.conns) {
				heaviest = g
			}
		}
		victim := heaviest.conns[0]
		p.removeLocked(victim)
		victim.evict()
	}
	prefix := crowd(c.peer.Addr.Addr())
	g := p.groups[prefix]
	if g == nil {
		g = &group{prefix: prefix, slots: make(chan struct{}, p.perPrefix)}
		p.groups[prefix] = g
	}
	g.conns = append(g.conns, c)
	c.group = g
	p.count++
}

// leave lets c go; it may be gone already.
func (p *pending) leave(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(c)
}

func (p *pending) removeLocked(c *conn) {
	g := c.group
	i := slices.Index(g.conns, c)
	if i < 0 {
		return
	}
	g.conns = slices.Delete(g.conns, i, i+1)
	p.count--
	if len(g.conns) == 0 {
		delete(p.groups, g.prefix)
	}
}

// gate is one handshake's place among those that compute, and its patience with the peer.
type gate struct {
	ctx      context.Context //nolint:containedctx // of the one handshake that owns this
	all, own chan struct{}
	held     bool
	left     time.Duration // that may still be spent waiting for the peer
}

// acquire waits for a place. Holders never wait for their peer, so this ends; it does not
// count against the peer, lest a crowd that reconnects at once be sent away to come again.
func (g *gate) acquire() error {
	select {
	case g.own <- struct{}{}:
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
	select {
	case g.all <- struct{}{}:
	case <-g.ctx.Done():
		<-g.own
		return g.ctx.Err()
	}
	g.held = true
	return nil
}

func (g *gate) release() {
	if !g.held {
		return
	}
	g.held = false
	<-g.all
	<-g.own
}

// read waits for the peer without a place.
func (g *gate) read(c net.Conn, p []byte) (int, error) {
	g.release()
	began := time.Now()
	if err := c.SetReadDeadline(began.Add(g.left)); err != nil {
		return 0, err
	}
	n, err := c.Read(p)
	g.left -= time.Since(began)
	if err != nil {
		return n, err
	}
	return n, g.acquire()
}
