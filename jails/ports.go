package jails

import (
	"fmt"
	"strconv"
	"strings"
)

// protocol bits of one port.
const (
	protoTCP  = 1
	protoUDP  = 2
	protoBoth = protoTCP | protoUDP
)

// ParsePorts turns the `ports` of a jail ("22", "443/tcp", "6000-6010/udp") into the canonical
// text of a scope: "" for no ports at all, which means everything, else ascending terms joined by
// commas in which neighbours of equal protocol are joined too. Equal sets of ports give equal
// texts, and package firewall reads the same form. The error quotes the first bad term.
func ParsePorts(ports []string) (string, error) {
	if len(ports) == 0 {
		return "", nil
	}
	have := make([]uint8, 1<<16)
	for _, term := range ports {
		first, last, proto, err := parsePortTerm(term)
		if err != nil {
			return "", err
		}
		for p := first; p <= last; p++ {
			have[p] |= proto
		}
	}
	return formatPorts(have), nil
}

func formatPorts(have []uint8) string {
	var terms []string
	for p := 1; p < len(have); p++ {
		proto, first := have[p], p
		if proto == 0 {
			continue
		}
		for p+1 < len(have) && have[p+1] == proto {
			p++
		}
		term := strconv.Itoa(first)
		if p > first {
			term += "-" + strconv.Itoa(p)
		}
		switch proto {
		case protoTCP:
			term += "/tcp"
		case protoUDP:
			term += "/udp"
		}
		terms = append(terms, term)
	}
	return strings.Join(terms, ",")
}

func parsePortTerm(term string) (first, last int, proto uint8, err error) {
	ports, name, named := strings.Cut(term, "/")
	switch {
	case !named:
		proto = protoBoth
	case name == "tcp":
		proto = protoTCP
	case name == "udp":
		proto = protoUDP
	default:
		return 0, 0, 0, fmt.Errorf("port %q: the protocol must be tcp or udp", term)
	}
	low, high, ranged := strings.Cut(ports, "-")
	first, ok := parsePort(low)
	last = first
	if ok && ranged {
		last, ok = parsePort(high)
	}
	if !ok {
		return 0, 0, 0, fmt.Errorf("port %q must be a number between 1 and 65535, or a range of two", term)
	}
	if last < first {
		return 0, 0, 0, fmt.Errorf("port %q: the range ends before it begins", term)
	}
	return first, last, proto, nil
}

func parsePort(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0
}
