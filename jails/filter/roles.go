package filter

import (
	"slices"
	"strings"
)

// roles says which groups of a pattern mean what. Each is a list of group numbers in order of
// preference: the group of that name, then its alternatives (alt_user, alt_user_2).
type roles struct {
	addr      []int // of native patterns; ip4 and ip6 of fail2ban's
	ip4, ip6  []int
	dns       []int
	cidr      []int
	fid       []int
	user      []int
	port      []int
	count     []int // of native patterns: how many
	id        []int // of native patterns: what joins, instead of the process id
	mlfid     []int
	nofail    []int
	forget    []int
	gained    []int
	content   []int
	skipLines []int
	names     []string // every named group with its alternatives, in order of appearance
	groups    [][]int
	further   []int // of native patterns: indices of the names that only become fields
}

func newRoles(names []string, native bool) roles {
	var r roles
	type alt struct {
		group string
		index int
	}
	byName := map[string][]int{}
	var alts []alt
	for i, n := range names {
		if n == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(n, "alt_"); ok && !native {
			alts = append(alts, alt{n, i})
			if target := altTarget(rest); !slices.Contains(r.names, target) {
				r.names = append(r.names, target)
			}
			continue
		}
		if strings.HasPrefix(n, "skiplines") {
			r.skipLines = append(r.skipLines, i)
			continue
		}
		byName[n] = append(byName[n], i)
		if !slices.Contains(r.names, n) {
			r.names = append(r.names, n)
		}
	}
	slices.SortFunc(alts, func(a, b alt) int { return strings.Compare(a.group, b.group) })
	for _, a := range alts {
		target := altTarget(strings.TrimPrefix(a.group, "alt_"))
		byName[target] = append(byName[target], a.index)
	}
	for _, n := range r.names {
		r.groups = append(r.groups, byName[n])
	}
	r.ip4, r.ip6, r.dns, r.cidr = byName["ip4"], byName["ip6"], byName["dns"], byName["cidr"]
	r.fid, r.user, r.port = byName["fid"], byName["user"], byName["fport"]
	r.mlfid, r.nofail = byName["mlfid"], byName["nofail"]
	r.forget, r.gained, r.content = byName["mlfforget"], byName["mlfgained"], byName["content"]
	if native {
		r.addr, r.port, r.count = byName["addr"], byName["port"], byName["n"]
		r.id = byName["id"]
		for i, n := range r.names {
			switch n {
			case "addr", "user", "port", "n", "id":
			default:
				r.further = append(r.further, i)
			}
		}
	}
	return r
}

// altTarget cuts the number off the end of an alternative's name: user_2 is user.
func altTarget(name string) string {
	if i := strings.LastIndexByte(name, '_'); i > 0 && i < len(name)-1 &&
		strings.Trim(name[i+1:], "0123456789") == "" {
		return name[:i]
	}
	return name
}

// identifies reports whether the groups can say who failed.
func (r *roles) identifies() bool {
	return len(r.addr)+len(r.ip4)+len(r.ip6)+len(r.dns)+len(r.fid)+len(r.mlfid) > 0
}

// pick returns the first non-empty group of the list.
func pick(subject []byte, caps []int, list []int) []byte {
	for _, g := range list {
		if lo, hi := caps[2*g], caps[2*g+1]; lo >= 0 && hi > lo {
			return subject[lo:hi]
		}
	}
	return nil
}
