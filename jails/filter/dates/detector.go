// Package dates locates the date of a log line, cuts it out and reads it, with the date patterns
// that fail2ban's filters use.
//
// A pattern is a regular expression of Python's syntax in which %-tokens stand for the parts of a
// date (%d %b %H ...) and braces for whole patterns: {DATE}, {DEFAULT}, {EPOCH}, {LEPOCH},
// {NONE}, and {^LN-BEG} for the beginning of a line. Names of months and days are English.
//
// A Detector belongs to one goroutine: Clone makes another that shares what is immutable. Lines
// are only read, and only during the call. Find allocates nothing once its memory is warm, and
// takes time linear in the line for every pattern without a backreference.
package dates

import (
	"time"

	"stockade/jails/filter/engine"
)

// Options says how dates are read.
type Options struct {
	// Location is the zone of dates without one; nil means the local one.
	Location *time.Location
}

// Cut says where a date is. Offsets are in bytes of the line.
type Cut struct {
	Start, End int // what is cut out of the line; equal when the pattern cuts nothing
	From, To   int // the whole match, with the context that the pattern asks for
	Template   int // index of the template, see Templates
}

// Detector finds dates by an ordered list of templates. It belongs to one goroutine.
type Detector struct {
	templates []*template
	bare      *engine.Scanner // over the literals of the templates that search the whole line
	loc       *time.Location

	machine *engine.Machine
	hits    []uint64
	caps    []int // of the search in progress
	kept    []int // of the best match so far
}

// Default returns the detector of a filter without a date pattern.
func Default(o Options) *Detector {
	d, err := Compile("{DEFAULT}", o)
	if err != nil {
		panic("dates: the default patterns do not compile: " + err.Error())
	}
	return d
}

// Compile compiles a date pattern, which may be several, one a line, tried in order. An empty
// one means the defaults. The error is an *Error.
func Compile(pattern string, o Options) (*Detector, error) {
	list, err := templates(pattern)
	if err != nil {
		return nil, err
	}
	d := &Detector{templates: list, loc: o.Location, machine: engine.NewMachine()}
	if d.loc == nil {
		d.loc = time.Local
	}
	var literals [][]string
	groups := 0
	for _, t := range list {
		for i := range t.forms {
			f := &t.forms[i]
			groups = max(groups, f.re.Groups())
			if t.window == 0 {
				f.bit = len(literals)
				literals = append(literals, f.literals)
			}
		}
	}
	d.bare = engine.NewScanner(literals)
	d.scratch(groups)
	return d, nil
}

func (d *Detector) scratch(groups int) {
	d.hits = make([]uint64, d.bare.Words())
	d.caps = make([]int, 2*(groups+1))
	d.kept = make([]int, 2*(groups+1))
}

// Clone returns a Detector for another goroutine.
func (d *Detector) Clone() *Detector {
	c := *d
	c.machine = engine.NewMachine()
	c.scratch(len(d.caps)/2 - 1)
	return &c
}

// Templates returns the templates' patterns in order: the index is Cut.Template.
func (d *Detector) Templates() []string {
	names := make([]string, len(d.templates))
	for i, t := range d.templates {
		names[i] = t.name
	}
	return names
}

// Find locates the date of a line, which must not have its final newline. now chooses the year
// or the day of dates that lack it. The time is zero where the templates found a place but no
// valid date in it: a pattern may be made to cut nothing. It reports false when no template
// matches.
//
// The first template that is bound to the line's beginning and matches wins; else the one that
// matches furthest to the left.
func (d *Detector) Find(line []byte, now time.Time) (Cut, time.Time, bool) {
	best, form, start := -1, (*form)(nil), 0
	scanned := false
	var seen marks
	seen.read(line)
	for i, t := range d.templates {
		if !seen.allow(t, line) {
			continue
		}
		part := line
		if t.window > 0 {
			at := t.begin(line)
			if at < 0 {
				continue
			}
			part = line[:at+reach(line[at:], t.window)]
		}
		if t.window == 0 && !scanned {
			scanned = true
			d.bare.Scan(line, d.hits)
		}
		f, at := d.search(t, part)
		if f == nil || best >= 0 && !t.anchored && at >= start {
			continue
		}
		best, form, start = i, f, at
		d.kept, d.caps = d.caps, d.kept
		if t.anchored || at <= 1 {
			break
		}
	}
	if best < 0 {
		return Cut{}, time.Time{}, false
	}
	c := Cut{Start: d.kept[2], End: d.kept[3], From: d.kept[0], To: d.kept[1], Template: best}
	if c.Start < 0 {
		c.Start, c.End = c.From, c.From
	}
	return c, d.templates[best].value(form, line, d.kept, now, d.loc), true
}

// search looks for the leftmost match of a template's forms and leaves its captures in caps.
func (d *Detector) search(t *template, line []byte) (*form, int) {
	var found *form
	start := 0
	for i := range t.forms {
		f := &t.forms[i]
		if t.window == 0 && d.hits[f.bit/64]&(1<<(f.bit%64)) == 0 ||
			f.first != nil && (len(line) == 0 || !f.first[line[0]]) {
			continue
		}
		part := line
		if f.near > 0 {
			part = line[:min(f.near, len(line))]
		}
		// A pattern with a backreference that spends its budget has found nothing.
		ok, err := d.machine.Search(f.re, part, d.caps[:2*(f.re.Groups()+1)])
		if err != nil || !ok {
			continue
		}
		if found == nil || d.caps[0] < start {
			found, start = f, d.caps[0]
		}
		if len(t.forms) == 1 || start == 0 {
			return found, start
		}
		if i == len(t.forms)-1 && found == f {
			return found, start
		}
	}
	if found != nil {
		_, _ = d.machine.Search(found.re, line, d.caps[:2*(found.re.Groups()+1)]) // as before
	}
	return found, start
}

// reach returns how much of a line a template with that window must see: the window, and behind
// it the blanks that it may have cut in two.
func reach(line []byte, window int) int {
	if len(line) <= window {
		return len(line)
	}
	n := window
	for n < len(line) && isSpace(line[n]) {
		n++
	}
	if n > window {
		n = min(n+window, len(line))
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
