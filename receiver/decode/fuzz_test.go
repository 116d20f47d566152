package decode

import (
	"testing"
	"time"

	"stockade/receiver/frame"
)

// FuzzDecode holds what checkMessage says, that a decoder's past changes nothing, and that the
// same message read as a line of a file keeps its text.
func FuzzDecode(f *testing.F) {
	for _, s := range fixtures(f) {
		f.Add([]byte(s.Frame), int64(1795503600))
	}
	for _, k := range killers {
		f.Add([]byte(k[:min(len(k), 300)]), int64(0))
	}
	used := New(fixtureZone)
	f.Fuzz(func(t *testing.T, data []byte, received int64) {
		at := time.Unix(received%(1<<33), 0)
		var m, again Message
		in := frame.Datagram(data, 0).Bytes
		New(fixtureZone).Decode(in, at, &m)
		checkMessage(t, in, &m)
		used.Decode(in, at, &again)
		got, want := fixtureOf(&again), fixtureOf(&m)
		got.PRI, want.PRI = nil, nil
		if got != want {
			t.Fatalf("frame %q: a used decoder reads %+v, a new one %+v", in, got, want)
		}
		if len(m.SD) > 0 {
			if n, _ := checkSD(m.SD); n != len(m.SD) {
				t.Fatalf("frame %q: structured data %q is broken", in, m.SD)
			}
		}
		if used.DecodeLine(in, at, &again); again.Form == File {
			checkMessage(t, in, &again)
		}
	})
}
