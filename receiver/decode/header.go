package decode

import "bytes"

// Limits in bytes of what is taken as a header field; longer words are text.
const (
	maxHost = 255 // RFC 5424 section 6
	maxTag  = 255 // senders do not keep to the 32 of RFC 3164

	maxTag3164 = 32  // RFC 3164 section 4.1.3
	maxPID     = 128 // RFC 5424 section 6
)

// header reads "[ HOST] [TAG[PID]:] TEXT" from behind the stamp.
func (m *Message) header(b []byte, p int) {
	if p < len(b) && b[p] == ':' { // Cisco ends its stamp so
		p++
	}
	p = skipSpaces(b, p)
	if m.tag(b, p, true) {
		// "host: %FAC-SEV-MNEMONIC: …" of Cisco
		if n := mnemonic(m.Text); n > 0 && m.ProcID == nil {
			m.Hostname, m.App = m.App, m.Text[:n]
		}
		return
	}
	if m.family(b[p:]) {
		return
	}
	n := hostLen(b[p:])
	if n == 0 || m.Form == ISO && isLevel(b[p:p+n]) {
		m.Text = b[p:]
		return
	}
	m.Hostname = b[p : p+n]
	p = skipSpaces(b, p+n)
	if len(b)-p > 1 && b[p] == ':' && b[p+1] == ' ' { // "hostname : %ASA-…"
		p += 2
	}
	if !m.tag(b, p, false) && !m.family(b[p:]) && !m.cutTag(b[p:]) {
		m.Text = b[p:]
	}
}

// cutTag reads a TAG that a relay cut to the 32 bytes of RFC 3164, so that its colon is gone.
// rsyslog's forwarding templates do that. A word of hexadecimal digits is more likely a hash.
func (m *Message) cutTag(b []byte) bool {
	if len(b) <= maxTag3164 || b[maxTag3164] != ' ' {
		return false
	}
	end, hex := maxTag3164, true
	for i, c := range b[:maxTag3164] {
		switch {
		case c == '[' && i > 0:
			end = min(end, i)
		case class[c]&tagByte == 0 && end == maxTag3164:
			return false
		}
		hex = hex && (isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f')
	}
	if hex {
		return false
	}
	m.App, m.Text = b[:end], b[maxTag3164+1:]
	return true
}

// bare reads "[HOST ][TAG[PID]:] TEXT" without a stamp.
func (m *Message) bare(b []byte, p int) {
	if m.tag(b, p, true) || m.family(b[p:]) {
		return
	}
	if n := hostLen(b[p:]); n > 0 {
		if m.tag(b, p+n+1, true) && m.ProcID != nil {
			m.Hostname = b[p : p+n]
			return
		}
		m.App, m.ProcID = nil, nil
	}
	m.Text = b[p:]
}

// tag reads "TAG: TEXT" or "TAG[PID]: TEXT" at b[p:] into App, ProcID and Text. Where a host name
// could stand instead, spaced demands a space behind the colon, which no IPv6 address has.
func (m *Message) tag(b []byte, p int, spaced bool) bool {
	i, end := p, min(len(b), p+maxTag+1)
	for i < end && class[b[i]]&tagByte != 0 {
		i++
	}
	if i <= p || i >= end {
		return false
	}
	switch b[i] {
	case ':':
		return m.tagColon(b, p, i, spaced)
	case '[':
		return m.tagPID(b, p, i)
	}
	return false
}

// tagColon finishes a tag whose colon is at b[i].
func (m *Message) tagColon(b []byte, p, i int, spaced bool) bool {
	text := b[i+1:]
	switch {
	case len(text) == 0:
	case text[0] == ' ':
		text = text[1:]
	case spaced || isDigit(text[0]) || text[0] == ':' || text[0] == '/' || text[0] == '\\':
		return false // an IPv6 address, a clock, a URL, a path
	}
	m.App, m.Text = b[p:i], text
	return true
}

// tagPID finishes a tag whose PID opens at b[i]. Without a colon behind it the PID must be a number.
func (m *Message) tagPID(b []byte, p, i int) bool {
	open := i + 1
	numeric := true
	for i = open; i < len(b) && b[i] != ']'; i++ {
		if !isDigit(b[i]) {
			numeric = false
			if b[i] <= ' ' || b[i] == '[' {
				return false
			}
		}
		if i-open >= maxPID {
			return false
		}
	}
	if i == len(b) || i == open {
		return false
	}
	text := b[i+1:]
	switch {
	case len(text) > 0 && text[0] == ':':
		text = text[1:]
	case numeric && (len(text) == 0 || text[0] == ' '):
	default:
		return false
	}
	if len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	m.App, m.ProcID, m.Text = b[p:open-1], b[open:i], text
	return true
}

// hostLen returns the length of the host name that b begins with, or 0. It is followed by a space.
func hostLen(b []byte) int {
	i, end := 0, min(len(b), maxHost+1)
	for i < end && class[b[i]]&hostByte != 0 {
		i++
	}
	if i == end || b[i] != ' ' {
		return 0
	}
	return i
}

// family reads the forms that have no TAG but an app name of their own: Cisco's mnemonic,
// RouterOS's topics, CEF and LEEF.
func (m *Message) family(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	switch c := b[0]; {
	case c == '%':
		if n := mnemonic(b); n > 0 {
			m.App, m.Text = b[:n], b
			return true
		}
	case c == 'C' && bytes.HasPrefix(b, []byte("CEF:")) && len(b) > 4 && isDigit(b[4]):
		m.App, m.Text = b[:3], b
		return true
	case c == 'L' && bytes.HasPrefix(b, []byte("LEEF:")) && len(b) > 5 && isDigit(b[5]):
		m.App, m.Text = b[:4], b
		return true
	case 'a' <= c && c <= 'z':
		if n := topics(b); n > 0 {
			m.App, m.Text = b[:n], b[n+1:]
			return true
		}
	}
	return false
}

// topics returns the length of the RouterOS topic list that b begins with, or 0. It is followed
// by a space.
func topics(b []byte) int {
	part, severity, lists := 0, false, false
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z' || isDigit(c) || c == '-' || c == '!':
		case (c == ',' || c == ' ') && i > part:
			switch string(b[part:i]) {
			case "debug", "info", "warning", "error", "critical":
				severity = true
			}
			if c == ' ' {
				if severity && lists {
					return i
				}
				return 0
			}
			part, lists = i+1, true
		default:
			return 0
		}
		if i > maxTag {
			return 0
		}
	}
	return 0
}

// Classes of bytes.
const (
	hostByte = 1 << iota // may stand in a host name, also a UniFi one or an address
	tagByte              // may stand in a tag
)

// class maps each byte to its classes.
var class = func() (t [256]uint8) {
	for c := '!'; c < 0x100; c++ {
		if c != ':' && c != '[' && c != 0x7F && c != '"' && c != '=' && c != '{' && c != ']' && c != '%' {
			t[c] |= tagByte
		}
	}
	for c := range 256 {
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c >= 0x80 {
			t[c] |= hostByte
		}
	}
	for _, c := range ".-_:,/@+%" {
		t[c] |= hostByte
	}
	return t
}()
