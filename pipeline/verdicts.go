package pipeline

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/bmatcuk/doublestar/v4"
)

// maxVerdicts bounds how many names' verdicts are kept; those of further names are found anew each
// time.
const maxVerdicts = 256

// verdicts says which names match one of some globs, and keeps the answers, so that a line costs one
// look-up however many globs there are. Its methods may be called concurrently.
type verdicts struct {
	globs []string

	mu    sync.Mutex // serialises writers
	known atomic.Pointer[map[string]bool]
}

// newVerdicts returns the verdicts of globs, which must be valid. A glob also matches itself, whatever
// it would match as one.
func newVerdicts(globs ...string) *verdicts {
	v := &verdicts{globs: globs}
	known := make(map[string]bool, len(globs))
	for _, g := range globs {
		known[g] = true
	}
	v.known.Store(&known)
	return v
}

// match reports whether a glob matches the name.
func (v *verdicts) match(name string) bool {
	if ok, found := (*v.known.Load())[name]; found {
		return ok
	}
	return v.learn(name)
}

// matchBytes is match, and allocates nothing once the name is known. It keeps no part of name.
func (v *verdicts) matchBytes(name []byte) bool {
	if ok, found := (*v.known.Load())[string(name)]; found {
		return ok
	}
	return v.learn(string(name))
}

// learn finds the verdict of a name, and keeps it while there is room.
func (v *verdicts) learn(name string) (ok bool) {
	for _, g := range v.globs {
		ok = ok || doublestar.MatchUnvalidated(g, name)
	}
	if len(*v.known.Load()) >= maxVerdicts {
		return ok
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	old := *v.known.Load()
	next := maps.Clone(old)
	next[name] = ok
	v.known.Store(&next)
	return ok
}
