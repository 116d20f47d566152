package receiver

import (
	"sync"
	"sync/atomic"
)

// Registry holds the current Sources for all listeners. Its methods may be called concurrently.
type Registry struct {
	current atomic.Pointer[Sources]

	mu      sync.Mutex
	changed chan struct{} // closed by the next Swap
}

// NewRegistry returns a Registry that holds s; nil stands for no sources at all.
func NewRegistry(s *Sources) *Registry {
	r := &Registry{changed: make(chan struct{})}
	if s == nil {
		s = new(Sources)
	}
	r.current.Store(s)
	return r
}

// Load returns the current sources, never nil.
func (r *Registry) Load() *Sources { return r.current.Load() }

// Swap makes s current and returns what was. Listeners cut the connections whose peer no
// longer resolves to a source within 5 s; all others go on under their new Source.
func (r *Registry) Swap(s *Sources) *Sources {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.current.Swap(s)
	close(r.changed)
	r.changed = make(chan struct{})
	return old
}

// Changed returns a channel that the next Swap closes.
func (r *Registry) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}
