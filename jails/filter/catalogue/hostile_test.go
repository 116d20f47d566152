package catalogue

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"stockade/jails/filter"
)

var long = flag.Bool("long", false, "long forms: 1,000,000 hostile lines a filter")

// evil are the addresses that hostile fields accuse. No sample uses them.
var evil = []string{"198.51.100.66", "2001:db8:666::66", "::ffff:198.51.100.66", "[2001:db8:666::66]", "198.51.100.66:22"}

// scraps are what attackers are known to put into names, requests and greetings.
var scraps = []string{
	" from %s port 22 ssh2", "root from %s", " [%s]", "(%s)", "<%s>", "'%s'", `"%s"`, " rhost=%s ", ", client: %s, server: x", " rip=%s,",
	"%s - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 401 0", "' failed for '%s:5060' - Wrong password", " IP: %s", "user=x ip=%s",
	"\n%s", "\r\n%s\r\n", "\x00%s", "\t%s\t", " %s ", "%s", "@%s", "%s.", ".%s", "%s,%s", " SRC=%s DST=%s ", "host=%s", "%%s%s", "%s/32",
	`","remote_ip":"%s","x":"`, `\",\"remote_ip\":\"%s`, `\`, `\\`, `"`, `'`, `]`, `)`, `: `, `, `, ` `, ``, "\xff\xfe", "é", "» «", "%n", "$(x)",
	"%s: ", "]: Failed password for root from %s port 1 ssh2", "message repeated 2 times: [ %s]", "-%s-", "ip-198-51-100-66.example", "%s.example.net",
}

var addrLike = regexp.MustCompile(`(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]+`)

// hostile makes field values out of scraps and out of the filter's own sample lines, in which
// every address is replaced by one that did nothing.
type hostile struct {
	rnd    *rand.Rand
	pieces []string // scraps and sample lines, each with every evil address
	lines  int      // the first so many pieces are lines
	buf    []byte
}

func newHostile(e *Entry) *hostile {
	h := &hostile{rnd: rand.New(rand.NewPCG(1, 2))}
	for _, s := range e.Samples {
		for _, l := range append([]string{s.Line}, s.Lines...) {
			for _, addr := range evil {
				if l != "" {
					h.pieces = append(h.pieces, addrLike.ReplaceAllLiteralString(Plain(l), addr))
				}
			}
		}
	}
	h.lines = len(h.pieces)
	for _, s := range scraps {
		for _, addr := range evil {
			h.pieces = append(h.pieces, strings.ReplaceAll(s, "%s", addr))
		}
	}
	return h
}

// piece returns a scrap, or a line or its beginning, its end or its middle.
func (h *hostile) piece() string {
	if h.rnd.IntN(2) == 0 {
		return h.pieces[h.lines+h.rnd.IntN(len(h.pieces)-h.lines)]
	}
	l := h.pieces[h.rnd.IntN(h.lines)]
	lo, hi := 0, len(l)
	if h.rnd.IntN(2) == 0 {
		lo = h.rnd.IntN(len(l) + 1)
	}
	if h.rnd.IntN(2) == 0 {
		hi = lo + h.rnd.IntN(len(l)-lo+1)
	}
	return l[lo:hi]
}

func (h *hostile) field() string {
	h.buf = h.buf[:0]
	for range 1 + h.rnd.IntN(4) {
		h.buf = append(h.buf, h.piece()...)
	}
	return string(h.buf)
}

// fill replaces each marked part of a sample by a hostile value, as the daemon would write it.
// Parts that are equal in the sample are equal in the answer: a daemon may name a user twice.
func (h *hostile) fill(line, escape string, same map[string]string) string {
	var b strings.Builder
	b.Grow(1024)
	for {
		before, rest, ok := strings.Cut(line, openMark)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		var part string
		part, line, _ = strings.Cut(rest, closeMark)
		if _, ok := same[part]; !ok {
			same[part] = escapeAs(escape, h.field())
		}
		b.WriteString(same[part])
	}
}

