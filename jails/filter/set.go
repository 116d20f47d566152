package filter

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bmatcuk/doublestar/v4"
)

// Bounds of the cache of routes. Names beyond them are routed anew each time.
const (
	maxCachedRoutes = 4096
	maxCachedName   = 64   // bytes
	maxRoutes       = 1024 // different lists of filters that globs may make
)

// Set holds the filters of all jails. It is immutable, apart from a bounded cache of routes, and
// may be shared by any number of goroutines.
type Set struct {
	filters []*Filter
	exact   map[string]*route // names that some filter lists literally
	globs   []glob
	starred []int // filters that listen to everything
	family  []string

	// For every other name, when no glob matches.
	star    *route // unknown names: all starred filters
	program *route // programs of Unix hosts: those that are not for devices

	mu     sync.Mutex
	routes map[string]*route // by the list of filters
	cached atomic.Pointer[map[string]*route]
}

type glob struct {
	pattern string
	filter  int
}

// route lists the filters of an app name, grouped by form.
type route struct {
	filters  []int // ascending
	stateful bool
	family   string
	groups   []group
}

// Route says which filters look at the lines of one app. The zero Route is empty.
type Route struct{ r *route }

// Empty reports whether no filter listens to the app.
func (r Route) Empty() bool { return r.r == nil || len(r.r.filters) == 0 }

// Stateful reports whether a filter of the route keeps state between lines, so that all lines
// with the same Family, source and host must be matched by the same Matcher, in order.
func (r Route) Stateful() bool { return r.r != nil && r.r.stateful }

// Family returns a name that all apps share whose lines a stateful filter may join: sshd for
// sshd, sshd-session and sshd-auth. It is empty when the route is not stateful.
func (r Route) Family() string {
	if r.r == nil {
		return ""
	}
	return r.r.family
}

// NewSet puts filters together. apps[i] replaces the app names of filters[i]; where it is nil, or
// apps is shorter, the filter's own hold. Names may be globs; "*" alone is every app, also a line
// without one. A name that starts with a slash is compared by its last element.
func NewSet(filters []*Filter, apps [][]string) *Set {
	s := &Set{
		filters: slices.Clone(filters),
		exact:   map[string]*route{},
		family:  make([]string, len(filters)),
		routes:  map[string]*route{},
	}
	own := make([][]string, len(filters))
	for i, f := range filters {
		own[i] = f.apps
		if i < len(apps) && apps[i] != nil {
			own[i] = apps[i]
		}
		if len(own[i]) == 0 {
			own[i] = []string{"*"}
		}
	}
	names := map[string]bool{}
	for i, list := range own {
		for _, name := range list {
			switch {
			case name == "*" || name == "**":
				s.starred = append(s.starred, i)
			case isGlob(name):
				s.globs = append(s.globs, glob{name, i})
			default:
				names[name] = true
			}
		}
	}
	s.joinFamilies(own)
	for name := range names {
		s.exact[name] = s.build(s.listeners(name, own))
	}
	s.star, s.program = s.build(s.starred), s.build(s.hosts())
	s.cached.Store(&map[string]*route{})
	return s
}

// Len returns the number of filters.
func (s *Set) Len() int { return len(s.filters) }

// Filter returns the filter with that index.
func (s *Set) Filter(i int) *Filter { return s.filters[i] }

// Route returns the filters that listen to the app. It does not keep app, and does not allocate
// for names that were seen before.
func (s *Set) Route(app []byte) Route {
	if len(app) > 0 && app[0] == '/' {
		for i := len(app) - 1; i >= 0; i-- {
			if app[i] == '/' {
				app = app[i+1:]
				break
			}
		}
	}
	if r, ok := s.exact[string(app)]; ok {
		return Route{r}
	}
	if len(s.globs) == 0 {
		return Route{s.others(app)}
	}
	cached := *s.cached.Load()
	if r, ok := cached[string(app)]; ok {
		return Route{r}
	}
	return Route{s.routeByGlob(app)}
}

// hosts returns the starred filters that look at the lines of Unix hosts' programs.
func (s *Set) hosts() []int {
	return slices.DeleteFunc(slices.Clone(s.starred), func(i int) bool { return s.filters[i].spec.Device })
}

// others returns the route of an app that no filter names.
func (s *Set) others(app []byte) *route {
	if s.star != s.program && hostProgram(app) {
		return s.program
	}
	return s.star
}

// All returns the route of every filter of the set, whatever its app names.
func (s *Set) All() Route {
	all := make([]int, len(s.filters))
	for i := range all {
		all[i] = i
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Route{s.build(all)}
}

func (s *Set) routeByGlob(app []byte) *route {
	r := s.others(app)
	list := slices.Clone(r.filters)
	name := string(app)
	for _, g := range s.globs {
		if doublestar.MatchUnvalidated(g.pattern, name) {
			list = append(list, g.filter)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(list) > len(r.filters) {
		r = s.build(list)
	}
	if len(name) > maxCachedName {
		return r
	}
	old := *s.cached.Load()
	if len(old) >= maxCachedRoutes {
		return r
	}
	next := make(map[string]*route, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	next[name] = r
	s.cached.Store(&next)
	return r
}

// listeners returns the filters that listen to a literal name.
func (s *Set) listeners(name string, own [][]string) []int {
	var list []int
	host := hostProgram([]byte(name))
	for i, apps := range own {
		named := func(a string) bool {
			if s.filters[i].spec.Device && host && (a == "*" || a == "**") {
				return false
			}
			return appMatches(a, name)
		}
		if slices.ContainsFunc(apps, named) {
			list = append(list, i)
		}
	}
	return list
}

// build returns the route of a list of filters. There is one for each list.
func (s *Set) build(list []int) *route {
	list = slices.Clone(list)
	slices.Sort(list)
	list = slices.Compact(list)
	key := fmt.Sprint(list)
	if r := s.routes[key]; r != nil {
		return r
	}
	r := &route{filters: list}
	for _, i := range list {
		f := s.filters[i]
		if f.Stateful() {
			r.stateful = true
			if r.family == "" {
				r.family = s.family[i]
			}
		}
	}
	r.groups = s.groups(list)
	if len(s.routes) < maxRoutes {
		s.routes[key] = r
	}
	return r
}

// joinFamilies gives every stateful filter the name of the first filter that it shares an app
// with, directly or through others.
func (s *Set) joinFamilies(own [][]string) {
	parent := make([]int, len(own))
	for i := range parent {
		parent[i] = i
	}
	var root func(int) int
	root = func(i int) int {
		if parent[i] != i {
			parent[i] = root(parent[i])
		}
		return parent[i]
	}
	for i := range own {
		for j := range i {
			if s.filters[i].Stateful() && s.filters[j].Stateful() && overlap(own[i], own[j]) {
				a, b := root(i), root(j)
				parent[max(a, b)] = min(a, b)
			}
		}
	}
	for i := range own {
		s.family[i] = s.filters[root(i)].name
	}
}

func overlap(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if appMatches(x, y) || appMatches(y, x) || isGlob(x) && isGlob(y) {
				return true
			}
		}
	}
	return false
}

func appMatches(pattern, name string) bool {
	if pattern == name || pattern == "*" || pattern == "**" {
		return true
	}
	return isGlob(pattern) && doublestar.MatchUnvalidated(pattern, name)
}

func isGlob(name string) bool { return strings.ContainsAny(name, "*?[{") }
