package receiver

import "time"

// limits are the deadlines and caps of a listener. Tests shorten them.
type limits struct {
	handshake     time.Duration // from accept to a proven identity
	partial       time.Duration // from the first byte of a frame to its last
	grace         time.Duration // of reading what has arrived, at shutdown
	quiet         time.Duration // without a byte, after which a stream has nothing more, at shutdown
	pause         time.Duration // of accepting, when descriptors ran out
	housekeeping  time.Duration // between two looks at the interfaces and certificate files
	logEvery      time.Duration // between two log lines of one reason and peer
	connections   int           // open and identified
	perSource     int           // of these, of one source
	pending       int           // accepted, not identified yet
	handshakes    int           // computed on at once
	perPrefix     int           // of these, of one /24 or /56
	reserve       int           // descriptors kept for the rest of the program
	receiveBuffer int           // bytes of a udp socket's
}

const (
	maxPending    = 2048
	writePatience = time.Second
	overheadOf    = 64 << 10 // raw TLS bytes after which the share of text is looked at
	leastText     = 40       // of which at least one in so many bytes must be text
)

func defaultLimits(max int) limits {
	if max == 0 {
		max = defaultConnections
	}
	return limits{
		handshake:     10 * time.Second,
		partial:       60 * time.Second,
		grace:         time.Second,
		quiet:         50 * time.Millisecond,
		pause:         250 * time.Millisecond,
		housekeeping:  5 * time.Second,
		logEvery:      time.Minute,
		connections:   max,
		perSource:     max - max/4,
		pending:       min(maxPending, max/2+1),
		handshakes:    256,
		perPrefix:     16,
		reserve:       8,
		receiveBuffer: 8 << 20,
	}
}
