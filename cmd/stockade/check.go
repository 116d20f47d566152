package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/daemon"
	"stockade/jails/filter/catalogue"
)

func (a *app) check() *cobra.Command {
	var strict, accept bool
	var old string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration: the verdict that serve would give, from the files alone",
		Args:  cobra.NoArgs,
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are a negative answer too")
	c.Flags().StringVar(&old, "against", "", "fail when the change from this `file` lets an attacker do more")
	c.Flags().BoolVar(&accept, "accept", false, "with --against: only warn")
	return a.reading(c, func(context.Context, []string) error {
		if accept && old == "" {
			return usagef("check: --accept belongs to --against")
		}
		problems := daemon.Check(daemon.CheckOptions{Config: a.config})
		errs := count(problems, config.SeverityError)
		var further []config.Problem // answers of no, where the configuration as such is good
		if errs == 0 {
			further = a.checkSamples()
			if old != "" {
				further = append(further, a.against(old, accept)...)
			}
		}
		problems = append(problems, further...)
		answer := control.Check{Problems: wireProblems(problems)}
		warnings := count(problems, config.SeverityWarning)
		no := count(further, config.SeverityError)
		answer.OK = errs == 0 && no == 0 && (!strict || warnings == 0)
		if err := a.printCheck(answer, errs+no, warnings); err != nil {
			return err
		}
		switch {
		case errs > 0:
			return &codedError{errNegative, exitUsage}
		case !answer.OK:
			return errNegative
		}
		return nil
	})
}

func (a *app) printCheck(c control.Check, errs, warnings int) error {
	if a.json {
		return a.printJSON(c)
	}
	for _, p := range c.Problems {
		if err := a.printf("%s\n", problemLine(p)); err != nil {
			return err
		}
	}
	if errs+warnings == 0 {
		return a.printf("the configuration is good\n")
	}
	return a.printf("%s, %s\n", plural(errs, "error"), plural(warnings, "warning"))
}

// checkSamples runs the sample lines of the native filters that the jails name.
func (a *app) checkSamples() []config.Problem {
	l, err := config.Load(config.ProcessOptions(a.config))
	if err != nil {
		return nil // the files changed since they were checked: there is nothing to add
	}
	names := map[string]bool{}
	for _, j := range l.Config.Jails {
		names[j.Filter.Name] = true
	}
	var list []config.Problem
	for _, name := range slices.Sorted(maps.Keys(names)) {
		e, err := catalogue.Find(name)
		if err != nil {
			continue // an inline filter, or one of fail2ban's
		}
		for _, message := range e.Test() {
			list = append(list, config.Problem{File: "catalogue/" + name + ".yaml", Severity: config.SeverityError, Message: message})
		}
	}
	return list
}

func count(problems []config.Problem, s config.Severity) int {
	n := 0
	for _, p := range problems {
		if p.Severity == s {
			n++
		}
	}
	return n
}

func wireProblems(problems []config.Problem) []control.Problem {
	list := make([]control.Problem, len(problems))
	for i, p := range problems {
		list[i] = control.Problem{
			File: p.File, Line: p.Line, Column: p.Column, Path: control.Text(p.Path),
			Severity: string(p.Severity), Message: p.Message,
		}
	}
	return list
}
