package state

import (
	"math"
	"net/netip"
	"time"
	"unique"

	"github.com/fxamacker/cbor/v2"
)

// heldBan is a ban as a row holds it, in a third of the memory of a Ban: what bans have in common
// they share, and evidence stays in the form in which it is written. It is immutable.
type heldBan struct {
	start, end      time.Time
	words           unique.Handle[banWords]
	ev              packed
	seq             uint64
	failures, count int32
	enforced        bool
	shadow          bool
}

// banWords are the texts of a ban.
type banWords struct{ scope, reason, source, trust, verdict string }

// packed is evidence as it is written, "" for none.
type packed string

// packRoom is how many bytes of evidence are put together without memory of their own.
const packRoom = 2048

func pack(ev []Evidence) packed {
	if len(ev) == 0 {
		return ""
	}
	var room [packRoom]byte
	return packed(appendEvidence(room[:0], ev))
}

// list is the evidence. What cannot be read, in a file whose sums are right, is left out.
func (p packed) list() []Evidence {
	var ev []savedEvidence
	if p == "" || decoding.Unmarshal([]byte(p), &ev) != nil {
		return nil
	}
	return loadEvidence(ev)
}

// loaded is what appendTo wrote: an empty list is one byte.
func loaded(raw cbor.RawMessage) packed {
	if len(raw) <= 1 {
		return ""
	}
	return packed(raw)
}

// hold is the form of b in which a row keeps it.
func hold(b *Ban) *heldBan {
	return &heldBan{
		start: b.Start, end: b.End, ev: pack(b.Evidence), seq: b.Seq,
		words:    unique.Make(banWords{b.Scope, b.Reason, b.Source, b.Trust, b.Verdict}),
		failures: int32(min(b.Failures, math.MaxInt32)), count: int32(min(b.Count, math.MaxInt32)),
		enforced: b.Enforced, shadow: b.Shadow,
	}
}

// bare is the ban of a prefix in a jail as others see it, without its evidence.
func (h *heldBan) bare(jail string, prefix netip.Prefix) *Ban {
	w := h.words.Value()
	return &Ban{
		Jail: jail, Prefix: prefix, Scope: w.scope, Start: h.start, End: h.end, Reason: w.reason, Source: w.source, Trust: w.trust,
		Failures: int(h.failures), Count: int(h.count), Enforced: h.enforced, Shadow: h.shadow, Verdict: w.verdict, Seq: h.seq,
	}
}

// ban is bare with the evidence.
func (h *heldBan) ban(jail string, prefix netip.Prefix) *Ban {
	b := h.bare(jail, prefix)
	b.Evidence = h.ev.list()
	return b
}

func (h *heldBan) scope() string { return h.words.Value().scope }
