package state

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unique"

	"github.com/fxamacker/cbor/v2"
)

// The plain versions: the forms of saved.go, for the CBOR library.

func saveEvidence(ev []Evidence) []savedEvidence {
	out := make([]savedEvidence, len(ev))
	for i, e := range ev {
		out[i] = savedEvidence{Time: nanos(e.Time), Received: nanos(e.Received), Source: e.Source, Trust: e.Trust,
			Origin: e.Origin, User: e.User, Pattern: e.Pattern, Raw: []byte(e.Raw)}
	}
	return out
}

func (p packed) saved() cbor.RawMessage { return p.appendTo(nil) }

func (v view) saveBan(b *heldBan, until int64) *savedBan {
	w := b.words.Value()
	out := &savedBan{Scope: w.scope, Start: nanos(b.start), Reason: []byte(w.reason), Source: w.source, Trust: w.trust,
		Failures: int(b.failures), Count: int(b.count), Shadow: b.shadow, Verdict: w.verdict, Evidence: b.ev.saved()}
	if until != forever {
		out.End = wall(v.now, v.mono, until).UnixNano()
		out.Start += out.End - b.end.UnixNano()
	}
	return out
}

func (v view) saveRow(r *row, number map[*jailRow]int) *savedRow {
	out := &savedRow{Key: r.key, Items: make([]savedItem, len(r.items))}
	for i, it := range r.items {
		to := &out.Items[i]
		to.Jail = number[it.jail]
		if w := it.win; w != nil {
			to.Win = &savedWindow{Keep: w.keep, Half: w.half, Hits: make([]savedHit, len(w.hits)), Evidence: saveEvidence(w.ev)}
			for i, h := range w.hits {
				to.Win.Hits[i] = savedHit{Time: wall(v.now, v.mono, h.t).UnixNano(), N: h.n, Src: h.src}
			}
		}
		if it.ban != nil {
			to.Ban = v.saveBan(it.ban, it.until)
		}
		if p := it.past; p != nil {
			to.Past = &savedPast{Count: p.count, Last: wall(v.now, v.mono, p.last).UnixNano(), Evidence: p.ev.saved()}
		}
	}
	return out
}

// mustEqual compares what was appended behind a byte with what the library makes of the plain form.
func mustEqual(t *testing.T, got []byte, plain any) {
	t.Helper()
	want, err := encoding.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) == 0 || got[0] != 'x' || !bytes.Equal(got[1:], want) {
		t.Fatalf("appended\n%x, the library writes\n%x", got, want)
	}
}

// randomly makes rows of what it is seeded with.
type randomly struct {
	*rand.Rand
	v     view
	jails []*jailRow
}

// number is one of each length that a number takes, of either sign.
func (r randomly) number() int64 {
	n := int64(r.Uint64() >> r.IntN(64) >> 1)
	return []int64{n, -n, 0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, math.MinInt64}[r.IntN(13)]
}

// noise is mostly no UTF-8.
var noise = func() string {
	b := make([]byte, 70000)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}()

func (r randomly) text() string {
	return noise[:[]int{0, 1, 8, 23, 24, 200, 255, 256, 1024, len(noise)}[min(r.IntN(10), r.IntN(10), r.IntN(12))]]
}

func (r randomly) moment() time.Time {
	return []time.Time{{}, r.v.now, time.Unix(0, r.Int64()), time.Unix(0, -1-r.Int64N(1e18)), time.Unix(1, 0)}[r.IntN(5)]
}

func (r randomly) evidence() []Evidence {
	ev := make([]Evidence, []int{0, 1, 5, maxEvidence, 30}[r.IntN(5)])
	for i := range ev {
		ev[i] = Evidence{Time: r.moment(), Received: r.moment(), Source: r.text(), Trust: r.text(), Origin: r.text(),
			User: r.text(), Pattern: int(r.number()), Raw: r.text()}
	}
	return ev
}

func (r randomly) ban() (h *heldBan, until int64) {
	h = &heldBan{start: r.moment(), words: unique.Make(banWords{r.text(), r.text(), r.text(), r.text(), r.text()}), ev: pack(r.evidence()),
		failures: int32(r.number()), count: int32(r.number()), shadow: r.IntN(2) == 0, enforced: r.IntN(2) == 0}
	if r.IntN(3) == 0 {
		return h, forever
	}
	h.end = r.v.now.Add(time.Duration(r.number() >> 8))
	return h, r.number() >> 8
}

func (r randomly) row() *row {
	key := pkey{}
	for i := range key {
		key[i] = byte(r.Uint32())
	}
	out := newRow(key[:], r.IntN(3))
	for range cap(out.items) {
		it := item{jail: r.jails[r.IntN(len(r.jails))]}
		if r.IntN(2) == 0 {
			it.win = &window{keep: r.number(), half: int(r.number()), ev: r.evidence(), hits: make([]hit, r.IntN(30))}
			for i := range it.win.hits {
				it.win.hits[i] = hit{t: r.number() >> 8, n: uint32(r.number()), src: uint32(r.number())}
			}
		}
		if r.IntN(2) == 0 {
			it.ban, it.until = r.ban()
		}
		if r.IntN(2) == 0 {
			it.past = &past{count: int(r.number()), last: r.number() >> 8, ev: pack(r.evidence())}
		}
		out.items = append(out.items, it)
	}
	return out
}

// checkAppended appends rows, records and evidence, and compares them with what the library writes.
func checkAppended(t *testing.T, seed uint64) {
	s := testStore(t, Options{})
	r := randomly{rand.New(rand.NewPCG(seed, 1)), s.moment(), []*jailRow{s.jail("sshd"), s.jail(""), s.jail("web")}}
	number := map[*jailRow]int{}
	for i, j := range r.jails {
		j.failed.Store(r.number())
		j.banned.Store(r.number())
		number[j] = i * 20
	}
	one := r.row()
	mustEqual(t, r.v.appendRow([]byte("x"), one, number), r.v.saveRow(one, number))

	ev := r.evidence()
	mustEqual(t, appendEvidence([]byte("x"), ev), saveEvidence(ev))

	k, j := one.pkey(), r.jails[r.IntN(len(r.jails))]
	plain := savedRecord{Kind: recordUnban, Jail: j.name, Failed: j.failed.Load(), Banned: j.banned.Load(), Key: k[:]}
	mustEqual(t, r.v.appendRecord([]byte("x"), &k, j, nil, 0), &plain)
	h, until := r.ban()
	plain.Kind, plain.Ban = recordBan, r.v.saveBan(h, until)
	mustEqual(t, r.v.appendRecord([]byte("x"), &k, j, h, until), &plain)
	plain.Kind, plain.Key, plain.Ban = recordCount, nil, nil
	mustEqual(t, j.appendCount([]byte("x")), &plain)
}

func TestAppendWritesWhatTheLibraryWould(t *testing.T) {
	for seed := range uint64(size(200, 2000, 100000)) {
		checkAppended(t, seed)
	}
}

func FuzzAppend(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(checkAppended)
}
