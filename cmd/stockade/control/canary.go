package control

import "time"

// CanaryRequest names the way that a canary shall prove: from a source to a jail.
type CanaryRequest struct {
	Source string `json:"source"`
	Jail   string `json:"jail,omitempty"`   // "": the first that the source feeds and whose filter has samples
	Forget bool   `json:"forget,omitempty"` // the source sends no more: it is not overdue
}

// CanaryKey is what a source needs to send canaries. Whoever has the key can send them in its name, and
// nothing else with it.
type CanaryKey struct {
	Source string `json:"source"`
	Jail   string `json:"jail"`
	Key    string `json:"key"`  // of the source, the same at each request
	App    string `json:"app"`  // the name that the line is logged under
	Line   Text   `json:"line"` // with CANARY where the nonce belongs; null when the filter has no sample to make one of
	File   Text   `json:"file"` // the file that the line must be appended to where the source is one, else null
}

// The values of Canary.State.
const (
	CanaryOK      = "ok"
	CanaryOverdue = "overdue"
)

// Canary is the last one that arrived of a source for a jail: feed, identity, grants, origin and filter
// worked for it.
type Canary struct {
	Source  string    `json:"source"`
	Jail    string    `json:"jail"`
	State   string    `json:"state"`   // ok, or overdue when none came for three times Every
	Trust   string    `json:"trust"`   // the level that the way proved
	Count   int64     `json:"count"`   // since the start
	Last    time.Time `json:"last"`    // when it was judged
	Every   Seconds   `json:"every"`   // how often the source says that it sends one
	Latency float64   `json:"latency"` // seconds from the source's clock to the judgement: the way, and the clocks' difference
}
