package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
	"stockade/jails/filter/catalogue"
)

// nativeFilter is one entry of `filters`.
type nativeFilter struct {
	Name    string               `json:"name"`
	Title   string               `json:"title"`
	Aliases control.List[string] `json:"aliases"`
	Apps    control.List[string] `json:"apps"`
	Modes   control.List[string] `json:"modes"`
	Proof   control.List[string] `json:"proof"` // of its failures
	Origin  nativeOrigin         `json:"origin"`
}

// nativeOrigin is what a filter demands of a line's writer by default.
type nativeOrigin struct {
	UID  control.List[uint32] `json:"uid"`
	User control.List[string] `json:"user"`
}

// nativeDetail is what `filters NAME` prints.
type nativeDetail struct {
	nativeFilter
	Facility control.List[string]        `json:"facility"`
	Join     string                      `json:"join"`
	Source   string                      `json:"source"`
	Patterns control.List[nativePattern] `json:"patterns"`
	Samples  control.List[nativeSample]  `json:"samples"`
}

type nativePattern struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Proof string `json:"proof"`
	Mode  string `json:"mode"` // empty: in all modes
	Text  string `json:"text"`
}

type nativeSample struct {
	Lines   control.List[string] `json:"lines"`
	Matches bool                 `json:"matches"`
	Address string               `json:"address"`
	User    string               `json:"user"`
	Mode    string               `json:"mode"`
}

func (a *app) filters() *cobra.Command {
	c := a.reading(&cobra.Command{
		Use:   "filters [NAME]",
		Short: "List the native filters, which a jail or `regex` can name, or show one",
		Args:  cobra.MaximumNArgs(1),
	}, func(_ context.Context, args []string) error {
		if len(args) == 1 {
			return a.showFilter(args[0])
		}
		return a.listFilters()
	})
	c.AddCommand(a.filtersTest())
	return c
}

func (a *app) listFilters() error {
	var list control.List[nativeFilter]
	t := table{{"NAME", "APPS", "MODES", "PROOF", "RECOGNISES"}}
	for _, name := range catalogue.Names() {
		e, err := catalogue.Find(name)
		if err != nil {
			return err
		}
		f := newNativeFilter(e)
		list = append(list, f)
		t = append(t, []string{f.Name, orAll(f.Apps), orAll(f.Modes), strings.Join(f.Proof, ", "), f.Title})
	}
	if a.json {
		return a.printJSON(list)
	}
	return t.print(a.stdout)
}

func newNativeFilter(e *catalogue.Entry) nativeFilter {
	f := nativeFilter{
		Name: e.Name, Title: e.Title, Aliases: e.Aliases, Apps: e.Apps, Modes: e.Modes(),
		Origin: nativeOrigin{e.Origin.UID, e.Origin.User},
	}
	seen := map[string]bool{}
	for _, p := range e.Patterns {
		if p.Kind != "success" && !seen[p.Proof] {
			seen[p.Proof] = true
			f.Proof = append(f.Proof, p.Proof)
		}
	}
	return f
}

func (a *app) showFilter(name string) error {
	e, err := catalogue.Find(name)
	if err != nil {
		return &usageError{err}
	}
	d := nativeDetail{nativeFilter: newNativeFilter(e), Facility: e.Facility, Join: e.Join, Source: e.Source}
	for _, p := range e.Patterns {
		d.Patterns = append(d.Patterns, nativePattern{p.Name, orText(p.Kind, "failure"), p.Proof, p.Mode, p.String()})
	}
	for _, s := range e.Samples {
		n := nativeSample{Lines: slices.Clone(s.Lines), Matches: s.None == "", Address: s.Addr, User: s.User, Mode: s.Mode}
		if line := s.Line + s.None; line != "" {
			n.Lines = control.List[string]{line}
		}
		for i, l := range n.Lines {
			n.Lines[i] = catalogue.Plain(l)
		}
		d.Samples = append(d.Samples, n)
	}
	if a.json {
		return a.printJSON(d)
	}
	return a.printFilter(&d)
}

func (a *app) printFilter(d *nativeDetail) error {
	origin := "any writer"
	if len(d.Origin.UID)+len(d.Origin.User) > 0 {
		origin = strings.Trim(fmt.Sprintf("uid %v, user %v", d.Origin.UID, d.Origin.User), " ")
	}
	t := table{
		{"name", d.Name},
		{"recognises", d.Title},
		{"also called", strings.Join(d.Aliases, ", ")},
		{"apps", orAll(d.Apps)},
		{"modes", strings.Join(d.Modes, ", ")},
		{"origin", origin},
		{"format of", d.Source},
	}
	if err := t.print(a.stdout); err != nil {
		return err
	}
	if err := a.printf("\npatterns\n"); err != nil {
		return err
	}
	for _, p := range d.Patterns {
		mode := ""
		if p.Mode != "" {
			mode = ", " + p.Mode + " mode only"
		}
		if err := a.printf("  %s: %s, proof %s%s\n      %s\n", p.Name, p.Kind, p.Proof, mode, p.Text); err != nil {
			return err
		}
	}
	if err := a.printf("\nsamples\n"); err != nil {
		return err
	}
	for _, s := range d.Samples {
		verdict := "no match"
		if s.Matches {
			verdict = orText(s.Address, "matches")
		}
		if err := a.printf("  %s\n", verdict); err != nil {
			return err
		}
		for _, l := range s.Lines {
			if err := a.printf("      %s\n", l); err != nil {
				return err
			}
		}
	}
	return nil
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// sampleReport is one object of `filters test --json`.
type sampleReport struct {
	Name    string               `json:"name"`
	OK      bool                 `json:"ok"`
	Samples int                  `json:"samples"`
	Faults  control.List[string] `json:"faults"`
}

func (a *app) filtersTest() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the sample lines of the native filters, and of the filters in a folder",
		Long: `Run the sample lines of the native filters, and of the *.yaml files of a folder, which are written
as the catalogue's own. Exit 1 when a filter gets one of its samples wrong.`,
		Args: cobra.MaximumNArgs(1),
	}, func(_ context.Context, args []string) error {
		var entries []*catalogue.Entry
		for _, name := range catalogue.Names() {
			e, err := catalogue.Find(name)
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		if len(args) == 1 {
			if _, err := os.ReadDir(args[0]); err != nil {
				return &usageError{err}
			}
			own, err := catalogue.Load(os.DirFS(args[0]))
			if err != nil {
				return &usageError{fmt.Errorf("filters in %s: %w", args[0], err)}
			}
			if len(own) == 0 {
				return usagef("no *.yaml file in %s: one file a filter, as in the catalogue", args[0])
			}
			entries = append(entries, own...)
		}
		return a.testSamples(entries)
	})
}

func (a *app) testSamples(entries []*catalogue.Entry) error {
	var (
		list           control.List[sampleReport]
		samples, wrong int
	)
	for _, e := range entries {
		r := sampleReport{Name: e.Name, Samples: len(e.Samples), Faults: e.Test()}
		r.OK = len(r.Faults) == 0
		list = append(list, r)
		samples += r.Samples
		wrong += len(r.Faults)
		if a.json {
			continue
		}
		for _, f := range r.Faults {
			if err := a.printf("%s: %s\n", e.Name, f); err != nil {
				return err
			}
		}
	}
	var err error
	if a.json {
		err = a.printJSON(list)
	} else {
		err = a.printf("%s, %s, %s\n", plural(len(entries), "filter"), plural(samples, "sample"), plural(wrong, "fault"))
	}
	if err == nil && wrong > 0 {
		return errNegative
	}
	return err
}
