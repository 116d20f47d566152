package filter

import (
	"bytes"
	"net/netip"
	"slices"
)

// matchNative gives a line to a filter of native patterns: the first that matches and names a
// readable address, or none at all, decides.
func (m *Matcher) matchNative(flt *Filter, p *place, hits []uint64, line *Line, subject []byte, times int) {
	// What is left of a cut line may end in words that the client chose, at the place it chose.
	whole := !line.Cut && (flt.spec.Cut == 0 || len(subject) < flt.spec.Cut)
	end := p.first + p.n
	for b := nextBit(hits, p.first, end); b < end; b = nextBit(hits, b+1, end) {
		i := b - p.first
		rule := &flt.rules[i]
		if !whole && !rule.early || !m.find(rule, subject) {
			continue
		}
		if !facilityFits(flt.spec.Facility, line) || !facilityFits(rule.fac, line) {
			m.stats.Facility++
			return
		}
		var addr netip.Addr
		if raw := m.captured(rule, subject, rule.roles.addr); raw != nil {
			a, ok := parseAddr(raw)
			if !ok && rule.fields != nil {
				a, ok = parseEndpoint(raw)
			}
			if !ok {
				m.stats.Unreadable++
				continue
			}
			addr = a
		}
		attempts := times
		if n := m.captured(rule, subject, rule.roles.count); n != nil && (rule.count == CountEach || rule.count == CountTotal) {
			attempts = min(max(times*number(n), 1), maxRepeated)
		}
		if flt.spec.Join != JoinNone {
			attempts, addr = m.count(p.filter, flt, rule, line, subject, addr, attempts)
		} else if rule.count == CountNone {
			attempts = 0
		}
		if attempts == 0 || !addr.IsValid() {
			return
		}
		match := m.add()
		match.Filter, match.Pattern, match.Kind, match.Proof = p.filter, i, rule.kind, rule.proof
		match.Addr, match.Bits, match.Attempts, match.Lines = addr, -1, attempts, 1
		match.User = m.seen.text(m.captured(rule, subject, rule.roles.user))
		match.Port = portText(m.captured(rule, subject, rule.roles.port))
		from := len(m.fields)
		for _, g := range rule.roles.further {
			if v := m.captured(rule, subject, rule.roles.groups[g]); v != nil {
				m.fields = append(m.fields, Field{rule.roles.names[g], m.seen.text(v)})
			}
		}
		if to := len(m.fields); to > from {
			match.Fields = m.fields[from:to:to]
		}
		return
	}
}

// add adds an empty match to the answer, which is filled where it lies: it is large.
func (m *Matcher) add() *Match {
	m.matches = append(m.matches, Match{})
	return &m.matches[len(m.matches)-1]
}

// find looks for a native pattern.
func (m *Matcher) find(r *rule, subject []byte) bool {
	if r.fields != nil {
		m.stats.Searches++
		return r.fields.match(subject, &m.values)
	}
	return m.search(r.re, subject, &m.caps)
}

// captured returns what a role captured, nil when nothing.
func (m *Matcher) captured(r *rule, subject []byte, groups []int) []byte {
	if r.fields != nil {
		for _, g := range groups {
			if v := m.values.at(g); len(v) > 0 {
				return v
			}
		}
		return nil
	}
	return pick(subject, m.caps, groups)
}

func facilityFits(list []int8, line *Line) bool {
	return len(list) == 0 || line.Facility < 0 || slices.Contains(list, line.Facility)
}

// count joins a line to its connection and returns how many attempts it stands for, and whose: addr,
// which is not valid where the line names none, or what an earlier line of the connection named.
func (m *Matcher) count(f int, flt *Filter, r *rule, line *Line, subject []byte, addr netip.Addr, times int) (int, netip.Addr) {
	port := m.captured(r, subject, r.roles.port)
	id := line.PID
	if own := m.captured(r, subject, r.roles.id); own != nil {
		id = own
	}
	if flt.spec.Join == JoinAddr || len(id) == 0 {
		if !addr.IsValid() || flt.spec.Join == JoinPID && len(port) == 0 {
			return unjoined(r, times, m.captured(r, subject, r.roles.count)), addr
		}
		m.id = addr.AppendTo(m.id[:0])
		if flt.spec.Join == JoinPID {
			m.id = append(append(m.id, ' '), port...)
		}
		id = m.id
	}
	if len(id) > maxIDBytes {
		return unjoined(r, times, nil), addr
	}
	var key idKey
	key.filter, key.source, key.host, key.id = f, line.Source, line.Host, id
	conn := m.ids.get(&key, line.Time)
	// A process id that turns up with another peer is a new connection.
	if conn != nil && (addr.IsValid() && conn.addr.IsValid() && addr != conn.addr ||
		len(port) > 0 && len(conn.port) > 0 && !bytes.Equal(port, conn.port)) {
		m.ids.drop(conn)
		conn = nil
	}
	if conn == nil {
		conn = m.ids.add(&key, line.Time)
	}
	switch {
	case addr.IsValid():
		conn.addr = addr
	case conn.addr.IsValid():
		addr = conn.addr // the connection's first line said who it is
	case r.count != CountNone:
		return 0, addr
	}
	if len(port) > 0 {
		conn.port = append(conn.port[:0], port...)
	}
	n := conn.advance(r, times, number(m.captured(r, subject, r.roles.count)))
	m.ids.touch(conn, conn.attempts == 0 && !conn.success)
	return n, addr
}

// unjoined is the count of a line whose connection cannot be told.
func unjoined(r *rule, times int, more []byte) int {
	switch {
	case r.kind == Success:
		return 1
	case r.count == CountNone || r.count == CountClose:
		return 0
	case r.count == CountMore:
		return number(more)
	}
	return times
}

// advance tells a connection of its next line and returns the attempts that the line adds.
func (c *connection) advance(r *rule, times, more int) int {
	if r.kind == Success {
		c.success = true
		c.started = false
		return 1
	}
	known := c.started || c.attempts > 0 || c.tried
	n := 0
	switch r.count {
	case CountEach:
		switch {
		case c.started && r.step > c.step:
			n = times - 1
		default:
			n = times
		}
		c.started, c.step = true, r.step
	case CountFirst:
		if c.attempts == 0 && !c.success {
			n = times
		}
	case CountClose:
		if c.tried && c.attempts == 0 && !c.success {
			n = 1
		}
	case CountNone:
		c.tried = true
	case CountTotal:
		n = max(times-c.attempts, 0)
		c.attempts, c.started, c.tried = 0, false, false
		return min(n, maxRepeated)
	case CountMore:
		switch {
		case c.success:
		case known:
			n = max(more+1-c.attempts, 0)
		default:
			n = more
		}
	}
	n = min(n, maxRepeated)
	c.attempts += n
	return n
}
