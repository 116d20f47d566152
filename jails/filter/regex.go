package filter

import (
	"net/netip"
	"slices"
)

// matchLines gives a line to a filter that remembers the last MaxLines lines.
func (m *Matcher) matchLines(f int, line *Line, subject []byte) {
	flt := m.set.filters[f]
	// The conversions in the key allocate, as the memory of lines does anyway.
	key := ringKey{f, line.Source, string(line.Host), string(line.App)}
	r, joined := m.rings.push(key, subject, flt.maxLines)
	m.regex(f, flt, nil, line, joined, r)
}

// matchRegex gives a line to a filter of regular expressions without memory of lines.
func (m *Matcher) matchRegex(f int, flt *Filter, p *place, hits []uint64, line *Line, subject []byte) {
	m.regex(f, flt, &candidates{hits, p.first}, line, subject, nil)
}

// candidates says which patterns of a filter the scan left over; nil: all of them.
type candidates struct {
	hits  []uint64
	first int
}

func (c *candidates) has(i int) bool { return c == nil || bit(c.hits, c.first+i) }

func (m *Matcher) regex(f int, flt *Filter, cand *candidates, line *Line, subject []byte, r *ring) {
	if flt.ignore1 && m.ignored(flt, subject) {
		m.stats.Ignored++
		return
	}
	text := subject
	if flt.pref != nil {
		if !m.search(flt.pref.re, subject, &m.pcaps) {
			return
		}
		if content := pick(subject, m.pcaps, flt.pref.roles.content); len(content) > 0 {
			text = content
		}
	}
	for i := range flt.rules {
		rule := &flt.rules[i]
		if !cand.has(i) || !m.search(rule.re, text, &m.caps) {
			continue
		}
		lines := 1
		if r != nil {
			lo, hi := m.caps[0], m.caps[1]
			if flt.pref != nil {
				// The match is inside the content: lines are told apart in the whole.
				lo, hi = m.pcaps[0], m.pcaps[1]
			}
			if m.ignored(flt, m.rings.matched(lo, hi)) {
				m.stats.Ignored++
				m.rings.take(r, lo, hi, rule.roles.skipLines, m.caps)
				return
			}
			lines = m.rings.take(r, lo, hi, rule.roles.skipLines, m.caps)
		} else if !flt.ignore1 && m.ignored(flt, m.ignoreText(flt, line, subject, text)) {
			m.stats.Ignored++
			return
		}
		m.report(f, flt, i, line, subject, text, max(lines, 1))
		return
	}
}

// matched returns the lines that overlap the bytes lo to hi of the joined text.
func (c *ringCache) matched(lo, hi int) []byte {
	from, to, start := -1, 0, 0
	for _, end := range c.ends {
		if start < hi && end > lo {
			if from < 0 {
				from = start
			}
			to = end
		}
		start = end + 1
	}
	if from < 0 {
		return nil
	}
	return c.text[from:to]
}

// ignoreText is what an ignoreregex sees: the content where the prefix captures one, else the
// line as it was.
func (m *Matcher) ignoreText(flt *Filter, line *Line, subject, content []byte) []byte {
	if len(flt.ignore) == 0 || flt.content {
		return content
	}
	if form := flt.spec.Form; form != nil && form.Original != nil {
		m.original = form.Original(m.original[:0], line)
		return m.original
	}
	return subject
}

func (m *Matcher) ignored(flt *Filter, text []byte) bool {
	for _, re := range flt.ignore {
		if m.search(re, text, &m.icaps) {
			return true
		}
	}
	return false
}

// report turns the captures of a hit into a Match, by way of the id's memory where there is one.
func (m *Matcher) report(f int, flt *Filter, i int, line *Line, whole, content []byte, lines int) {
	rule := &flt.rules[i]
	fields := make([]Field, 0, 8)
	if flt.pref != nil {
		fields = collect(fields, &flt.pref.roles, whole, m.pcaps)
	}
	fields = collect(fields, &rule.roles, content, m.caps)
	match := Match{
		Filter: f, Pattern: i, Kind: rule.kind, Bits: -1, Attempts: 1, Lines: lines, Proof: rule.proof,
	}
	id := value(fields, "mlfid")
	if id == "" {
		if m.identify(&match, flt, fields) {
			m.finish(&match, fields)
		}
		return
	}
	var conn *connection
	fields, conn, match.Lines = m.join(f, line, id, fields, lines)
	if conn != nil {
		match.Users = slices.Clone(conn.users)
	}
	if value(fields, "nofail") != "" {
		return
	}
	if value(fields, "ip4")+value(fields, "ip6")+value(fields, "dns")+value(fields, "fid") == "" {
		// A failure by somebody who is not known yet: a later line of the id may say.
		if conn != nil {
			conn.waiting = true
			m.ids.touch(conn, true)
		}
		return
	}
	if m.identify(&match, flt, fields) {
		m.finish(&match, fields)
	}
}

