package daemon

import (
	"slices"
	"strings"
	"sync"
	"time"

	"stockade/cmd/stockade/control"
)

// conditions are the degraded states that the daemon itself knows of. The zero value is ready; its
// methods may be called concurrently.
type conditions struct {
	mu sync.Mutex
	on map[string]control.Degraded
}

// set turns a condition on.
func (c *conditions) set(name, cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on == nil {
		c.on = make(map[string]control.Degraded)
	}
	c.on[name] = control.Degraded{Name: name, Cause: cause, Since: time.Now()}
}

// all returns the conditions that are on, by name.
func (c *conditions) all() []control.Degraded {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]control.Degraded, 0, len(c.on))
	for _, d := range c.on {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b control.Degraded) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// current holds what the configuration in force was built into.
type current struct {
	mu sync.Mutex
	b  *built
}

func (c *current) set(b *built) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.b = b
}

func (c *current) get() *built {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b
}
