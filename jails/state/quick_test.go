package state

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// bothWays is a decoder of each kind, for one store and one moment.
func bothWays(t testing.TB) (v view, jails []*jailRow, library rowDecoder) {
	t.Helper()
	s := testStore(t, Options{})
	v = s.moment()
	jails = []*jailRow{s.jail("sshd"), s.jail("web"), s.jail("recidive")}
	return v, jails, rowDecoder{l: &loader{s: s, v: v, rec: &s.recovery, jails: jails}, words: map[string]string{}}
}

// alike reports whether two rows are the same, timers aside, which loaded rows have none of.
func alike(a, b *row) bool {
	return bytes.Equal(a.key, b.key) && slices.EqualFunc(a.items, b.items, func(x, y item) bool { return reflect.DeepEqual(x, y) })
}

// TestQuickAgreesWithTheLibrary: of random rows, as they are saved, quick makes what the library does,
// or leaves them to it.
func TestQuickAgreesWithTheLibrary(t *testing.T) {
	v, jails, library := bothWays(t)
	random := rand.New(rand.NewPCG(7, 8))
	text := func() string {
		return []string{"", "22", "web1", "tls", "5 failures within 10m0s", "\xff\x00 no UTF-8"}[random.IntN(6)]
	}
	moment := func() int64 {
		return v.now.Add(time.Duration(random.Int64N(int64(96*time.Hour))) - 48*time.Hour).UnixNano()
	}
	evidence := func() packed {
		ev := make([]Evidence, random.IntN(3))
		for i := range ev {
			ev[i] = Evidence{Time: fromNanos(moment()), Source: text(), User: text(), Raw: text(), Pattern: random.IntN(300)}
		}
		return pack(ev)
	}
	quickly, all := 0, size(2000, 20000, 1000000)
	var q quick
	for range all {
		bits := []int{8, 24, 32}[random.IntN(3)]
		k := keyOf(netip.PrefixFrom(addr4(random.Uint32()).Addr(), bits).Masked())
		saved := savedRow{Key: k[:], Items: make([]savedItem, random.IntN(4))}
		for i := range saved.Items {
			it := &saved.Items[i]
			it.Jail = random.IntN(len(jails))
			if random.IntN(8) == 0 {
				it.Win = &savedWindow{Keep: int64(time.Hour), Half: 3, Hits: []savedHit{{Time: moment(), N: 1}}}
			}
			if random.IntN(4) > 0 {
				it.Ban = &savedBan{Scope: text(), Start: moment(), Reason: []byte(text()), Source: text(), Trust: text(), Verdict: text(),
					Failures: random.IntN(10) * random.IntN(math.MaxInt32), Count: random.IntN(70000), Shadow: random.IntN(4) == 0, Evidence: evidence().saved()}
				if random.IntN(4) > 0 {
					it.Ban.End = moment()
				}
			}
			if random.IntN(2) == 0 {
				it.Past = &savedPast{Count: random.IntN(300), Last: moment(), Evidence: evidence().saved()}
			}
		}
		data, err := encoding.Marshal(&saved)
		if err != nil {
			t.Fatal(err)
		}
		q.b = append(data, 0x80) // the next row follows
		got, ok := q.row(v, jails)
		if !ok {
			continue
		}
		quickly++
		if !bytes.Equal(q.b, []byte{0x80}) {
			t.Fatalf("%d bytes are left behind %x", len(q.b), data)
		}
		var again savedRow
		if err := decoding.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		want, err := library.row(&again)
		if err != nil || !alike(got, want) {
			t.Fatalf("quick and the library read %x differently (%v)", data, err)
		}
	}
	if quickly < all/4 {
		t.Errorf("quick read %d of %d rows", quickly, all)
	}
}

func FuzzQuick(f *testing.F) {
	seed := func(r savedRow) {
		data, err := encoding.Marshal(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	k := keyOf(netip.MustParsePrefix("192.0.2.7/32"))
	end := time.Now().Add(10 * 365 * 24 * time.Hour).UnixNano()
	ev := pack([]Evidence{{Time: time.Unix(1, 0), Source: "web1", Trust: "tls", Raw: "line"}}).saved()
	seed(savedRow{Key: k[:]})
	seed(savedRow{Key: k[:], Items: []savedItem{{Ban: &savedBan{Scope: "22", Start: 5, End: end, Reason: []byte("because"), Source: "a", Trust: "tls", Failures: 5, Count: 70000, Evidence: ev}}}})
	seed(savedRow{Key: k[:], Items: []savedItem{{Jail: 1, Ban: &savedBan{Reason: []byte{}, Evidence: packed("").saved()}, Past: &savedPast{Count: 300, Last: end, Evidence: ev}}}})
	seed(savedRow{Key: k[:], Items: []savedItem{{Win: &savedWindow{}}, {Jail: 2, Past: &savedPast{Evidence: packed("").saved()}}}})
	v, jails, library := bothWays(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		q := quick{b: data}
		got, ok := q.row(v, jails)
		if !ok {
			return
		}
		var saved savedRow
		rest, err := decoding.UnmarshalFirst(data, &saved)
		if err != nil || !bytes.Equal(rest, q.b) {
			t.Fatalf("quick read what the library does not: %v, %d and %d bytes are left", err, len(rest), len(q.b))
		}
		if p := (*pkey)(got.key).prefix(); !p.IsValid() || p != p.Masked() {
			return // refused behind both
		}
		want, err := library.row(&saved)
		if err != nil || !alike(got, want) {
			t.Fatalf("quick and the library read it differently: %v", err)
		}
	})
}
