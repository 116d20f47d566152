package engine

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a set of required literals.
const (
	maxExact    = 16 // strings kept while joining
	maxLiterals = 24 // strings in a set
	minLiteral  = 3  // bytes: shorter ones are in every line
	maxLiteral  = 16 // bytes: longer ones only cost memory
)

// known is what is known of the texts that a node matches: with exact, that they are exactly one
// of these strings; otherwise that each contains one of need, if need is not nil. ASCII letters
// are in lower case.
type known struct {
	exact []string
	need  []string
}

// literals returns strings of which every match of n contains at least one, or nil.
func literals(n *node) []string {
	k := know(n)
	out := reduce(better(k.need, require(k.exact)))
	slices.Sort(out)
	return out
}

// reduce leaves out what contains another of the set: it adds nothing.
func reduce(set []string) []string {
	return slices.DeleteFunc(slices.Clone(set), func(s string) bool {
		return slices.ContainsFunc(set, func(t string) bool { return s != t && strings.Contains(s, t) })
	})
}

// require turns a set of exact strings into a required set, nil when it is of no use.
func require(exact []string) []string {
	if len(exact) == 0 {
		return nil
	}
	var out []string
	for _, s := range reduce(exact) {
		if len(s) < minLiteral {
			return nil
		}
		if len(s) > maxLiteral {
			s = s[len(s)-maxLiteral:]
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// worth compares sets: what is long is rare, and few are better than many. Lists of a kind that
// stands in many lines (addresses, blanks) are worth less.
func worth(set []string) int {
	if len(set) == 0 {
		return 0
	}
	least := 1 << 20
	for _, s := range set {
		points := 0
		for i := range len(s) {
			switch s[i] {
			case ' ', '[', ']', ':':
				points++
			default:
				points += 3
			}
		}
		if strings.Trim(s, " ") == "from" || strings.Trim(s, " ") == "port" {
			points = 4
		}
		least = min(least, points)
	}
	return 8*least - 4*(len(set)-1)
}

func better(a, b []string) []string {
	if worth(b) > worth(a) {
		return b
	}
	return a
}

func know(n *node) known {
	switch n.kind {
	case kEmpty, kAssert, kBehind:
		return known{exact: []string{""}}
	case kLook:
		if !n.negative {
			k := know(n.subs[0])
			return known{exact: nil, need: better(k.need, require(k.exact))}
		}
		return known{exact: []string{""}}
	case kSet:
		if n.set.contains('\n') || n.set.contains(utf8.RuneError) {
			return known{} // the line may hold something else there: nothing, or invalid bytes
		}
		var out []string
		for _, r := range n.set.lowered(4) {
			out = append(out, string(r))
		}
		return known{exact: out}
	case kGroup:
		return know(n.subs[0])
	case kConcat:
		return knowConcat(n)
	case kAlt, kCond:
		return knowAlt(n)
	case kRepeat:
		return knowRepeat(n)
	}
	return known{}
}

func knowConcat(n *node) known {
	run := []string{""} // exact strings of what came last
	all := true         // run covers everything so far
	var need []string
	cut := func() {
		need = better(need, require(run))
		run, all = []string{""}, false
	}
	for _, s := range n.subs {
		k := know(s)
		if k.exact == nil {
			cut()
			need = better(need, k.need)
			continue
		}
		if len(run)*len(k.exact) > maxExact {
			cut()
			if len(k.exact) > maxExact {
				need = better(need, require(k.exact))
				continue
			}
		}
		run = cross(run, k.exact)
	}
	if all {
		return known{exact: run, need: need}
	}
	return known{need: better(need, require(run))}
}

func cross(a, b []string) []string {
	var out []string
	for _, x := range a {
		for _, y := range b {
			if s := x + y; !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

func knowAlt(n *node) known {
	var exact, need []string
	allExact, allNeed := true, true
	for _, s := range n.subs {
		k := know(s)
		allExact = allExact && k.exact != nil
		if allExact {
			for _, e := range k.exact {
				if !slices.Contains(exact, e) {
					exact = append(exact, e)
				}
			}
		}
		req := better(k.need, require(k.exact))
		allNeed = allNeed && req != nil
		for _, e := range req {
			if !slices.Contains(need, e) {
				need = append(need, e)
			}
		}
	}
	if !allExact || len(exact) > maxExact {
		exact = nil
	}
	if !allNeed || len(need) > maxLiterals {
		need = nil
	}
	return known{exact: exact, need: need}
}

func knowRepeat(n *node) known {
	if n.max == 0 {
		return known{exact: []string{""}}
	}
	k := know(n.subs[0])
	if n.min == 0 {
		if n.max == 1 && k.exact != nil && len(k.exact) < maxExact {
			return known{exact: append([]string{""}, k.exact...)}
		}
		return known{}
	}
	if n.min == n.max && k.exact != nil {
		out := []string{""}
		for range n.min {
			if out = cross(out, k.exact); len(out) > maxExact || len(out[0]) > 4*maxLiteral {
				out = nil
				break
			}
		}
		if out != nil {
			return known{exact: out, need: k.need}
		}
	}
	return known{need: better(k.need, require(k.exact))}
}
