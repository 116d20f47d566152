package catalogue

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
)

// TestCutLines lets a client write the end of a line that somebody cuts: what it wrote ends at, or
// some bytes around, the place of the cut, and accuses somebody else. The limits are those of
// carriers, which mark what they cut, and the daemon's own.
func TestCutLines(t *testing.T) {
	entries, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	step := 5
	switch {
	case *long || os.Getenv("STOCKADE_REQUIRE") == "all":
		step = 1
	case testing.Short() || raceEnabled:
		step = 16
	}
	for _, e := range entries {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			tryCut(t, e, 8<<10, true, step)
			if step < 16 {
				tryCut(t, e, 64<<10, true, step)
			}
			if e.Cut > 0 {
				tryCut(t, e, e.Cut+64, false, step)
			}
		})
	}
}

// tryCut cuts lines of every marked sample at the limit. marked says that whoever cuts says so.
func tryCut(t *testing.T, e *Entry, limit int, marked bool, step int) {
	t.Helper()
	var samples []*Sample
	for i := range e.Samples {
		if s := &e.Samples[i]; strings.Contains(s.Line, openMark) {
			samples = append(samples, s)
		}
	}
	if len(samples) == 0 {
		return
	}
	set := newSet(t, []string{e.Name})
	m, route := set.NewMatcher(), set.All()
	n := 0
	for k := -64; k <= 64; k += step {
		s := samples[n%len(samples)]
		n++
		before, rest, _ := strings.Cut(s.Line, openMark)
		_, after, _ := strings.Cut(rest, closeMark)
		fake := escapeAs(s.Escape, addrLike.ReplaceAllLiteralString(Plain(after), evil[0]))
		whole := before + strings.Repeat("x", max(0, limit+k-len(before)-len(fake))) + fake + strings.Repeat("y", 200) + Plain(after)
		line := filter.Line{
			App: []byte("x"), Host: []byte("h"), Text: []byte(whole[:limit]), Cut: marked,
			Time: time.Unix(int64(1_700_000_000+n*1000), 0), Facility: e.facility(), Source: "s",
		}
		for _, got := range m.Match(&line, route) {
			if want := netip.MustParseAddr(s.Addr).Unmap(); got.Addr != want {
				t.Errorf("cut at %d%+d: accuses %v, the true peer is %v; sample %q", limit, k, got.Addr, want, s.Line)
				return
			}
		}
	}
}

// TestCutLinesAccuseWithoutCare shows that the lines of TestCutLines are what they are meant to be.
func TestCutLinesAccuseWithoutCare(t *testing.T) {
	e, err := Find("nginx")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := e.Spec(ModeNormal)
	if err != nil {
		t.Fatal(err)
	}
	spec.Cut = 0
	f, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	set := filter.NewSet([]*filter.Filter{f}, nil)
	text := `[error] 5#5: *9 user "bob` + strings.Repeat("x", 1900) + `": password mismatch, client: 198.51.100.66, server: y`
	for cut, want := range map[bool]int{false: 1, true: 0} {
		line := filter.Line{App: []byte("nginx"), Text: []byte(text), Facility: -1, Cut: cut}
		if got := set.NewMatcher().Match(&line, set.All()); len(got) != want {
			t.Errorf("cut %v: %d matches, want %d", cut, len(got), want)
		}
	}
}
