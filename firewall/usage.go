package firewall

import "context"

// Usage is what the kernel knows of one element, read by its key.
type Usage struct {
	Present  bool
	Counters Counters // since the element was last set
}

// Meter is an Enforcer that counts the packets it stops.
type Meter interface {
	// Usage asks for elements by prefix and scope; the result has their order.
	Usage(ctx context.Context, elements []Element) ([]Usage, error)
}
