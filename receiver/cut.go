package receiver

import (
	"os"
	"strconv"
	"strings"
	"time"

	"stockade/receiver/decode"
)

// journaldCut is where journald cuts a record, in bytes (LineMax= of journald.conf). The rest of it
// comes as a datagram of its own, which begins with what the writer's client may have chosen.
const journaldCut = 49152

const (
	cutMemory = 5 * time.Second // how long the rest of a record may take
	maxCuts   = 64              // writers whose record was just cut, at most; then all are forgotten

	// cutAlarm is how long after a record that was cut the rest of another may come alone. journald
	// does not wait for us: of the datagrams that find the queue full it drops the long ones first.
	cutAlarm = time.Minute
	// fullBytes is what the queue holds at least when it drops a datagram for its memory: with what
	// the kernel adds, these fill the 208 KiB that a sender has by default (wmem_default).
	fullBytes = 128 << 10
	// datagramCost is what the kernel adds to the bytes of one datagram, at most.
	datagramCost = 1280
	// fewestQueued is the length of a queue where the kernel does not say it (unix(7)).
	fewestQueued = 10
)

// cuts knows the rest of records that journald cut, by their writer. It belongs to one reader.
type cuts struct {
	open map[process]time.Time // when its record was cut
	last time.Time             // when any record was

	// What came since the queue was last empty; a queue that may have dropped a datagram was as long.
	queue int // its length; 0 for a stream, which drops nothing
	ahead int // datagrams
	bytes int // with datagramCost
}

// process is a process by its user, which the kernel always knows, and its number: as the kernel says,
// or as journald wrote it in front of the text. For a process that has ended the kernel says the
// number of journald itself.
type process struct{ uid, pid int64 }

// queueLength is how many datagrams the kernel queues on a unix socket.
func queueLength() int {
	b, err := os.ReadFile("/proc/sys/net/unix/max_dgram_qlen")
	if err != nil {
		return fewestQueued
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 1 {
		return fewestQueued
	}
	return n
}

// queued notes a datagram of n bytes behind those that came before it.
func (c *cuts) queued(n int) {
	c.ahead++
	c.bytes += n + datagramCost
}

// drained notes that the queue was empty.
func (c *cuts) drained() { c.ahead, c.bytes = 0, 0 }

// continued reports whether a message is the rest of one that was cut, or may be: lately records were
// cut, and the queue was so long that the beginning of this one may have been dropped. Only the
// kernel's word for who wrote counts: nobody can make another's message look like a rest.
func (c *cuts) continued(p *Peer, m *decode.Message, now time.Time) bool {
	whole := len(m.Text) == journaldCut
	if p.Level != LevelKernel || p.PID <= 0 || c.last.IsZero() && !whole {
		return false
	}
	names := [...]process{{p.UID, p.PID}, {p.UID, processNumber(m.ProcID)}}
	rest := false
	for _, w := range names {
		at, ok := c.open[w]
		rest = rest || ok && now.Sub(at) <= cutMemory
		delete(c.open, w)
	}
	if c.queue > 0 && (c.ahead > c.queue || c.bytes > fullBytes) && now.Sub(c.last) <= cutAlarm {
		rest = true
	}
	if !whole {
		return rest
	}
	if c.open == nil || len(c.open) >= maxCuts {
		c.open = make(map[process]time.Time)
	}
	for _, w := range names {
		if w.pid > 0 {
			c.open[w] = now
		}
	}
	c.last = now
	return rest
}

// processNumber reads a process number, 0 when it is none.
func processNumber(b []byte) (n int64) {
	const most = 10 // digits
	if len(b) > most {
		return 0
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
