package state

import (
	"math"
	"net/netip"
	"time"
	"unique"

	"github.com/fxamacker/cbor/v2"
)

// The forms in which the state is read, and written by append.go. Fields are only ever added at the
// end, with a new schema number; times are Unix nanoseconds, 0 for none.

// schema is the version of these forms.
const schema = 1

type savedHeader struct {
	_      struct{} `cbor:",toarray"`
	Schema int
	Saved  int64
	Jails  []savedJail
	Names  []string // of sources, by number
}

type savedJail struct {
	_              struct{} `cbor:",toarray"`
	Name           string
	Failed, Banned int64
}

type savedRow struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Items []savedItem
}

type savedItem struct {
	_    struct{} `cbor:",toarray"`
	Jail int      // number of the jail in the header
	Win  *savedWindow
	Ban  *savedBan
	Past *savedPast
}

type savedWindow struct {
	_        struct{} `cbor:",toarray"`
	Keep     int64
	Half     int
	Hits     []savedHit
	Evidence []savedEvidence
}

type savedHit struct {
	_      struct{} `cbor:",toarray"`
	Time   int64
	N, Src uint32
}

type savedEvidence struct {
	_              struct{} `cbor:",toarray"`
	Time, Received int64
	Source, Trust  string
	Origin, User   string
	Pattern        int
	Raw            []byte // as bytes: lines need not be UTF-8
}

type savedBan struct {
	_          struct{} `cbor:",toarray"`
	Scope      string
	Start, End int64
	Reason     []byte
	Source     string
	Trust      string
	Failures   int
	Count      int
	Shadow     bool
	Verdict    string
	Evidence   cbor.RawMessage // of []savedEvidence
}

type savedPast struct {
	_     struct{} `cbor:",toarray"`
	Count int
	Last  int64

	Evidence cbor.RawMessage // of []savedEvidence
}

// The kinds of journal records.
const (
	recordBan   = 1 // the prefix is banned in the jail as said, whatever was before
	recordUnban = 2
	recordCount = 3 // only the totals
)

type savedRecord struct {
	_              struct{} `cbor:",toarray"`
	Kind           int
	Jail           string
	Failed, Banned int64 // the jail's totals
	Key            []byte
	Ban            *savedBan
}

var (
	encoding = must(cbor.EncOptions{}.UserBufferEncMode())
	decoding = must(cbor.DecOptions{
		MaxArrayElements: 1 << 20, MaxMapPairs: 16, MaxNestedLevels: 16,
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("state: " + err.Error())
	}
	return v
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

func loadEvidence(ev []savedEvidence) []Evidence {
	if len(ev) == 0 {
		return nil
	}
	out := make([]Evidence, len(ev))
	for i := range ev {
		e := &ev[i]
		out[i] = Evidence{Time: fromNanos(e.Time), Received: fromNanos(e.Received), Source: e.Source, Trust: e.Trust,
			Origin: e.Origin, User: e.User, Pattern: e.Pattern, Raw: string(e.Raw)}
	}
	return out
}

// loadBan returns nil when the ban has ended.
func (v view) loadBan(b *savedBan) *heldBan {
	out := &heldBan{start: fromNanos(b.Start), ev: loaded(b.Evidence),
		words:    unique.Make(banWords{b.Scope, string(b.Reason), b.Source, b.Trust, b.Verdict}),
		failures: int32(min(b.Failures, math.MaxInt32)), count: int32(min(b.Count, math.MaxInt32)), shadow: b.Shadow,
		enforced: v.s.opt.Enforced && !b.Shadow}
	var lasts bool
	if out.end, lasts = v.ends(b.Start, b.End); !lasts {
		return nil
	}
	return out
}

// over is a ban that has ended, without its evidence.
func (b *savedBan) over(jail string, prefix netip.Prefix) *Ban {
	return &Ban{Jail: jail, Prefix: prefix, Scope: b.Scope, Start: fromNanos(b.Start), End: fromNanos(b.End), Reason: string(b.Reason),
		Source: b.Source, Trust: b.Trust, Failures: b.Failures, Count: b.Count, Shadow: b.Shadow, Verdict: b.Verdict}
}

// at places a saved wall time on the store's clock, never in the future.
func (v view) at(nanos int64) int64 { return v.mono - max(v.now.UnixNano()-nanos, 0) }

// loadWindow returns nil when the window is empty by now. src translates the numbers of sources.
func (v view) loadWindow(w *savedWindow, src func(uint32) uint32) *window {
	out := &window{keep: w.Keep, half: w.Half, ev: loadEvidence(w.Evidence)}
	for _, h := range w.Hits {
		out.hits = append(out.hits, hit{t: v.at(h.Time), n: h.N, src: src(h.Src), user: w.userAt(h.Time)})
		out.n += int(h.N)
	}
	if len(out.hits) == 0 || out.deadline() <= v.mono {
		return nil
	}
	return out
}

// userAt stands for the user of the failure at that time, as far as its evidence was kept. The two
// times came from one, by two clocks.
func (w *savedWindow) userAt(nanos int64) uint32 {
	var user uint32
	nearest := int64(maxDrift)
	for i := range w.Evidence {
		if d := max(w.Evidence[i].Time-nanos, nanos-w.Evidence[i].Time); d < nearest {
			user, nearest = userHash(w.Evidence[i].User), d
		}
	}
	return user
}
