package lint

import "fmt"

// The severities, in the words of the configuration's problems.
const (
	Error   = "error"   // the pattern must not serve
	Warning = "warning" // the pattern serves; its writer should think again
)

// Filter looks at the failregex of one filter and reports what an attacker could use, with the
// index of the pattern. It compiles the patterns to try attacks, at most one a wildcard: some
// milliseconds a pattern.
//
// Errors are: a pattern that matches the empty line, and one that takes an address from any place
// of the line (.*<HOST>.*). Warnings are: a pattern not anchored at both ends, more than one
// address on one way through the pattern, and text of any content before the address, from which
// the address could be taken.
func Filter(failregex []string, report func(index int, severity, message string)) {
	for i, text := range failregex {
		n := parse(text)
		say := func(severity, format string, args ...any) { report(i, severity, fmt.Sprintf(format, args...)) }
		if n.empty() {
			say(Error, "it matches the empty line, so it matches every line: require text and an address")
			continue
		}
		if anywhere(n) {
			say(Error, "it takes an address from any place of the line, so whoever puts an address into a line bans it: "+
				"anchor the pattern with ^ and write the text that the daemon puts before the address")
			continue
		}
		anchors(n, say)
		if c := n.addresses(); c > 1 {
			say(Warning, "it captures %d addresses and only the first that matches counts: capture the client's alone", c)
		}
		supply(text, n, say)
	}
}

// Ignore looks at the ignoreregex of one filter. One that matches the empty line matches every
// line and switches the filter off: an error.
func Ignore(ignoreregex []string, report func(index int, severity, message string)) {
	for i, text := range ignoreregex {
		if parse(text).empty() {
			report(i, Error, "it matches the empty line, so it ignores every line")
		}
	}
}

func anchors(n *node, say func(severity, format string, args ...any)) {
	begin, end := n.bound(kBegin), n.bound(kEnd)
	switch {
	case !begin && !end:
		say(Warning, "it is not anchored: begin it with ^ and end it with $, or text that a client chose can pose as the whole line")
	case !begin:
		say(Warning, "it is not anchored at its beginning: begin it with ^, or text that a client chose can pose as the line's beginning")
	case !end:
		say(Warning, "it is not anchored at its end: end it with $, so that it cannot match a longer line than you meant")
	}
}

// anywhere reports whether the text around an address is free on both sides: a wildcard or
// nothing at all touches it.
func anywhere(n *node) bool {
	items := flatten(n)
	for i, it := range items {
		if !it.address {
			continue
		}
		if free(items[:i], true) && free(items[i+1:], false) {
			return true
		}
	}
	return false
}

// free reports whether what stands on one side of an address lets any text stand next to it.
func free(side []item, before bool) bool {
	bound := false
	for i := range side {
		it := side[i]
		if before {
			it = side[len(side)-1-i]
		}
		switch {
		case it.wild && it.leaves(anyText):
			return true
		case it.edge:
			bound = true
		case it.text != "" || it.address || it.wild:
			return false
		}
	}
	return !bound
}

// anyText stands for free text: a wildcard that holds it holds other people's sentences.
const anyText = "from 192.0.2.1:443, 2001:db8::1 [x]"

// supply warns of wildcards before the address that could hold another address in its place.
func supply(pattern string, n *node, say func(severity, format string, args ...any)) {
	items := flatten(n)
	at := -1
	for i, it := range items {
		if it.address {
			at = i
			break
		}
	}
	if at < 0 {
		return
	}
	before, after := items[:at], items[at+1:]
	t := newTrial(pattern)
	for i, it := range before {
		if !it.wild {
			continue
		}
		if line, forged, proven := t.attack(before, after, i); proven {
			say(Warning, "a client that chooses the text before the address chooses the address: the line %q reports %s; "+
				"allow no spaces there (\\S+), or let the pattern end right behind the address with $", line, forged)
			return
		}
		other := sample(before[i+1:]) + trialAddresses[0][1]
		if it.leaves(other) && (open(n, after, other) || leads(before[:i])) {
			say(Warning, "the text before the address may be anything, so it could hold another address in its place: "+
				"write what the daemon puts there, allow no spaces (\\S+), or anchor what follows the address with $")
			return
		}
	}
}

// leads reports whether nothing but the beginning of the line stands before a wildcard: then any
// line will do that holds the rest.
func leads(before []item) bool {
	for _, it := range before {
		if it.text != "" || it.wild || it.address {
			return false
		}
	}
	return true
}

// open reports whether the rest of a true line could hide behind a forged address: the pattern is
// not held at its end, or a wildcard behind the address holds such text.
func open(n *node, after []item, other string) bool {
	if !n.bound(kEnd) {
		return true
	}
	for _, it := range after {
		if it.leaves(other) {
			return true
		}
	}
	return false
}
