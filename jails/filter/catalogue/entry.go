package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"

	"stockade/jails/filter"
)

// The modes of a filter.
const (
	ModeNormal     = "normal"
	ModeAggressive = "aggressive" // also what a harmless client may do now and then
)

// Entry is one file of the catalogue.
type Entry struct {
	Name     string    `yaml:"name"`
	Title    string    `yaml:"title"`
	Aliases  []string  `yaml:"aliases"` // other names under which people look for it
	Apps     []string  `yaml:"apps"`
	Device   bool      `yaml:"device"` // of devices, which have no app names: "*" leaves out the programs of Unix hosts
	Origin   Origin    `yaml:"origin"`
	Facility []string  `yaml:"facility"` // kern
	Join     string    `yaml:"join"`     // pid, addr
	Cut      int       `yaml:"cut"`      // the daemon may have cut a text of so many bytes; 0: it cuts none
	Source   string    `yaml:"source"`   // where the message formats are known from
	Patterns []Pattern `yaml:"patterns"`
	Samples  []Sample  `yaml:"samples"`
}

// Origin is what the daemon's log lines come from.
type Origin struct {
	UID  []uint32 `yaml:"uid"`
	User []string `yaml:"user"`
}

// Pattern is one pattern of an Entry: text or fields.
type Pattern struct {
	Name     string   `yaml:"name"`
	Kind     string   `yaml:"kind"`  // failure (default), success
	Proof    string   `yaml:"proof"` // handshake, challenge, none
	Count    string   `yaml:"count"` // each (default), first, close, none, more
	Step     uint8    `yaml:"step"`
	Mode     string   `yaml:"mode"` // only in this mode; empty: in all
	Text     string   `yaml:"text"`
	Facility []string `yaml:"facility"` // as of an Entry, for this pattern alone
	Fields   *Fields  `yaml:"fields"`
}

// Fields is a pattern over named fields.
type Fields struct {
	Format string              `yaml:"format"` // json (default), kv, csv, cef
	Addr   string              `yaml:"addr"`
	User   string              `yaml:"user"`
	Port   string              `yaml:"port"`
	Take   map[string]string   `yaml:"take"` // further values by name
	Where  map[string][]string `yaml:"where"`
}

// Sample is one or several lines and what the filter must say about them. User-controlled parts
// stand between « and ».
type Sample struct {
	Line     string   `yaml:"line"`  // must match
	None     string   `yaml:"none"`  // must not match
	Lines    []string `yaml:"lines"` // of one connection, in order
	Counts   []int    `yaml:"counts"`
	App      string   `yaml:"app"` // default: the first of the entry
	Mode     string   `yaml:"mode"`
	Kind     string   `yaml:"kind"`
	Addr     string   `yaml:"addr"`
	User     string   `yaml:"user"`
	Attempts int      `yaml:"attempts"`
	// Escape says how the daemon writes what a client controls: json, quote (backslash before a
	// quote or backslash), csv (a quote twice), hex (\xHH), word (no white space), hostname. Empty:
	// as it comes.
	Escape string `yaml:"escape"`
}

// parse reads a whole file.
func parse(name string, data []byte) (*Entry, error) {
	e, err := decode(name, data)
	if err == nil && len(e.Samples) == 0 {
		err = errIncomplete
	}
	if err != nil {
		return nil, err
	}
	for i, s := range e.Samples {
		if s.one() != 1 {
			return nil, fmt.Errorf("samples[%d]: exactly one of line, none, lines", i)
		}
	}
	return e, nil
}

// parseHead reads a file without its samples, which are the longest and the last part of it.
func parseHead(name string, data []byte) (*Entry, error) {
	head, _, _ := bytes.Cut(data, []byte("\nsamples:\n"))
	return decode(name, head)
}

var errIncomplete = errors.New("name, title, apps, patterns and samples are required")

func decode(name string, data []byte) (*Entry, error) {
	e := &Entry{}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(e); err != nil {
		return nil, fmt.Errorf("%s", yaml.FormatError(err, false, true))
	}
	if want := strings.TrimSuffix(name, ".yaml"); e.Name != want {
		return nil, fmt.Errorf("name %q must be the file's: %q", e.Name, want)
	}
	if len(e.Apps) == 0 || e.Title == "" || len(e.Patterns) == 0 {
		return nil, errIncomplete
	}
	return e, nil
}

