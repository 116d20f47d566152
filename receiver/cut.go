package receiver

import "time"

// journaldCut is where journald cuts a record, in bytes (LineMax= of journald.conf). The rest of it
// comes as a datagram of its own, which begins with what the writer's client may have chosen.
const journaldCut = 49152

const (
	cutMemory = 5 * time.Second // how long the rest of a record may take
	maxCuts   = 64              // writers whose record was just cut, at most; then all are forgotten
)

// cuts knows the rest of records that journald cut, by their writer. It belongs to one reader.
type cuts map[int64]time.Time

// continued reports whether a message is the rest of one that was cut. Only the kernel's word for
// who wrote counts: nobody can make another's message look like a rest.
func (c *cuts) continued(p *Peer, text []byte, now time.Time) bool {
	if p.Level != LevelKernel || p.PID <= 0 || len(*c) == 0 && len(text) != journaldCut {
		return false
	}
	at, rest := (*c)[p.PID]
	delete(*c, p.PID)
	if len(text) == journaldCut {
		if *c == nil || len(*c) >= maxCuts {
			*c = make(cuts)
		}
		(*c)[p.PID] = now
	}
	return rest && now.Sub(at) <= cutMemory
}
