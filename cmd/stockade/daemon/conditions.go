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

// set turns a condition on. Its time stays that of the first call.
func (c *conditions) set(name, cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on == nil {
		c.on = make(map[string]control.Degraded)
	}
	since := time.Now()
	if old, ok := c.on[name]; ok {
		since = old.Since
	}
	c.on[name] = control.Degraded{Name: name, Cause: cause, Since: since}
}

// clear turns a condition off.
func (c *conditions) clear(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.on, name)
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
