package main

import (
	"fmt"
	"strings"
	"time"

	"stockade/cmd/stockade/daemon"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
)

const fail2banPrefix = "fail2ban:"

// read takes the arguments apart.
func (o *regexOptions) read(args []string) error {
	o.log, o.pattern = args[0], args[1]
	if len(args) == 3 {
		o.ignore = args[2]
	}
	o.patternIsRegex = o.regex || !o.filter && strings.ContainsAny(o.pattern, "< ")
	o.location = time.Local
	if o.timezone != "" {
		loc, err := time.LoadLocation(o.timezone)
		if err != nil {
			return fmt.Errorf("--timezone %q: no such zone", o.timezone)
		}
		o.location = loc
	}
	o.clock = time.Now()
	if o.now != "" {
		t, err := time.Parse(time.RFC3339, o.now)
		if err != nil {
			return fmt.Errorf("--now %q: not an RFC 3339 time, such as 2026-11-24T10:00:00Z", o.now)
		}
		o.clock = t
	}
	return nil
}

func (o *regexOptions) isFile() bool {
	return strings.Contains(o.pattern, "/") || strings.HasPrefix(o.pattern, fail2banPrefix)
}

// spec finds the filter, as a jail would.
func (o *regexOptions) spec() (filter.Spec, error) {
	if o.patternIsRegex {
		s := filter.Spec{Name: "regex", FailRegex: []string{o.pattern}}
		if o.ignore != "" {
			s.IgnoreRegex = []string{o.ignore}
		}
		return s, nil
	}
	s, err := o.named()
	if err == nil && o.ignore != "" {
		if len(s.Patterns) > 0 {
			return s, fmt.Errorf("filter %q: an ignoreregex goes with regular expressions, not with a native filter", o.pattern)
		}
		s.IgnoreRegex = []string{o.ignore}
	}
	return s, err
}

func (o *regexOptions) named() (filter.Spec, error) {
	if o.isFile() {
		name := fail2banPrefix + strings.TrimPrefix(o.pattern, fail2banPrefix)
		if o.datePattern != "" {
			quote := `"`
			if strings.Contains(o.datePattern, quote) {
				quote = "'"
			}
			name += "[datepattern=" + quote + o.datePattern + quote + "]"
		}
		spec, _, err := daemon.Spec(jails.Config{Name: "regex", Filter: jails.FilterConfig{Name: name}})
		return spec, err
	}
	name, options, err := splitOptions(o.pattern)
	if err != nil {
		return filter.Spec{}, err
	}
	return catalogue.Get(name, options)
}

// splitOptions reads NAME[key=value, key="value"].
func splitOptions(s string) (name string, options map[string]string, err error) {
	name, rest, found := strings.Cut(s, "[")
	if !found {
		return s, nil, nil
	}
	rest, closed := strings.CutSuffix(rest, "]")
	if !closed {
		return "", nil, fmt.Errorf("filter %q: no ] after its options", s)
	}
	options = map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, found := strings.Cut(strings.TrimSpace(part), "=")
		if !found || key == "" {
			return "", nil, fmt.Errorf("filter %q: options are written [key=value, key=value]", s)
		}
		options[key] = strings.Trim(value, `"'`)
	}
	return name, options, nil
}