// escapeAs writes a value as daemons with that habit do.
func escapeAs(how, s string) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := range len(s) {
		c := s[i]
		switch {
		case how == "":
			if c == '\n' || c == 0 {
				c = ' ' // no line holds these
			}
			b.WriteByte(c)
		case how == "word" && (c <= ' ' || c == 0x7f):
			b.WriteByte('_')
		case how == "hostname" && !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_", rune(c)):
			b.WriteByte('-')
		case how == "csv" && c == '"':
			b.WriteString(`""`)
		case how == "csv" && (c == '\n' || c == 0):
			b.WriteByte(' ')
		case how == "json" && c == '"', (how == "json" || how == "quote") && c == '\\', how == "quote" && c == '"':
			b.WriteString(`\` + string(rune(c)))
		case how == "json" && c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		case how == "quote" && c < ' ':
			fmt.Fprintf(&b, `\x%02x`, c)
		case how == "hex" && (c < ' ' || c == '"' || c == '\\' || c >= 0x7f):
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// TestHostileFields puts hostile text into every marked field: the one accused must be the true
// peer or nobody.
func TestHostileFields(t *testing.T) {
	n := 2_000
	switch {
	case *long:
		n = 1_000_000
	case testing.Short() || raceEnabled:
		n = 100
	case os.Getenv("STOCKADE_REQUIRE") == "all":
		n = 100_000
	}
	entries, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			for _, mode := range e.Modes() {
				hit, wrong := tryHostile(t, e, mode, n/len(e.Modes()))
				if wrong != "" {
					t.Errorf("mode %s: %s", mode, wrong)
				} else if hit == 0 {
					t.Errorf("mode %s: no hostile line was recognised at all", mode)
				}
				t.Logf("mode %s: %d of %d lines name the true peer, the others nobody", mode, hit, n/len(e.Modes()))
			}
		})
	}
}

// TestHostileFieldsFindWeakPatterns makes sure that the generator finds what it is meant to find.
func TestHostileFieldsFindWeakPatterns(t *testing.T) {
	for _, weak := range []struct{ pattern, sample string }{
		{"login failed: user={user*} ip={addr}, reason={_*}", "login failed: user=«bob» ip=192.0.2.1, reason=«x»"},
		{"{_*}, client: {addr}, server: {_*}", "user \"bob\": password mismatch, client: 192.0.2.1, server: x, request: \"«GET /»\""},
		{"refused {_*}[{addr}]", "refused host[192.0.2.1] «x»"},
	} {
		e := &Entry{
			Name: "weak", Title: "weak", Apps: []string{"x"},
			Patterns: []Pattern{{Name: "weak", Proof: "handshake", Text: weak.pattern}},
			Samples:  []Sample{{Line: weak.sample, Addr: "192.0.2.1"}},
		}
		if _, wrong := tryHostile(t, e, ModeNormal, 20_000); wrong == "" {
			t.Errorf("%q passes for a safe pattern", weak.pattern)
		}
	}
}

// tryHostile matches n lines whose marked fields are hostile. It returns how many were recognised,
// and the first that accuses somebody who did not send it.
func tryHostile(t *testing.T, e *Entry, mode string, n int) (hit int, wrong string) {
	t.Helper()
	var samples []*Sample
	for i := range e.Samples {
		if s := &e.Samples[i]; strings.Contains(s.Line+strings.Join(s.Lines, ""), openMark) {
			samples = append(samples, s)
		}
	}
	if len(samples) == 0 {
		return 0, "no sample with marked fields"
	}
	spec, err := e.Spec(mode)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	h := newHostile(e)
	set := filter.NewSet([]*filter.Filter{f}, nil)
	m, route := set.NewMatcher(), set.All()
	same := map[string]string{}
	for i := range n {
		s := samples[i%len(samples)]
		lines := s.Lines
		if s.Line != "" {
			lines = []string{s.Line}
		}
		// Every sample is a connection of its own.
		line := filter.Line{
			App: []byte("x"), Host: []byte("h"), PID: fmt.Appendf(nil, "%d", i),
			Time: time.Unix(int64(1_700_000_000+i*1000), 0), Facility: e.facility(), Source: "s",
		}
		clear(same)
		for _, l := range lines {
			line.Text = []byte(h.fill(l, s.Escape, same))
			for _, got := range m.Match(&line, route) {
				hit++
				if want := netip.MustParseAddr(s.Addr); got.Addr != want.Unmap() {
					return hit, fmt.Sprintf("pattern %q accuses %v, the true peer is %v:\n%q",
						f.Patterns()[got.Pattern].Name, got.Addr, want, line.Text)
				}
			}
		}
	}
	return hit, ""
}
