package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/host"
	"stockade/cmd/stockade/lint"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/jails/filter/fail2ban"
	"stockade/pipeline"
	"stockade/receiver"
)

// built is everything that a configuration makes that neither opens a socket nor asks the kernel.
type built struct {
	loaded  *config.Loaded
	all     []*jails.Jail // in the order of the configuration, disabled ones too
	bound   []pipeline.Bound
	sources *receiver.Sources
	never   []pipeline.Protected
	peers   []pipeline.Protected
}

// load reads a configuration and builds what can be built of it. The problems have every fault of
// every file; the error is a *config.Errors when one of them is an error. prev may be nil. Who is
// serving needs the listeners' certificates; else that they are not here is a warning alone.
func load(o config.Options, override func(*config.Config), prev *receiver.Sources, serving bool) (*built, error) {
	l, _ := config.Load(o) // Err is asked below, when all faults are known
	if override != nil {
		override(l.Config)
	}
	l.Check()
	b := &built{loaded: l}
	b.buildJails()
	b.buildNever()
	b.warnOfTails()
	b.checkFiles(serving)
	b.checkPrograms()
	b.checkActions()
	if err := l.Err(); err != nil {
		return b, err
	}
	var err error
	if b.sources, err = receiver.NewSources(l.Config.Sources, prev); err != nil {
		return b, err
	}
	b.buildPeers()
	return b, nil
}

// Check reads the files and returns all problems of a configuration, as serve would find them. It
// opens no socket and asks no kernel.
func Check(o CheckOptions) []config.Problem {
	opts := config.ProcessOptions(o.Config)
	opts.StrictEnv = true
	b, _ := load(opts, nil, nil, false) // the error is among the problems
	return b.loaded.Problems()
}

// CheckOptions say what to check.
type CheckOptions struct {
	Config string // the file; empty: the one serve would read
}

func (b *built) buildJails() {
	cfg := b.loaded.Config
	for i, c := range cfg.Jails {
		f := b.compile(i, c)
		j, err := jails.New(cfg.Defaults, c, os.ReadFile)
		if err != nil {
			continue // Check reported it, with its place
		}
		b.all = append(b.all, j)
		if f != nil && len(j.Weights) > len(f.Patterns()) {
			n := len(f.Patterns())
			b.loaded.Report(fmt.Sprintf("jails[%d].weights[%d]", i, n), config.SeverityError, fmt.Sprintf("the filter has %d patterns, counted from 0", n))
		}
		if j.Enabled && f != nil {
			b.bound = append(b.bound, pipeline.Bound{Jail: j, Filter: f})
		}
	}
}

// compile returns the filter of a jail, or nil when it is at fault, which it reports.
func (b *built) compile(i int, c jails.Config) *filter.Filter {
	path := fmt.Sprintf("jails[%d].filter", i)
	spec, warnings, err := Spec(c)
	if err != nil {
		b.loaded.Report(path, config.SeverityError, err.Error())
		return nil
	}
	for _, w := range warnings {
		b.loaded.Report(path, config.SeverityWarning, w)
	}
	if c.Filter.Name == "" {
		if len(c.Filter.FailRegex) == 0 {
			return nil // Check reported it
		}
		b.lint(path, c.Filter)
	}
	f, err := filter.Compile(spec)
	if err != nil {
		b.reportFilter(path, err)
		return nil
	}
	return f
}

// lint reports what an attacker could use in the patterns of an inline filter.
func (b *built) lint(path string, f jails.FilterConfig) {
	say := func(list string) func(int, string, string) {
		return func(i int, severity, message string) {
			b.loaded.Report(fmt.Sprintf("%s.%s[%d]", path, list, i), config.Severity(severity), message)
		}
	}
	lint.Filter(f.FailRegex, say("failregex"))
	lint.Ignore(f.IgnoreRegex, say("ignoreregex"))
}

// reportFilter puts each fault of a filter at the pattern it is in.
func (b *built) reportFilter(path string, err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			b.reportFilter(path, e)
		}
		return
	}
	var at *filter.Error
	if errors.As(err, &at) && at.List != "" && at.Index >= 0 {
		path = fmt.Sprintf("%s.%s[%d]", path, at.List, at.Index)
	}
	b.loaded.Report(path, config.SeverityError, err.Error())
}

// Spec finds the filter that a jail names, or makes one of the patterns that it holds. The warnings
// are what a fail2ban filter asks for and does not get.
func Spec(c jails.Config) (spec filter.Spec, warnings []string, err error) {
	switch {
	case c.Filter.Name == "":
		spec = filter.Spec{
			Name:        c.Name,
			FailRegex:   c.Filter.FailRegex,
			IgnoreRegex: c.Filter.IgnoreRegex,
			PrefRegex:   c.Filter.PrefRegex,
			MaxLines:    c.Filter.MaxLines,
		}
		if c.Filter.DatePattern != "" {
			spec, err = fail2ban.Dated(spec, c.Filter.DatePattern)
		}
		return spec, nil, err
	case strings.HasPrefix(c.Filter.Name, fail2ban.Prefix):
		f, err := fail2ban.Read(c.Filter.Name, fail2ban.LogFile)
		if err != nil {
			return filter.Spec{}, nil, err
		}
		return f.Spec, f.Warnings, nil
	}
	name, options, err := fail2ban.Parse(c.Filter.Name) // the catalogue's options are written alike
	if err != nil {
		return filter.Spec{}, nil, err
	}
	spec, err = catalogue.Get(name, options)
	return spec, nil, err
}

func (b *built) buildNever() {
	list := func(key string, entries []string) {
		// Names are looked up while serving, and Check reported faults.
		_, addresses := host.SplitNames(entries)
		for _, p := range jails.ParseAddrList(addresses, os.ReadFile, func(int, string) {}) {
			b.never = append(b.never, pipeline.Protected{Prefix: p, Why: key})
		}
	}
	list("proxies", b.loaded.Config.Proxies)
	list("never_ban", b.loaded.Config.NeverBan)
}

// buildPeers protects the single addresses that sources are known by, never their whole prefixes.
func (b *built) buildPeers() {
	for _, s := range b.sources.All() {
		for _, text := range s.Addresses {
			p, err := jails.ParsePrefix(text)
			if err == nil && p.IsSingleIP() {
				b.peers = append(b.peers, pipeline.Protected{Prefix: p, Why: "address of source " + s.Name})
			}
		}
	}
}
