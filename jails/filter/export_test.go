package filter

import "stockade/jails/filter/engine"

// Regexps returns the regular expressions of a filter's patterns.
func (f *Filter) Regexps() []*engine.Regexp {
	var list []*engine.Regexp
	for _, r := range f.rules {
		if r.re != nil {
			list = append(list, r.re)
		}
	}
	return list
}
