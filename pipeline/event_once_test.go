package pipeline

import (
	"testing"
	"time"
)

func TestALineOfTwoSourcesCountsOnce(t *testing.T) {
	r := newRig(t, 2)
	stamp := time.Now()
	for n := range 2 {
		for _, source := range []string{"host", "liar"} { // the second hands on what the first wrote
			e := r.line("login", "failed login from 198.51.100.7")
			e.Source, e.Stamp, e.ProcID = r.sources[source], stamp.Add(time.Duration(n)*time.Second), []byte("17")
			r.judged(t, e)
		}
	}
	if held := r.enforced(t); len(held) != 0 {
		t.Fatalf("two events, each of two sources, are banned as three: %v", held)
	}
	e := r.line("login", "failed login from 198.51.100.7")
	e.Stamp, e.ProcID = stamp.Add(2*time.Second), []byte("17")
	r.judged(t, e)
	eventually(t, "the third event bans", func() bool { return len(r.enforced(t)) == 1 })
}

func TestOwnLinesAreNotLookedAt(t *testing.T) {
	r := newRig(t, 1)
	e := r.line("stockade", "failed login from 198.51.100.7")
	r.judged(t, repeat(5, e)...)
	if st := r.Stats(); st.Ignored.Load() != 5 || st.Matched.Load() != 0 {
		t.Errorf("%d ignored, %d matched; want 5 and 0", st.Ignored.Load(), st.Matched.Load())
	}
}
