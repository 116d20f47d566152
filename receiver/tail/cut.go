package tail

import (
	"hash/maphash"

	"stockade/receiver/decode"
)

// cut remembers the last syslog line of a file, so that a record that continues one which its
// carrier cut is known: it would begin with text that the sender of the first chose.
type cut struct {
	last uint64 // a hash of the app and process of a line that was cut; 0 for none
}

var cutSeed = maphash.MakeSeed()

// carrierLimits are the lengths at which carriers cut a message in two: rsyslog, Docker, journald.
var carrierLimits = [...]int{8 << 10, 16 << 10, 48 << 10}

// continues reports whether a line with a syslog header continues the line before it, and notes
// whether it is cut itself.
func (c *cut) continues(m *decode.Message, line []byte) bool {
	was := c.last
	c.last = 0
	isCut := false
	for _, limit := range carrierLimits {
		isCut = isCut || len(line) == limit || len(m.Text) == limit
	}
	if was == 0 && !isCut {
		return false
	}
	var h maphash.Hash
	h.SetSeed(cutSeed)
	_, _ = h.Write(m.App)
	_ = h.WriteByte(0)
	_, _ = h.Write(m.ProcID)
	sum := h.Sum64() | 1
	if isCut {
		c.last = sum
	}
	return was == sum
}
