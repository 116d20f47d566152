package filter

import (
	"errors"
	"slices"

	"stockade/jails/filter/engine"
)

// patterns compiles a filter of native patterns.
func (c *compiler) patterns() {
	f, s := c.filter, c.spec
	f.stateful = s.Join != JoinNone
	for i, p := range s.Patterns {
		r := rule{kind: p.Kind, proof: p.Proof, count: p.Count, step: p.Step, fac: p.Facility}
		switch {
		case (p.Text == "") == (p.Fields == nil):
			c.fault("pattern", i, p.Text, -1, "it needs either text or fields")
			continue
		case p.Fields != nil:
			e, err := newExtractor(p.Fields)
			if err != nil {
				c.fault("pattern", i, "", -1, "fields: %v", err)
				continue
			}
			r.fields, r.needs, r.roles = e, e.literals(), newRoles(e.names(), true)
		default:
			if !c.text(i, p.Text, &r) {
				continue
			}
		}
		if len(r.roles.addr) == 0 && p.Count != CountNone && s.Join != JoinPID {
			c.fault("pattern", i, p.Text, -1, "it names no {addr}")
		}
		if len(r.roles.addr) > 1 {
			c.fault("pattern", i, p.Text, -1, "it names more than one {addr}")
		}
		needs := p.Count == CountMore || p.Count == CountTotal
		if n := len(r.roles.count) > 0; needs && !n || n && !needs && p.Count != CountEach {
			c.fault("pattern", i, p.Text, -1, "{n} goes with count each, more or total, and more and total need it")
		}
		f.rules = append(f.rules, r)
	}
}

func (c *compiler) text(i int, text string, r *rule) bool {
	expr, early, err := translate(text)
	if err != nil {
		var bad *textError
		offset := -1
		if errors.As(err, &bad) {
			offset = bad.offset
		}
		c.fault("pattern", i, text, offset, "%v", err)
		return false
	}
	re, err := engine.Compile(expr, engine.Options{NoNewline: true})
	if err != nil {
		c.fault("pattern", i, text, -1, "%v", err)
		return false
	}
	r.early = early
	r.re, r.needs, r.begins, r.roles = re, re.Literals(), re.Heads(), newRoles(re.Names(), true)
	if i := slices.Index(re.Names(), "mlfid"); i >= 0 {
		c.fault("pattern", i, text, -1, "a field cannot be called mlfid")
	}
	return true
}
