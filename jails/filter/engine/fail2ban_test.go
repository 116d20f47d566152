package engine

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// instance is one filter with options, as fail2ban expands it.
type instance struct {
	MaxLines int `json:"maxlines"`
	Py       struct {
		Failregex, Ignoreregex []string
		Prefregex              string
	}
}

// record is one sample line with what fail2ban saw in it.
type record struct {
	ID, Instance string
	Observed     struct {
		Subject  *string
		Failures []struct {
			Regex  int
			Groups map[string]any
		}
	}
}

// data opens a file of the folder with fail2ban's data.
func data(t testing.TB, name string) *os.File {
	dir := os.Getenv("STOCKADE_FAIL2BAN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "fail2ban")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		if os.Getenv("STOCKADE_REQUIRE") == "all" {
			t.Fatalf("fail2ban's data is required: %v", err)
		}
		t.Skipf("no fail2ban data: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func instances(t testing.TB) map[string]instance {
	var all map[string]instance
	if err := json.NewDecoder(data(t, "expanded.json")).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func records(t testing.TB) []record {
	var all []record
	lines := bufio.NewScanner(data(t, "samples.jsonl"))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// compiled is an instance ready to search.
type compiled struct {
	pref         *Regexp
	fail, ignore []*Regexp
	ids          bool // lines are joined by id, so that one line alone does not explain a failure
	ring         bool // several lines are searched at once
}

func compileAll(t testing.TB, in instance) *compiled {
	must := func(pattern string, multi bool) *Regexp {
		re, err := Compile(pattern, Options{Multiline: multi})
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		return re
	}
	c := &compiled{ring: in.MaxLines > 1}
	if in.Py.Prefregex != "" {
		c.pref = must(in.Py.Prefregex, false)
		c.ids = strings.Contains(in.Py.Prefregex, "<mlfid>")
	}
	for _, p := range in.Py.Failregex {
		c.fail = append(c.fail, must(p, in.MaxLines > 1))
		c.ids = c.ids || strings.Contains(p, "<mlfid>") || strings.Contains(p, "<nofail>")
	}
	for _, p := range in.Py.Ignoreregex {
		c.ignore = append(c.ignore, must(p, false))
	}
	return c
}

// TestEveryShippedPatternCompiles also checks what the others rely on: that nearly all patterns
// have required literals, and that the linear matcher takes all without backreferences.
func TestEveryShippedPatternCompiles(t *testing.T) {
	total, bare := 0, 0
	for name, in := range instances(t) {
		c := compileAll(t, in)
		for _, re := range append(append([]*Regexp{c.pref}, c.fail...), c.ignore...) {
			if re == nil {
				continue
			}
			total++
			if len(re.Literals()) == 0 {
				bare++
			}
			if re.Budgeted() != strings.Contains(re.String(), "(?P=") {
				t.Errorf("%s: budgeted %t: %s", name, re.Budgeted(), re)
			}
		}
	}
	t.Logf("%d patterns, %d without required literals", total, bare)
	if bare*10 > total {
		t.Errorf("%d of %d patterns have no required literals", bare, total)
	}
}

func TestEveryDateTemplateCompiles(t *testing.T) {
	var all map[string][]struct{ Kind, Regex string }
	if err := json.NewDecoder(data(t, "datetemplates.json")).Decode(&all); err != nil {
		t.Fatal(err)
	}
	for _, list := range all {
		for _, d := range list {
			if _, err := Compile(d.Regex, Options{NoNewline: true}); err != nil {
				t.Errorf("%s: %v", d.Regex, err)
			}
		}
	}
}

// groups adds the named groups of a match that took part.
func groups(re *Regexp, subject string, caps []int, into map[string]string) {
	for i, name := range re.Names() {
		if name != "" && caps[2*i] >= 0 {
			into[name] = subject[caps[2*i]:caps[2*i+1]]
		}
	}
}

// TestSamples is the engine's layer of conformance: on every recorded subject, the pattern that
// fail2ban reports is the first that matches, with the groups that it reports.
func TestSamples(t *testing.T) {
	all := map[string]*compiled{}
	for name, in := range instances(t) {
		all[name] = compileAll(t, in)
	}
	m := NewMachine()
	search := func(re *Regexp, subject string) (bool, []int) {
		caps := make([]int, 2*(re.Groups()+1))
		ok, err := m.Search(re, []byte(subject), caps)
		if err != nil {
			t.Errorf("%s on %q: %v", re, subject, err)
		}
		return ok, caps
	}
	checked := 0
	for _, r := range records(t) {
		c := all[r.Instance]
		if c == nil || c.ring || r.Observed.Subject == nil {
			continue
		}
		subject := *r.Observed.Subject
		got := map[string]string{}
		first, blocked := -1, false
		if c.pref != nil {
			ok, caps := search(c.pref, subject)
			blocked = !ok
			if ok {
				groups(c.pref, subject, caps, got)
			}
			if got["content"] != "" {
				subject = got["content"]
			}
		}
		for i, re := range c.fail {
			if blocked || first >= 0 {
				break
			}
			if ok, caps := search(re, subject); ok {
				first = i
				groups(re, subject, caps, got)
			}
		}
		for _, re := range c.ignore {
			if ok, _ := search(re, *r.Observed.Subject); ok {
				first = -1
			}
		}
		switch {
		case len(r.Observed.Failures) == 0:
			if first >= 0 && !c.ids {
				t.Errorf("%s: pattern %d matches, fail2ban sees nothing", r.ID, first)
			}
		case r.Observed.Failures[0].Regex != first:
			t.Errorf("%s: pattern %d matches, fail2ban's is %d", r.ID, first, r.Observed.Failures[0].Regex)
		default:
			for name, value := range r.Observed.Failures[0].Groups {
				alt := got["alt_"+name] + got["alt_"+name+"1"] // stands in for an empty group
				if text, ok := value.(string); ok && got[name] != text && (got[name] != "" || alt != text) && !c.ids {
					t.Errorf("%s: group %s is %q, fail2ban's %q", r.ID, name, got[name], text)
				}
			}
		}
		checked++
	}
	t.Logf("%d records", checked)
	if checked == 0 {
		t.Error("no record was checked")
	}
}
