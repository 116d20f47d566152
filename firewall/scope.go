package firewall

import (
	"fmt"
	"strconv"
	"strings"
)

// PortRange is a run of destination ports, both ends included, of one or both protocols.
type PortRange struct {
	First, Last uint16
	TCP, UDP    bool
}

const (
	scopeTCP  = 1
	scopeUDP  = 2
	scopeBoth = scopeTCP | scopeUDP
)

// NewScope makes a Scope of terms like "22", "443/tcp", "53/udp" and "6000-6010"; a term without a
// protocol means tcp and udp. The order of the terms, repetitions and overlaps make no difference:
// equal sets of ports give equal scopes. No terms give the scope of everything. The error quotes
// the offending term.
func NewScope(ports []string) (Scope, error) {
	if len(ports) == 0 {
		return "", nil
	}
	var have [1 << 16]uint8
	for _, term := range ports {
		r, err := parseTerm(term)
		if err != nil {
			return "", err
		}
		for p := int(r.First); p <= int(r.Last); p++ {
			have[p] |= r.protocols()
		}
	}
	var b strings.Builder
	for p := 1; p < len(have); p++ {
		if have[p] == 0 {
			continue
		}
		last := p
		for last+1 < len(have) && have[last+1] == have[p] {
			last++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(p))
		if last > p {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(last))
		}
		switch have[p] {
		case scopeTCP:
			b.WriteString("/tcp")
		case scopeUDP:
			b.WriteString("/udp")
		}
		p = last
	}
	return Scope(b.String()), nil
}

// Ports are the ranges of a scope, ascending; none for the scope of everything. The error says
// that the scope was not made by NewScope.
func (s Scope) Ports() ([]PortRange, error) {
	if s == "" {
		return nil, nil
	}
	var out []PortRange
	for term := range strings.SplitSeq(string(s), ",") {
		r, err := parseTerm(term)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (r PortRange) protocols() uint8 {
	var p uint8
	if r.TCP {
		p |= scopeTCP
	}
	if r.UDP {
		p |= scopeUDP
	}
	return p
}

func parseTerm(term string) (PortRange, error) {
	ports, protocol, named := strings.Cut(term, "/")
	r := PortRange{TCP: !named || protocol == "tcp", UDP: !named || protocol == "udp"}
	if r.protocols() == 0 {
		return PortRange{}, fmt.Errorf("port %q: the protocol must be tcp or udp", term)
	}
	first, last, isRange := strings.Cut(ports, "-")
	var err error
	if r.First, err = parsePort(first); err == nil && isRange {
		r.Last, err = parsePort(last)
	} else {
		r.Last = r.First
	}
	if err != nil {
		return PortRange{}, fmt.Errorf("port %q: ports are numbers between 1 and 65535", term)
	}
	if r.Last < r.First {
		return PortRange{}, fmt.Errorf("port %q: the range ends before it begins", term)
	}
	return r, nil
}

// parsePort takes what strconv takes, less signs, which a range would confuse.
func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}