func (s *Sample) one() int {
	n := 0
	for _, is := range []bool{s.Line != "", s.None != "", len(s.Lines) > 0} {
		if is {
			n++
		}
	}
	return n
}

// Modes returns the modes that make a difference, normal first.
func (e *Entry) Modes() []string {
	for _, p := range e.Patterns {
		if p.Mode != "" {
			return []string{ModeNormal, ModeAggressive}
		}
	}
	return []string{ModeNormal}
}

var (
	kinds  = map[string]filter.Kind{"": filter.Failure, "failure": filter.Failure, "success": filter.Success}
	proofs = map[string]filter.Proof{
		"handshake": filter.ProofHandshake, "challenge": filter.ProofChallenge, "none": filter.ProofNone,
	}
	counts = map[string]filter.Count{
		"": filter.CountEach, "each": filter.CountEach, "first": filter.CountFirst,
		"close": filter.CountClose, "none": filter.CountNone, "more": filter.CountMore, "total": filter.CountTotal,
	}
	joins      = map[string]filter.Join{"": filter.JoinNone, "pid": filter.JoinPID, "addr": filter.JoinAddr}
	facilities = map[string]int8{"kern": 0}
)

// Spec returns the filter in that mode, ready to be compiled.
func (e *Entry) Spec(mode string) (filter.Spec, error) {
	fault := func(format string, args ...any) (filter.Spec, error) {
		return filter.Spec{}, fmt.Errorf("filter %q: "+format, append([]any{e.Name}, args...)...)
	}
	if mode != ModeNormal && mode != ModeAggressive {
		return fault("mode %q must be normal or aggressive", mode)
	}
	s := filter.Spec{
		Name: e.Name, Title: e.Title, Apps: e.Apps, Device: e.Device, Cut: e.Cut,
		Origin: filter.Origin{UID: e.Origin.UID, User: e.Origin.User},
	}
	var ok bool
	if s.Join, ok = joins[e.Join]; !ok {
		return fault("join %q must be pid or addr", e.Join)
	}
	if s.Facility, ok = facilityList(e.Facility); !ok {
		return fault("facility %v must be [kern]", e.Facility)
	}
	for _, p := range e.Patterns {
		if p.Mode != "" && p.Mode != mode {
			continue
		}
		out := filter.Pattern{Name: p.Name, Text: p.Text, Step: p.Step, Fields: p.Fields.compile()}
		if out.Kind, ok = kinds[p.Kind]; !ok {
			return fault("pattern %q: kind %q must be failure or success", p.Name, p.Kind)
		}
		if out.Proof, ok = proofs[p.Proof]; !ok {
			return fault("pattern %q: proof %q must be handshake, challenge or none", p.Name, p.Proof)
		}
		if out.Count, ok = counts[p.Count]; !ok {
			return fault("pattern %q: count %q must be each, first, close, none, more or total", p.Name, p.Count)
		}
		if out.Facility, ok = facilityList(p.Facility); !ok {
			return fault("pattern %q: facility %v must be [kern]", p.Name, p.Facility)
		}
		s.Patterns = append(s.Patterns, out)
	}
	return s, nil
}

func facilityList(names []string) ([]int8, bool) {
	var list []int8
	for _, name := range names {
		n, ok := facilities[name]
		if !ok {
			return nil, false
		}
		list = append(list, n)
	}
	return list, true
}

func (f *Fields) compile() *filter.Fields {
	if f == nil {
		return nil
	}
	out := &filter.Fields{Format: f.Format, Where: f.Where, Take: map[string]string{}}
	if out.Format == "" {
		out.Format = "json"
	}
	for name, field := range f.Take {
		out.Take[name] = field
	}
	for name, field := range map[string]string{"addr": f.Addr, "user": f.User, "port": f.Port} {
		if field != "" {
			out.Take[name] = field
		}
	}
	return out
}

// String returns the pattern as people read it: its text, or its fields in YAML's flow style.
func (p *Pattern) String() string {
	if p.Fields == nil {
		return p.Text
	}
	return p.Fields.compile().String()
}
