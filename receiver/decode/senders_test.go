package decode

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"stockade/receiver/frame"
)

// fixture is one frame of testdata/senders and what it must decode to.
type fixture struct {
	Name      string `yaml:"name"`
	Mark      string `yaml:"mark"` // ran, src, doc; know: written from memory, not checked against the sender
	Frame     string `yaml:"frame"`
	PRI       *int   `yaml:"pri"` // 38 (auth.info) when absent, -1 for none
	Form      string `yaml:"form"`
	Stamp     string `yaml:"stamp"`
	Guessed   bool   `yaml:"guessed"`
	Malformed bool   `yaml:"malformed"`
	Host      string `yaml:"host"`
	App       string `yaml:"app"`
	PID       string `yaml:"pid"`
	MsgID     string `yaml:"msgid"`
	SD        string `yaml:"sd"`
	Text      string `yaml:"text"`
	Repeat    int    `yaml:"repeat"` // 1 when absent
}

// fixtureReceived and fixtureZone are when and where all fixtures are received.
var (
	fixtureReceived = time.Date(2026, 11, 24, 6, 58, 45, 0, time.UTC)
	fixtureZone     = time.FixedZone("CET", 3600)
)

// fixtures reads all of testdata/senders.
func fixtures(t testing.TB) []fixture {
	t.Helper()
	files, err := filepath.Glob("testdata/senders/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/senders: no files (%v)", err)
	}
	var all []fixture
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var part []fixture
		if err := yaml.UnmarshalWithOptions(data, &part, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, part...)
	}
	return all
}

// fixtureOf renders a message as a fixture, to compare them field by field.
func fixtureOf(m *Message) fixture {
	pri := -1
	if m.Facility >= 0 {
		pri = int(m.Facility)*8 + int(m.Severity)
	}
	f := fixture{
		PRI: &pri, Form: m.Form.String(), Guessed: m.ZoneGuessed, Malformed: m.Malformed,
		Host: string(m.Hostname), App: string(m.App), PID: string(m.ProcID), MsgID: string(m.MsgID),
		SD: string(m.SD), Text: string(m.Text), Repeat: m.Repeat,
	}
	if !m.Stamp.IsZero() {
		f.Stamp = m.Stamp.Format(time.RFC3339Nano)
	}
	return f
}

// expected completes a fixture with its defaults.
func (f fixture) expected() fixture {
	if f.PRI == nil {
		pri := 38
		f.PRI = &pri
	}
	if f.Repeat == 0 {
		f.Repeat = 1
	}
	f.Name, f.Mark, f.Frame = "", "", ""
	return f
}

func TestSenders(t *testing.T) {
	marks := map[string]int{}
	d := New(fixtureZone)
	var m Message
	for _, f := range fixtures(t) {
		marks[f.Mark]++
		t.Run(f.Name, func(t *testing.T) {
			d.Decode(frame.Datagram([]byte(f.Frame), 0).Bytes, fixtureReceived, &m)
			got, want := fixtureOf(&m), f.expected()
			if *got.PRI != *want.PRI {
				t.Errorf("PRI %d, want %d", *got.PRI, *want.PRI)
			}
			got.PRI, want.PRI = nil, nil
			if got != want {
				t.Errorf("frame %q\n got %+v\nwant %+v", f.Frame, got, want)
			}
		})
	}
	t.Logf("fixtures by mark (know: not checked against the sender): %v", marks)
}
