package control

import (
	"net/netip"
	"time"
)

// Shadow is what a jail with `enforce: false` would have done.
type Shadow struct {
	Jail     string           `json:"jail"`
	Config   Text             `json:"config"` // the daemon's main file, null when it serves the built-in default
	Total    int64            `json:"total"`  // bans it would have begun since its counters began
	LoggedIn int64            `json:"logged_in"`
	Proxies  int64            `json:"proxies"`
	Named    int64            `json:"named_proxies"` // lines of its sources that named a configured proxy and did not count
	Bans     List[ShadowBan]  `json:"bans"`          // that would hold now, by address
	Sources  List[ShadowFrom] `json:"sources"`       // who caused them, the most bans first
}

// ShadowBan is one ban that a shadow jail would have made.
type ShadowBan struct {
	Address  netip.Prefix `json:"address"`
	Source   Text         `json:"source"`
	Trust    Text         `json:"trust"`
	Start    time.Time    `json:"start"`
	End      *time.Time   `json:"end"` // nil: permanent
	Failures int64        `json:"failures"`
	Reason   Text         `json:"reason"`
	LoggedIn *time.Time   `json:"logged_in"` // its last login of the last 7 days, or null
	Proxy    Text         `json:"proxy"`     // why it looks like many people behind one address, or null
}

// ShadowFrom is how many of the bans a source caused.
type ShadowFrom struct {
	Source string `json:"source"`
	Bans   int64  `json:"bans"`
}
