// Package receiver takes log lines from other processes and hosts, says who handed
// them over, and passes each on as an Entry.
//
// It frames (RFC 6587, RFC 5425, RFC 5426), decodes (RFC 3164, RFC 5424) and
// identifies: the peer is what the transport proves, the source is the configured
// identity that the peer resolves to. A peer that resolves to no source is refused and
// counted before a byte is decoded. Whether a line counts is not decided here.
//
// Every reader owns its buffer. The bytes of an Entry are valid until Sink.Put returns.
package receiver

import (
	"net/netip"
	"time"

	"stockade/receiver/decode"
)

// Level says how strongly a transport proves its peer. Higher is stronger.
type Level uint8

// The levels, weakest first.
const (
	LevelNone      Level = iota
	LevelSpoofable       // a UDP source address
	LevelOnLink          // a UDP source address that arrived on the interface which owns its prefix
	LevelAddress         // a TCP peer address: the three-way handshake completed
	LevelTLS             // a client certificate
	LevelKernel          // credentials that the kernel attached to the message
)

// String returns the level's name in the configuration and in reports.
func (l Level) String() string {
	switch l {
	case LevelSpoofable:
		return "spoofable"
	case LevelOnLink:
		return "onlink"
	case LevelAddress:
		return "address"
	case LevelTLS:
		return "tls"
	case LevelKernel:
		return "kernel"
	}
	return "none"
}

// Peer is who handed us the bytes, as the transport proves it.
type Peer struct {
	Level Level
	Addr  netip.AddrPort // unmapped, without zone; the zero value on unix sockets
	UID   int64          // -1 where the kernel names none
	GID   int64
	PID   int64
	Cert  *Certificate // nil without TLS; immutable
}

// Certificate is what identifies a client certificate that the handshake proved.
type Certificate struct {
	Names     []string // its dNSName, iPAddress and URI names, lower case
	SHA256    [32]byte // of the certificate
	KeySHA256 [32]byte // of its public key (SubjectPublicKeyInfo)
}

// Origin is the process that wrote a line, as far as something trustworthy vouches for it.
// The zero value knows nothing.
type Origin struct {
	Known bool // UID is vouched for
	UID   uint32
	Exe   string // "" when unknown
	Unit  string // "" when unknown
	// Name is what a process of this host is called whose program can not be seen, often because it has
	// just ended: "" when unknown, or when Exe is not. A process chooses its own name, at most 15 bytes.
	Name string
}

// Entry is one received message after framing, decoding and identification. The embedded
// Message is what the text says of itself: shown, never trusted. All bytes belong to the reader.
type Entry struct {
	decode.Message

	Received time.Time // when the bytes arrived, with the monotonic clock
	Listener string    // the listener's configured name
	Source   *Source   // never nil
	Peer     Peer
	Origin   Origin

	Raw []byte // the frame, as much of it as there is

	// Truncated says that the end is missing, or may be: the frame was longer than the limit, or a TLS
	// stream ended where a terminator was due. Never to be matched: what stands at the cut may be the
	// beginning of another address.
	Truncated bool
	Continued bool // Text continues a record that its carrier cut: never to be matched
}

// A Sink takes entries from one reader. It is used by one goroutine at a time.
type Sink interface {
	// Put takes the entry; its bytes are valid only during the call.
	// Put may wait when the sink's queue is full and the sink was opened lossless.
	Put(e *Entry)
	// Flush hands on what Put has gathered. A reader calls it before it waits for input.
	Flush()
}

// A Breaker is a Sink that is told when its connection broke: the sender then repeats, on its next
// one, what it does not know to have arrived.
type Breaker interface {
	Broken()
}

// A Leaver is a Sink that is told when the sender ended its connection itself, at the edge of a frame:
// it then repeats nothing.
type Leaver interface {
	Left()
}

// An Opener makes the sink of one reader. lossy says what a full queue does: true drops and
// counts the entry (datagrams), false makes Put wait (streams, so that the sender waits).
type Opener func(lossy bool) Sink