// collect adds the named captures to fields; a capture replaces an earlier one of its name.
func collect(fields []Field, r *roles, subject []byte, caps []int) []Field {
	for i, name := range r.names {
		v, present := first(subject, caps, r.groups[i])
		if present {
			fields = setField(fields, name, text(v))
		}
	}
	return fields
}

// first returns the first non-empty capture, else an empty one if any took part.
func first(subject []byte, caps []int, groups []int) ([]byte, bool) {
	present := false
	for _, g := range groups {
		if lo, hi := caps[2*g], caps[2*g+1]; lo >= 0 {
			if hi > lo {
				return subject[lo:hi], true
			}
			present = true
		}
	}
	return nil, present
}

func setField(fields []Field, name, v string) []Field {
	for i := range fields {
		if fields[i].Name == name {
			fields[i].Value = v
			return fields
		}
	}
	return append(fields, Field{name, v})
}

func value(fields []Field, name string) string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Value
		}
	}
	return ""
}

func clearField(fields []Field, name string) []Field {
	return slices.DeleteFunc(fields, func(f Field) bool { return f.Name == name })
}

// join merges a hit into the memory of its id and returns the merged fields, the connection if it
// is still remembered, and the number of lines that the failure is made of.
func (m *Matcher) join(f int, line *Line, id string, fields []Field, lines int) ([]Field, *connection, int) {
	gained := value(fields, "mlfgained") != ""
	if gained && value(fields, "nofail") == "" {
		fields = setField(fields, "nofail", value(fields, "mlfgained"))
	}
	nofail := gained || value(fields, "nofail") != ""
	forget := value(fields, "mlfforget") != ""
	fields = clearField(clearField(fields, "mlfforget"), "content")
	user := value(fields, "user")
	if len(id) > maxIDBytes {
		return fields, nil, lines
	}
	key := idKey{filter: f, source: line.Source, host: line.Host, id: []byte(id)}
	conn := m.ids.get(&key, line.Time)
	switch {
	case conn != nil:
		reported := !conn.nofail && !conn.gained
		conn.nofail, conn.gained = false, false
		conn.fields = clearField(clearField(conn.fields, "nofail"), "mlfgained")
		if gained {
			conn.waiting = false
		}
		if reported && !conn.waiting {
			conn.lines = 0
		}
		for _, fl := range fields {
			conn.fields = setField(conn.fields, fl.Name, fl.Value)
		}
		if forget {
			m.ids.drop(conn)
		}
	case forget:
		// The end of something unknown is judged by itself and not remembered.
		conn, user = &connection{fields: fields}, ""
	default:
		conn = m.ids.add(&key, line.Time)
		conn.fields = fields
	}
	if user != "" && !slices.Contains(conn.users, user) && len(conn.users) < maxUsers {
		conn.users = append(conn.users, user)
	}
	if conn.waiting || len(conn.users) > 1 {
		conn.waiting = false
		conn.fields = clearField(clearField(conn.fields, "nofail"), "mlfgained")
		nofail, gained = false, false
	}
	switch {
	case !nofail:
		conn.lines += conn.early
		conn.early = 0
		if !gained {
			conn.lines += lines
		}
	case !forget:
		conn.early += lines
	}
	conn.nofail, conn.gained = nofail, gained
	m.ids.touch(conn, nofail)
	return slices.Clone(conn.fields), conn, conn.lines
}

// identify sets who failed. It reports false when the hit names nobody that can be counted.
func (m *Matcher) identify(match *Match, flt *Filter, fields []Field) bool {
	ip := value(fields, "ip4")
	if ip == "" {
		ip = value(fields, "ip6")
	}
	if ip != "" {
		a, ok := parseAddr([]byte(ip))
		if !ok && flt.spec.Names {
			match.ID = ip
			return true
		}
		if !ok {
			m.stats.Unreadable++
			return false
		}
		match.Addr = a
		if cidr := value(fields, "cidr"); cidr != "" {
			n := number([]byte(cidr))
			if len(cidr) > 3 || n > a.BitLen() {
				m.stats.Unreadable++
				return false
			}
			match.Bits = n
		}
	}
	if fid := value(fields, "fid"); fid != "" && fid != ip {
		if a, err := netip.ParseAddr(fid); err == nil && ip == "" {
			match.Addr = a.WithZone("").Unmap()
		} else {
			match.ID = fid
		}
	}
	if match.Addr.IsValid() || match.ID != "" {
		return true
	}
	if dns := value(fields, "dns"); dns != "" && flt.spec.Names {
		match.ID = dns
		return true
	}
	m.stats.Names++
	return false
}

// finish completes a match and adds it to the answer.
func (m *Matcher) finish(match *Match, fields []Field) {
	for _, f := range fields {
		switch f.Name {
		case "user":
			match.User = f.Value
		case "fport":
			match.Port = f.Value
		case "ip4", "ip6", "cidr", "fid", "content", "nofail", "mlfgained", "mlfid":
		default:
			match.Fields = append(match.Fields, f)
		}
	}
	m.matches = append(m.matches, *match)
}
