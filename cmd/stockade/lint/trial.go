package lint

import (
	"stockade/jails/filter"
)

// The addresses of trials, from the documentation ranges: the client's own, then the forged one.
var trialAddresses = [][2]string{
	{"198.51.100.7", "203.0.113.9"},
	{"2001:db8:7::1", "2001:db8:9::1"},
}

// trial runs lines through one compiled pattern.
type trial struct {
	set     *filter.Set
	matcher *filter.Matcher
}

// newTrial compiles a pattern. A pattern that does not compile reports nothing.
func newTrial(pattern string) *trial {
	f, err := filter.Compile(filter.Spec{Name: "lint", FailRegex: []string{pattern}})
	if err != nil {
		return &trial{}
	}
	set := filter.NewSet([]*filter.Filter{f}, make([][]string, 1))
	return &trial{set, set.NewMatcher()}
}

// address returns the address that the pattern takes from a line, "" for none.
func (t *trial) address(line string) string {
	if t.matcher == nil {
		return ""
	}
	for _, m := range t.matcher.Match(&filter.Line{Text: []byte(line), Facility: -1}, t.set.All()) {
		if m.Addr.IsValid() {
			return m.Addr.String()
		}
	}
	return ""
}

// attack fills the wildcard at before[i] with a copy of what follows it and another address, as a
// client that names itself so would. It is proven when the pattern then reports that address,
// while it reports the client's own from the line without the attack.
func (t *trial) attack(before, after []item, i int) (line, forged string, proven bool) {
	mid, tail := sample(before[i+1:]), sample(after)
	own := before[i].text
	for _, pair := range trialAddresses {
		client, victim := pair[0], pair[1]
		head := sample(before[:i])
		rest := own + mid + client + tail
		if t.address(head+rest) != client {
			continue
		}
		for _, fill := range []string{mid + victim + tail, own + mid + victim + tail, mid + victim + " ", own + mid + victim + " "} {
			if !before[i].holds(fill) {
				continue
			}
			if line = head + fill + rest; t.address(line) == victim {
				return line, victim, true
			}
		}
	}
	return "", "", false
}
