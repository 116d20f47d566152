package control

import (
	"context"
	"net/url"
)

// Diagnosis is the answer to `doctor`.
type Diagnosis struct {
	OK     bool          `json:"ok"`     // no link is broken
	Broken *Finding      `json:"broken"` // the first broken link on the way of a line, or null
	Links  List[Finding] `json:"links"`  // source, line, trust, filter, jail, hook, packet: in this order
}

// The values of Finding.State.
const (
	LinkOK      = "ok"
	LinkWarning = "warning"
	LinkBroken  = "broken"
	LinkUnknown = "unknown" // it could not be looked at
)

// Finding is what was found at one link.
type Finding struct {
	Link    string `json:"link"`
	State   string `json:"state"`
	Subject Text   `json:"subject"` // the source, listener, jail or table that it is about
	Finding string `json:"finding"`
	Remedy  Text   `json:"remedy"`
}

func (h *handler) doctor(ctx context.Context, q url.Values) (Diagnosis, error) {
	d, err := h.s.Doctor.Doctor(ctx, q.Get("jail"))
	d.OK = true
	for i := range d.Links {
		if d.Links[i].State == LinkBroken {
			d.OK, d.Broken = false, &d.Links[i]
			break
		}
	}
	return d, err
}
