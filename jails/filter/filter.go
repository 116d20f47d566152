package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockade/jails/filter/engine"
)

// Limits of a filter.
const (
	maxPatterns    = 1000
	maxPatternText = 64 << 10 // bytes
)

// Filter is a compiled Spec. It is immutable and may be shared.
type Filter struct {
	name     string
	apps     []string
	origin   Origin
	spec     Spec
	native   bool
	rules    []rule
	ignore   []*engine.Regexp
	pref     *prefix
	maxLines int
	stateful bool
	ignore1  bool // ignoreregex runs before failregex
	content  bool // the prefix captures the content
}

// rule is one compiled pattern.
type rule struct {
	re     *engine.Regexp
	fields *extractor
	roles  roles
	kind   Kind
	proof  Proof
	count  Count
	step   uint8
	fac    []int8   // facilities that a line may have; empty: any
	early  bool     // native: the address stands before all that a client can choose freely
	needs  []string // literals of which a line must have one; nil: none known
	begins []string // native: texts with one of which a line must begin; nil: none known
}

// prefix is the compiled prefregex.
type prefix struct {
	re    *engine.Regexp
	roles roles
}

// Compile compiles a filter. All its faults are reported together: the error joins values of
// type *Error.
func Compile(s Spec) (*Filter, error) {
	c := compiler{spec: s, filter: &Filter{
		name:     s.Name,
		apps:     slices.Clone(s.Apps),
		origin:   s.Origin,
		spec:     s,
		native:   len(s.Patterns) > 0,
		maxLines: max(1, s.MaxLines),
	}}
	c.limits()
	if c.filter.native {
		c.patterns()
	} else {
		c.regexes()
	}
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	return c.filter, nil
}

// Name returns the filter's name.
func (f *Filter) Name() string { return f.name }

// Apps returns the app names and globs that the filter listens to by itself. Empty means all.
func (f *Filter) Apps() []string { return slices.Clone(f.apps) }

// Stateful reports whether the filter keeps state between lines.
func (f *Filter) Stateful() bool { return f.stateful }

// Origin returns what the filter expects of a line's writer.
func (f *Filter) Origin() Origin { return f.origin }

// Spec returns what the filter was compiled from. Its slices must not be changed.
func (f *Filter) Spec() Spec { return f.spec }

// PatternInfo describes one pattern for people.
type PatternInfo struct {
	Name  string // of a native pattern; else empty
	Text  string // as it was written
	Kind  Kind
	Proof Proof
}

// Patterns describes the patterns in order: the index is Match.Pattern.
func (f *Filter) Patterns() []PatternInfo {
	list := make([]PatternInfo, len(f.rules))
	for i, r := range f.rules {
		list[i] = PatternInfo{Kind: r.kind, Proof: r.proof}
		if !f.native {
			list[i].Text = f.spec.FailRegex[i]
			continue
		}
		p := f.spec.Patterns[i]
		list[i].Name, list[i].Text = p.Name, p.Text
		if p.Fields != nil {
			list[i].Text = p.Fields.String()
		}
	}
	return list
}

type compiler struct {
	spec   Spec
	filter *Filter
	faults []error
}

func (c *compiler) fault(list string, index int, text string, offset int, format string, args ...any) {
	c.faults = append(c.faults, &Error{
		Filter: c.spec.Name, List: list, Index: index, Text: text, Offset: offset,
		Reason: fmt.Sprintf(format, args...),
	})
}

func (c *compiler) limits() {
	s := c.spec
	if s.MaxLines < 0 || s.MaxLines > MaxMaxLines {
		c.fault("maxlines", -1, "", -1, "%d must be between 1 and %d", s.MaxLines, MaxMaxLines)
		c.filter.maxLines = 1
	}
	if n := len(s.FailRegex) + len(s.Patterns); n == 0 {
		c.fault("failregex", -1, "", -1, "no pattern: a filter needs at least one")
	} else if n > maxPatterns {
		c.fault("failregex", -1, "", -1, "%d patterns: at most %d", n, maxPatterns)
	}
	if len(s.Patterns) > 0 && len(s.FailRegex)+len(s.IgnoreRegex) > 0 {
		c.fault("pattern", -1, "", -1, "a filter has either native patterns or regular expressions")
	}
	for i, a := range s.Apps {
		if a == "" || strings.ContainsAny(a, " \t\n") {
			c.fault("apps", i, a, -1, "an app name is not empty and has no spaces")
		}
	}
}

// regexes compiles a filter of fail2ban's form.
func (c *compiler) regexes() {
	f, s := c.filter, c.spec
	if s.PrefRegex != "" {
		if re := c.regex("prefregex", -1, s.PrefRegex, engine.Options{}); re != nil {
			f.pref = &prefix{re, newRoles(re.Names(), false)}
			f.content = len(f.pref.roles.content) > 0
		}
	}
	for i, text := range s.FailRegex {
		re := c.regex("failregex", i, text, engine.Options{Multiline: f.maxLines > 1})
		if re == nil {
			continue
		}
		r := rule{re: re, roles: newRoles(re.Names(), false), proof: ProofHandshake, needs: re.Literals()}
		if s.Unproven {
			r.proof = ProofNone
		}
		if !r.roles.identifies() && (f.pref == nil || !f.pref.roles.identifies()) {
			c.fault("failregex", i, text, -1,
				"it names no address: it needs one of <HOST>, <ADDR>, <IP4>, <IP6>, <SUBNET>, <F-ID>, <F-MLFID>")
		} else if only := r.roles.onlyNames(); only && !s.Names && (f.pref == nil || f.pref.roles.onlyNames()) {
			c.fault("failregex", i, text, -1,
				"it can only capture a host name, and names are never looked up here: use <ADDR>")
		}
		if len(r.roles.mlfid) > 0 || f.pref != nil && len(f.pref.roles.mlfid) > 0 {
			f.stateful = true
		}
		f.rules = append(f.rules, r)
	}
	for i, text := range s.IgnoreRegex {
		if re := c.regex("ignoreregex", i, text, engine.Options{}); re != nil {
			f.ignore = append(f.ignore, re)
		}
	}
	f.stateful = f.stateful || f.maxLines > 1
	f.ignore1 = len(s.IgnoreRegex) > 0 && len(s.IgnoreRegex) < len(s.FailRegex)-2
}

func (c *compiler) regex(list string, index int, text string, o engine.Options) *engine.Regexp {
	if strings.TrimSpace(text) == "" {
		c.fault(list, index, text, -1, "it is empty and would match every line")
		return nil
	}
	if len(text) > maxPatternText {
		c.fault(list, index, text[:80]+"...", -1, "%d bytes: at most %d", len(text), maxPatternText)
		return nil
	}
	e := expandTags(text, c.spec.Names)
	re, err := engine.Compile(e.text, o)
	if err != nil {
		var bad *engine.Error
		if errors.As(err, &bad) {
			c.fault(list, index, text, min(e.source(bad.Offset), len(text)), "%s", bad.Msg)
		} else {
			c.fault(list, index, text, -1, "%v", err)
		}
		return nil
	}
	return re
}

// onlyNames reports whether a host name is all that the groups can identify.
func (r *roles) onlyNames() bool {
	return len(r.dns) > 0 && len(r.addr)+len(r.ip4)+len(r.ip6)+len(r.fid)+len(r.mlfid) == 0
}
