package receiver

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// The reasons for which a listener refuses a peer, a connection or a message.
const (
	ReasonUnknownPeer     = "unknown_peer"        // resolves to no source
	ReasonInterface       = "wrong_interface"     // a datagram came in where its sender is not
	ReasonNoCredentials   = "no_credentials"      // the kernel named no user
	ReasonMixed           = "mixed_credentials"   // two users wrote one frame
	ReasonConnections     = "too_many"            // connections of the listener or of the source
	ReasonPushedOut       = "pushed_out"          // unidentified, and a newer one needed its place
	ReasonDescriptors     = "descriptors"         // the process is about to run out of them
	ReasonHandshake       = "handshake"           // TLS failed or took too long
	ReasonDistrusted      = "distrusted"          // the client ended the handshake: it does not accept our certificate
	ReasonNoCertificate   = "no_certificate"      // the client showed none
	ReasonUntrusted       = "untrusted"           // the client's certificate has no valid chain
	ReasonUnknownIdentity = "unknown_certificate" // valid, but no source claims it
	ReasonPlaintext       = "plaintext"           // plain text came to a tls listener
	ReasonTLS             = "tls_on_plain"        // a TLS handshake came to a plain listener
	ReasonHTTP            = "http"                // an HTTP request came
	ReasonProxyHeader     = "proxy_header"        // missing, broken, or from a peer not listed
	ReasonFraming         = "framing"             // the frame edges were lost
	ReasonPartial         = "partial_frame"       // a frame stopped half way
	ReasonOverhead        = "tls_overhead"        // a flood of records without text
	ReasonRecord          = "tls_record"          // TLS records against the protocol: renegotiation, key updates alone
	ReasonFormat          = "format"              // not what the listener's format demands
	ReasonRemoved         = "source_removed"      // its source left the configuration
)

const maxNamed = 1024 // peers whose refusals are remembered for the log, per listener

// refusals counts what a listener refuses and logs it in bounded numbers.
type refusals struct {
	Refusals
	listener string
	log      *slog.Logger
	every    time.Duration

	mu     sync.Mutex
	last   map[refusalKey]time.Time
	unsaid int64 // refusals of peers that found no place in last
	full   time.Time
}

type refusalKey struct {
	reason string
	addr   netip.Addr
	uid    int64
}

// refusal is one event: why, who, and what would help.
type refusal struct {
	reason string
	peer   *Peer
	source *Source // nil when unknown
	sample []byte  // cut and copied
	detail string
}

// add logs x, unless the same reason and peer were logged lately, and then counts it: who sees the
// count finds the reason in the log. It allocates only for a log line and, once a second, for the
// sample.
func (r *refusals) add(now time.Time, x *refusal) {
	if r.due(now, refusalKey{x.reason, x.peer.Addr.Addr(), x.peer.UID}) {
		r.write(x)
	}
	if x.source != nil {
		x.source.Refused.Add(x.reason, now, x.sample)
	}
	r.Add(x.reason, now, x.sample)
}

// write logs one refusal with what would help.
func (r *refusals) write(x *refusal) {
	attrs := []slog.Attr{slog.String("reason", x.reason), slog.String("peer", x.peer.String())}
	if x.source != nil {
		attrs = append(attrs, slog.String("source", x.source.Name))
	}
	if x.detail != "" {
		attrs = append(attrs, slog.String("detail", x.detail))
	}
	if hint := r.hint(x); hint != "" {
		attrs = append(attrs, slog.String("hint", hint))
	}
	r.log.LogAttrs(context.Background(), slog.LevelWarn, "refused", attrs...)
}

// hint is what would help, for the log.
func (r *refusals) hint(x *refusal) string {
	switch x.reason {
	case ReasonUnknownPeer, ReasonUnknownIdentity:
		return permit(r.listener, x.peer)
	case ReasonInterface:
		return fmt.Sprintf("if the way is right, name it: sources: [{name: %s, interface: NAME}]", x.source.Name)
	case ReasonDistrusted:
		return "the sender must trust the CA that signed the listener's certificate, which must carry the name or address that the sender dials"
	case ReasonNoCertificate, ReasonUntrusted:
		return "the sender needs a certificate that the listener's client_ca signed, or one that a source names by its sha256"
	case ReasonNoCredentials:
		return "a socket that systemd passes in needs PassCredentials=yes"
	case ReasonFormat:
		return "format: auto takes every line"
	case ReasonConnections:
		return "max_connections of the listener sets the limit; one source gets three quarters of it"
	case ReasonPlaintext:
		return "the sender must use TLS with a client certificate, or another listener with transport: tcp"
	case ReasonTLS:
		return "the sender must use plain TCP, or another listener with transport: tls"
	case ReasonHTTP:
		return "this port takes syslog, not HTTP"
	}
	return ""
}

// due says whether key may be logged now, and notes that it is.
func (r *refusals) due(now time.Time, key refusalKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.last[key]; ok {
		if now.Sub(t) < r.every {
			return false
		}
		r.last[key] = now
		return true
	}
	if len(r.last) >= maxNamed {
		r.unsaid++
		if now.Sub(r.full) < r.every {
			return false
		}
		r.full = now
		for k, t := range r.last {
			if now.Sub(t) >= r.every {
				delete(r.last, k)
			}
		}
		if len(r.last) >= maxNamed {
			r.log.Warn("refused more peers than can be named", "count", r.unsaid)
			r.unsaid = 0
			return false
		}
	}
	if r.last == nil {
		r.last = make(map[refusalKey]time.Time)
	}
	r.last[key] = now
	return true
}

// String names the peer: its address and port, or the user and process on a unix socket.
func (p *Peer) String() string {
	switch {
	case p.Addr.IsValid():
		return p.Addr.String()
	case p.UID >= 0:
		return "uid " + strconv.FormatInt(p.UID, 10) + " pid " + strconv.FormatInt(p.PID, 10)
	}
	return "unknown"
}

// permit is the line of configuration that would allow an unknown peer of listener.
func permit(listener string, p *Peer) string {
	var who string
	switch {
	case p.Level == LevelKernel:
		who = fmt.Sprintf("uid: [%d]", p.UID)
	case p.Cert != nil && len(p.Cert.Names) > 0:
		who = fmt.Sprintf("certificate: {san: %q}", clip(p.Cert.Names[0]))
	case p.Cert != nil:
		who = fmt.Sprintf("certificate: {sha256: %x}", p.Cert.SHA256)
	default:
		who = fmt.Sprintf("addresses: [%s]", addressYAML(p.Addr.Addr()))
	}
	return fmt.Sprintf("to allow it: sources: [{name: NAME, listener: %s, %s, jails: [\"*\"]}]", listener, who)
}

// clip cuts a hostile string to what a log line may show.
func clip(s string) string { return s[:min(len(s), maxSample)] }

// addressYAML writes an address for a flow sequence: IPv6 needs quotes there.
func addressYAML(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	return strconv.Quote(a.String())
}
