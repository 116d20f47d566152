package decode

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"stockade/receiver/frame"
)

// killers are inputs that ended or hung other receivers (bar B1), and shapes that are dear here.
var killers = []string{
	"", "<", "<13>", "<0>", "<1", "<999>", "<>", "<-1>", "<" + strings.Repeat("4", 5000), "-1 ", "0 ", "007 x",
	strings.Repeat("1", 2000), "9223372036854775807", "\x00\x00", "<34>\x00", "<34>1", "<34>1 ", "<34>1 -", "<34>1 - ",
	"<34>1 - - - - - ", "<34>1 - - - - - [", "<34>1 - - - - - []", "<34>1 - - - - - [a", "<34>1 - - - - - [a]", "<34>1 - - - - - [a b",
	"<34>1 - - - - - [a b=", `<34>1 - - - - - [a b="`, `<34>1 - - - - - [a b="\`, `<34>1 - - - - - [a b="\"]`, `<34>1 - - - - - [a b=""`,
	`<34>1 - - - - - [a b=""]x`, "<34>1 - - - - - -x", "<34>1 2026-11-24T06:00:00Z", "<34>1 2026-11-24T06:00:00Z h",
	"<167>2022-08-21T00:07:06.7", "<34>2026-11-24T06:00:00+", "<34>2026-11-24T06:00:00+01:", "<34>2026-11-24T06:00:00.", "<34>2026-11-24",
	"<34>Nov", "<34>Nov 24", "<34>Nov 24 06:00:0", "<34>Nov 24 06:00:00.", "<34>Nov 24 06:00:00 ", "<34>Nov 24 06:00:00:", "<34>Nov                             ",
	"<34>Nov 24 06:00:00 a[", "<34>Nov 24 06:00:00 a[]", "<34>Nov 24 06:00:00 a[1]", "<34>Nov 24 06:00:00 h a[1", "<34>Nov 24 06:00:00 h :", "<34>Nov 24 06:00:00 h : ",
	"<34>:", "<34>45:", "<34>45: ", "<34>45: *", "<34>45: h:", "<34>45: h: ", "<34>*", "<34>.", "<34>%", "<34>%A-5-B", "<34>%A-5-B:", "<34>2026 Nov", "<34>2026 Nov 24 06:00:00",
	"<34>" + strings.Repeat("x", 65532), "<34>" + strings.Repeat("1", 65532), "<34>" + strings.Repeat(" ", 65532), "<34>" + strings.Repeat("a,", 32766), "<34>" + strings.Repeat("a:", 32766),
	"<34>1 - - - - - " + strings.Repeat("[a]", 20000), "<34>1 - - - - - [" + strings.Repeat("a", 65000), "<34>1 - - - - - [a" + strings.Repeat(` b="c"`, 10000) + "]",
	"<34>" + strings.Repeat("1: ", 20000), "<34>Nov 24 06:00:00 " + strings.Repeat("[", 65000), "<34>Nov 24 06:00:00 h a[" + strings.Repeat("1", 65000),
	"<34>Nov 24 06:00:00." + strings.Repeat("1", 65000), "<34>message repeated " + strings.Repeat("1", 65000) + " times: [ ]", "<34>message repeated 1 times: []", "<34>message repeated 1 times: [",
	"<34>\xef\xbb\xbf", "<34>\xef", "<34>\xff\xfe\xfd", "<34>1 - - - - - - \xef\xbb", "<34>Nov 24 06:00:00 \xff\xff \xff: \xff",
}

func TestB1KillerCorpus(t *testing.T) {
	d := New(time.UTC)
	var m Message
	for _, k := range killers {
		d.Decode([]byte(k), fixtureReceived, &m)
		checkMessage(t, []byte(k), &m)
		best := time.Hour
		for range 5 { // the machine is shared: one quiet run is enough
			began := time.Now()
			d.Decode([]byte(k), fixtureReceived, &m)
			d.DecodeLine([]byte(k), fixtureReceived, &m)
			best = min(best, time.Since(began))
		}
		if best > 50*time.Millisecond { // the bar is 1 ms
			t.Errorf("%q: took %v", k[:min(len(k), 40)], best)
		}
		d.Decode([]byte("<38>Nov 24 06:00:00 h sshd[1]: good"), fixtureReceived, &m)
		if string(m.App) != "sshd" || string(m.Text) != "good" {
			t.Errorf("after %q a good frame reads %q %q", k[:min(len(k), 40)], m.App, m.Text)
		}
	}
}

// checkMessage holds what is true of every message: its fields are parts of the frame in their
// order, and no byte is lost but what belongs to a header.
func checkMessage(t *testing.T, frame []byte, m *Message) {
	t.Helper()
	if m.Form >= Form(Forms) || m.Repeat < 1 || m.Repeat > MaxRepeat || m.Facility > 23 || m.Severity > 7 || (m.Facility < 0) != (m.Severity < 0) {
		t.Fatalf("frame %q: form %d, repeat %d, facility %d, severity %d", frame, m.Form, m.Repeat, m.Facility, m.Severity)
	}
	if m.Form == Unknown && !bytes.Equal(m.Text, frame) {
		t.Fatalf("frame %q: no header, but the text is %q", frame, m.Text)
	}
	body := frame
	if m.Repeat > 1 || bytes.Contains(frame, []byte("message repeated ")) { // it may say once
		body = bytes.TrimSuffix(body, []byte("]"))
	}
	if !bytes.HasSuffix(body, m.Text) && !bytes.HasSuffix(frame, m.Text) {
		t.Fatalf("frame %q: text %q is not its end", frame, m.Text)
	}
	for _, part := range [][]byte{m.Hostname, m.App, m.ProcID, m.MsgID} {
		if len(part) == 0 {
			continue
		}
		if bytes.IndexByte(part, ' ') >= 0 || !bytes.Contains(frame, part) {
			t.Fatalf("frame %q: field %q", frame, part)
		}
	}
	if m.Form == Bare || m.Form == Unknown {
		if m.Form == Unknown && (m.Hostname != nil || m.App != nil || m.ProcID != nil) {
			t.Fatalf("frame %q: fields without a header", frame)
		}
	}
	if len(m.SD) > 0 && (m.Form != RFC5424 || !bytes.Contains(frame, m.SD)) {
		t.Fatalf("frame %q: structured data %q", frame, m.SD)
	}
	if m.ZoneGuessed && m.Stamp.IsZero() {
		t.Fatalf("frame %q: a zone was guessed for no stamp", frame)
	}
	checkNothingLost(t, frame, m)
}

// checkNothingLost removes the fields and the text from a frame without structured data; what
// is left must not hold a word of the message, only PRI, version, stamps, zones and punctuation.
func checkNothingLost(t *testing.T, frame []byte, m *Message) {
	t.Helper()
	if m.Form != RFC3164 && m.Form != ISO && m.Form != Bare || bytes.Contains(frame, []byte("message repeated ")) {
		return
	}
	head := frame[:len(frame)-len(m.Text)]
	if len(m.App) > 0 && bytes.HasPrefix(m.App, []byte("%")) {
		return // Cisco's header has sequence numbers, marks and uptimes
	}
	limit := len("<191>") + len(m.Hostname) + len(m.App) + len(m.ProcID) + bytes.Count(head, []byte{' '}) + len("1:[]:: ")
	if !m.Stamp.IsZero() {
		limit += len("2026-11-24T06:00:00.+01:00") + fractionLen(head)
	}
	limit += bytes.Count(head, bom) * len(bom)
	if len(m.App) <= maxTag3164 && len(head) > maxTag3164 {
		limit += maxTag3164 // a cut tag may lose its cut PID
	}
	if len(head) > limit {
		t.Fatalf("frame %q: header of %d bytes holds more than its fields (%d): host %q, app %q, pid %q, text %q",
			frame, len(head), limit, m.Hostname, m.App, m.ProcID, m.Text)
	}
}

// fractionLen is the longest run of digits.
func fractionLen(b []byte) int {
	best, run := 0, 0
	for _, c := range b {
		if run++; !isDigit(c) {
			run = 0
		}
		best = max(best, run)
	}
	return best
}

func TestYearOfAStamp(t *testing.T) {
	for _, c := range []struct{ name, received, stamp, want string }{
		{"same day", "2026-11-24T06:00:00Z", "Nov 24 05:59:58", "2026-11-24T05:59:58Z"},
		{"31 December read in January", "2027-01-01T00:00:03Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"},
		{"1 January read in December, a clock that runs ahead", "2026-12-31T23:59:58Z", "Jan  1 00:00:01", "2027-01-01T00:00:01Z"},
		{"the first second of a year", "2027-01-01T00:00:00Z", "Jan  1 00:00:00", "2027-01-01T00:00:00Z"},
		{"a queue of a week over New Year", "2027-01-04T00:00:00Z", "Dec 28 10:00:00", "2026-12-28T10:00:00Z"},
		{"29 February on its day", "2028-02-29T12:00:00Z", "Feb 29 11:59:59", "2028-02-29T11:59:59Z"},
		{"29 February read on 1 March", "2028-03-01T00:00:01Z", "Feb 29 23:59:59", "2028-02-29T23:59:59Z"},
		{"29 February read on 28 February, a clock that runs ahead", "2028-02-28T23:59:59Z", "Feb 29 00:00:01", "2028-02-29T00:00:01Z"},
		{"29 February in a year without one", "2027-03-01T00:00:01Z", "Feb 29 23:59:59", "2028-02-29T23:59:59Z"},
		{"29 February after 2100, which is no leap year", "2101-03-01T00:00:00Z", "Feb 29 00:00:00", "2104-02-29T00:00:00Z"},
		{"five months ago", "2026-11-24T06:00:00Z", "Jun 24 06:00:00", "2026-06-24T06:00:00Z"},
		{"seven months ago is five months ahead", "2026-11-24T06:00:00Z", "Apr 24 06:00:00", "2027-04-24T06:00:00Z"},
		{"leap second", "2026-12-31T23:59:59Z", "Dec 31 23:59:60", "2027-01-01T00:00:00Z"},
		{"a year of its own", "2026-11-24T06:00:00Z", "Apr 24 2019 06:00:00", "2019-04-24T06:00:00Z"},
		{"before 1970", "1969-12-31T23:59:59Z", "Dec 31 23:59:58", "1969-12-31T23:59:58Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			received, err := time.Parse(time.RFC3339, c.received)
			if err != nil {
				t.Fatal(err)
			}
			d := New(time.UTC)
			var m Message
			for range 2 { // the second time from the cache
				d.Decode([]byte("<38>"+c.stamp+" h a: text"), received, &m)
				if got := m.Stamp.Format(time.RFC3339); got != c.want || !m.ZoneGuessed {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestStampCacheChangesNothing(t *testing.T) {
	shared := New(fixtureZone)
	var got, want Message
	received := time.Date(2026, 12, 30, 0, 0, 0, 0, time.UTC)
	for i := range 2000 {
		received = received.Add(time.Duration(i%7) * 7 * time.Minute)
		stamp := received.Add(time.Duration(i%3-1) * time.Second).Truncate(4 * time.Second).Format(time.Stamp)
		line := []byte("<38>" + stamp + " h a: text")
		shared.Decode(line, received, &got)
		New(fixtureZone).Decode(line, received, &want)
		if !got.Stamp.Equal(want.Stamp) || got.Stamp.IsZero() {
			t.Fatalf("%s received %v: %v from the cache, else %v", line, received, got.Stamp, want.Stamp)
		}
	}
}

func TestZoneOfTheDecoder(t *testing.T) {
	var m Message
	line := []byte("<38>Nov 24 06:00:00 h a: text")
	New(nil).Decode(line, fixtureReceived, &m)
	if want := time.Date(2026, 11, 24, 6, 0, 0, 0, time.Local); !m.Stamp.Equal(want) {
		t.Errorf("nil location: %v, want %v", m.Stamp, want)
	}
	if m.Stamp.Location() != time.UTC {
		t.Errorf("stamp is in %v, want UTC", m.Stamp.Location())
	}
}

func TestDecodeAllocatesNothing(t *testing.T) {
	d := New(fixtureZone)
	var m Message
	var frames [][]byte
	for _, f := range fixtures(t) {
		frames = append(frames, frame.Datagram([]byte(f.Frame), 0).Bytes)
	}
	for _, k := range killers {
		frames = append(frames, []byte(k))
	}
	n := testing.AllocsPerRun(10, func() {
		for _, f := range frames {
			d.Decode(f, fixtureReceived, &m)
			d.DecodeLine(f, fixtureReceived, &m)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestDecodeOverwritesTheMessage(t *testing.T) {
	d := New(time.UTC)
	var m, fresh Message
	all := fixtures(t)
	for i, f := range all {
		d.Decode([]byte(all[(i*7+3)%len(all)].Frame), fixtureReceived, &m)
		d.Decode([]byte(f.Frame), fixtureReceived, &m)
		fresh = Message{}
		d.Decode([]byte(f.Frame), fixtureReceived, &fresh)
		if fixtureOf(&m).Text != fixtureOf(&fresh).Text || string(m.App) != string(fresh.App) || m.Form != fresh.Form ||
			string(m.SD) != string(fresh.SD) || string(m.Hostname) != string(fresh.Hostname) || m.Malformed != fresh.Malformed {
			t.Errorf("%s: a used message reads %+v, a fresh one %+v", f.Name, fixtureOf(&m), fixtureOf(&fresh))
		}
	}
}

func TestFormNames(t *testing.T) {
	seen := map[string]bool{}
	for f := range Forms {
		seen[Form(f).String()] = true
	}
	if len(seen) != Forms || seen[""] {
		t.Errorf("names %v", seen)
	}
}
