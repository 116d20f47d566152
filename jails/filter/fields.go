package filter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Fields is a pattern over a line that consists of named or numbered fields. It matches a line of
// that format in which every Where field has one of the listed values and Addr is there.
type Fields struct {
	Format string              // json, kv, csv or cef
	Where  map[string][]string // field -> its possible values; x* begins with x, * is not empty; a leading ! is none of
	Take   map[string]string   // addr, user, port, or a name of one's own -> field
}

// String returns one line for people.
func (f *Fields) String() string {
	var b strings.Builder
	b.WriteString(f.Format)
	for _, k := range slices.Sorted(maps.Keys(f.Take)) {
		fmt.Fprintf(&b, " %s=%s", k, f.Take[k])
	}
	for i, k := range slices.Sorted(maps.Keys(f.Where)) {
		if i == 0 {
			b.WriteString(" where")
		}
		fmt.Fprintf(&b, " %s in %s", k, strings.Join(f.Where[k], "|"))
	}
	return b.String()
}

// extractor is a compiled Fields.
type extractor struct {
	format string
	keys   []string // the fields that are looked for
	tests  []test
	take   []string // names, index 0 unused as with groups of a pattern
	from   []int    // take -> keys

	paths   [][]string // json: the segments of each key
	columns []int      // csv: the position that each key means
}

// test demands something of the field keys[key].
type test struct {
	key    int
	not    bool
	list   []string
	prefix []bool // list[i] is only the value's beginning, and the value is not empty
}

func (t *test) has(got []byte) bool {
	for i, want := range t.list {
		if string(got) == want && !t.prefix[i] ||
			t.prefix[i] && len(got) > 0 && len(got) >= len(want) && string(got[:len(want)]) == want {
			return true
		}
	}
	return false
}

// values holds what an extractor found in the latest line. Its bytes belong to the line, or to
// its own scratch where a value had escapes.
type values struct {
	found   [][]byte
	present []bool
	from    []int
	scratch []byte
}

func (v *values) at(group int) []byte { return v.found[v.from[group]] }

const maxFields = 32

func newExtractor(f *Fields) (*extractor, error) {
	e := &extractor{format: f.Format, take: []string{""}, from: []int{-1}}
	switch f.Format {
	case "json", "kv", "csv", "cef":
	default:
		return nil, fmt.Errorf("format %q must be one of json, kv, csv, cef", f.Format)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Take)) {
		e.take = append(e.take, name)
		e.from = append(e.from, e.key(f.Take[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Where)) {
		t := test{key: e.key(name)}
		for _, v := range f.Where[name] {
			rest, not := strings.CutPrefix(v, "!")
			if len(t.list) > 0 && not != t.not {
				return nil, fmt.Errorf("where %s: values with and without ! cannot be mixed", name)
			}
			t.not = not
			rest, prefix := strings.CutSuffix(rest, "*")
			t.list, t.prefix = append(t.list, rest), append(t.prefix, prefix)
		}
		if len(t.list) == 0 {
			return nil, fmt.Errorf("where %s: no value", name)
		}
		e.tests = append(e.tests, t)
	}
	if len(e.keys) > maxFields {
		return nil, fmt.Errorf("%d fields: at most %d", len(e.keys), maxFields)
	}
	if slices.Contains(e.keys, "") {
		return nil, errors.New("a field's name is not empty")
	}
	return e, e.prepare()
}

// prepare reads the keys as the format means them.
func (e *extractor) prepare() error {
	for _, k := range e.keys {
		e.paths = append(e.paths, strings.Split(k, "."))
		if e.format != "csv" {
			continue
		}
		n, err := strconv.Atoi(k)
		if err != nil || n < 0 || n > 1000 {
			return fmt.Errorf("column %q must be a number from 0 to 1000", k)
		}
		e.columns = append(e.columns, n)
	}
	return nil
}

func (e *extractor) key(name string) int {
	if i := slices.Index(e.keys, name); i >= 0 {
		return i
	}
	e.keys = append(e.keys, name)
	return len(e.keys) - 1
}

func (e *extractor) names() []string { return e.take }

// literals returns strings of which a matching line has at least one: the values of the most
// selective test, else nothing.
func (e *extractor) literals() []string {
	var best []string
	longest := 2
	for _, t := range e.tests {
		least := slices.MinFunc(t.list, func(a, b string) int { return len(a) - len(b) })
		if !t.not && len(least) > longest && plain(t.list) {
			best, longest = t.list, len(least)
		}
	}
	return lowered(best)
}

// plain reports whether no encoding writes the values in another way.
func plain(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return strings.ContainsAny(s, "\"\\/<>&'|=") })
}

func lowered(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

// match reads the line and reports whether all tests hold and all wanted fields are readable.
func (e *extractor) match(line []byte, v *values) bool {
	v.reset(e)
	ok := false
	switch e.format {
	case "json":
		ok = e.readJSON(line, v)
	case "kv":
		ok = e.readKV(line, v)
	case "csv":
		ok = e.readCSV(line, v)
	case "cef":
		ok = e.readCEF(line, v)
	}
	return ok && e.holds(v)
}

func (v *values) reset(e *extractor) {
	n := len(e.keys)
	if cap(v.found) < n {
		v.found, v.present = make([][]byte, maxFields), make([]bool, maxFields)
	}
	v.found, v.present = v.found[:n], v.present[:n]
	clear(v.found)
	clear(v.present)
	v.from = e.from
	v.scratch = v.scratch[:0]
}

func (e *extractor) holds(v *values) bool {
	for _, t := range e.tests {
		if t.has(v.found[t.key]) == t.not {
			return false
		}
	}
	return true
}
