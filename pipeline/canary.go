package pipeline

import (
	"bytes"
	"net/netip"
	"time"

	"stockade/jails/filter"
	"stockade/receiver"
)

// CanaryMark begins every canary: a word in a line that was sent to prove its way.
const CanaryMark = "stockade-canary."

var canaryMark = []byte(CanaryMark)

// Canary is a line that holds CanaryMark, names a documentation address and would have counted as a
// failure: its source, the grants, the trust, the origin and the filter let it through.
type Canary struct {
	Source   *receiver.Source
	Jail     string
	Level    string // of trust, as the transport proved it
	Raw      []byte // the line, valid during the call alone
	Received time.Time
}

var documentation = [...]netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("3fff::/20")}

// Documentation reports whether an address belongs to nobody, so that a canary may name it: those of
// RFC 5737, RFC 3849 and RFC 9637.
func Documentation(a netip.Addr) bool {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		switch [3]byte(b[:]) {
		case [3]byte{192, 0, 2}, [3]byte{198, 51, 100}, [3]byte{203, 0, 113}:
			return true
		}
		return false
	}
	return documentation[0].Contains(a) || documentation[1].Contains(a)
}

// sings hands a match on when it is a canary, and reports whether it was one. It never counts: no
// attacker has such an address, so nobody can hide behind it.
func (p *Pipeline) sings(jail string, b *batch, it *item, m *filter.Match) bool {
	if p.canary == nil || !Documentation(m.Addr) || !bytes.Contains(b.text(it.raw), canaryMark) {
		return false
	}
	p.canary(Canary{Source: it.source, Jail: jail, Level: trust(it.level).String(), Raw: b.text(it.raw), Received: it.received})
	return true
}
