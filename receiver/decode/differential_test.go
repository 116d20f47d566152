package decode

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gopkg.in/mcuadros/go-syslog.v2/format"
)

// oracle parses a frame with go-syslog; ok is false when it fails or panics.
func oracle(f format.Format, frame string) (parts format.LogParts, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	p := f.GetParser([]byte(frame))
	p.Location(time.UTC)
	if p.Parse() != nil {
		return nil, false
	}
	return p.Dump(), true
}

// generator makes frames of the shapes that both decoders mean to understand.
type generator struct{ *rand.Rand }

// testRand returns a source whose numbers are the same in every run.
func testRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) pri() string { return fmt.Sprintf("<%d>", g.IntN(192)) }

func (g generator) host() string {
	return g.pick("web1", "db.example.net", "192.0.2.7", "2001:db8::7", "UDM-RDC,f2e3fac05cfb,udm-1.11.0.3921", "x_y")
}

func (g generator) app() string {
	return g.pick("sshd", "postfix/smtpd", "nginx", "systemd-logind", "php-fpm", "a.b_c", "4fa1b2c3d4e5")
}

func (g generator) text() string {
	return g.pick("Failed password for root from 192.0.2.7 port 55000 ssh2", "x", "a: b[1]: c", "[preauth] <34>1 - - -",
		"Ünïcode \xff bytes", `{"json": "yes"}`, "tab\tinside", "1 2 3", "10.0.0.1 - - \"GET / HTTP/1.1\" 401 0", "system,error,critical inside")
}

func (g generator) frame3164() string {
	pid := g.pick("", "", "[1]", "[4711]")
	at := fixtureReceived.Add(-time.Duration(g.IntN(1_000_000)) * time.Second)
	return g.pri() + at.Format(time.Stamp) + " " + g.host() + " " + g.app() + pid + ": " + g.text()
}

func (g generator) frame5424() string {
	sd := g.pick("-", "-", `[a@1 x="y"]`, `[a@1 x="y" z="q r"]`, `[a@1 x="\"\]\\"]`, "[a@1]", `[a@1 x="y"][b@1 x="y"]`)
	at := fixtureReceived.Add(-time.Duration(g.IntN(1_000_000)) * time.Millisecond)
	stamp := g.pick("-", at.Format(time.RFC3339), at.Format("2006-01-02T15:04:05.000Z07:00"), at.In(fixtureZone).Format("2006-01-02T15:04:05.000000Z07:00"))
	f := g.pri() + "1 " + stamp + " " + g.pick("-", g.host()) + " " + g.pick("-", g.app()) + " " + g.pick("-", "1", "4711") + " " + g.pick("-", "ID47") + " " + sd
	if g.IntN(10) > 0 {
		f += " " + g.text()
	}
	return f
}

// nilWord writes an absent field of RFC 5424 as go-syslog reports it.
func nilWord(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

func TestDifferential3164(t *testing.T) {
	g := generator{testRand(3164)}
	d := New(time.UTC)
	var m Message
	compared := 0
	for range 5000 {
		frame := g.frame3164()
		want, ok := oracle(&format.RFC3164{}, frame)
		if !ok {
			continue
		}
		compared++
		d.Decode([]byte(frame), fixtureReceived, &m)
		got := format.LogParts{
			"hostname": string(m.Hostname), "tag": string(m.App), "content": strings.Trim(string(m.Text), " "),
			"facility": int(m.Facility), "severity": int(m.Severity),
		}
		for key, value := range got {
			if value != want[key] {
				t.Fatalf("frame %q: %s is %q, go-syslog says %q", frame, key, value, want[key])
			}
		}
		// It takes the current year always, so only the rest is compared.
		const noYear = "01-02T15:04:05"
		if at := want["timestamp"].(time.Time); m.Stamp.Format(noYear) != at.Format(noYear) {
			t.Fatalf("frame %q: stamp %v, go-syslog says %v", frame, m.Stamp, at)
		}
	}
	if compared < 4900 {
		t.Errorf("go-syslog read %d of 5000 frames", compared)
	}
}

func TestDifferential5424(t *testing.T) {
	g := generator{testRand(5424)}
	d := New(time.UTC)
	var m Message
	compared := 0
	for range 5000 {
		frame := g.frame5424()
		want, ok := oracle(&format.RFC5424{}, frame)
		if !ok {
			continue
		}
		compared++
		d.Decode([]byte(frame), fixtureReceived, &m)
		if m.Form != RFC5424 || m.Malformed {
			t.Fatalf("frame %q: form %v, malformed %v", frame, m.Form, m.Malformed)
		}
		got := format.LogParts{
			"hostname": nilWord(m.Hostname), "app_name": nilWord(m.App), "proc_id": nilWord(m.ProcID), "msg_id": nilWord(m.MsgID),
			"structured_data": nilWord(m.SD), "message": string(m.Text), "facility": int(m.Facility), "severity": int(m.Severity),
		}
		for key, value := range got {
			if value != want[key] {
				t.Fatalf("frame %q: %s is %q, go-syslog says %q", frame, key, value, want[key])
			}
		}
		if at := want["timestamp"].(time.Time); !m.Stamp.Equal(at) {
			t.Fatalf("frame %q: stamp %v, go-syslog says %v", frame, m.Stamp, at)
		}
	}
	if compared < 4000 {
		t.Errorf("go-syslog read %d of 5000 frames", compared)
	}
}

// TestDifferentialForms runs both over all fixtures and killers: where
// go-syslog reads a frame as RFC 5424, so do we.
func TestDifferentialForms(t *testing.T) {
	var frames []string
	for _, f := range fixtures(t) {
		frames = append(frames, f.Frame)
	}
	frames = append(frames, killers...)
	d := New(time.UTC)
	var m Message
	for _, frame := range frames {
		want, ok := oracle(&format.RFC5424{}, frame)
		if !ok {
			continue
		}
		d.Decode([]byte(frame), fixtureReceived, &m)
		if m.Form == RFC5424 {
			continue
		}
		// It is content with a header that breaks off; then nothing of the frame may be missing here.
		if message := want["message"].(string); !strings.HasSuffix(string(m.Text), message) {
			t.Errorf("frame %q: form %v, text %q, go-syslog reads the text %q", frame, m.Form, m.Text, message)
		}
	}
}
