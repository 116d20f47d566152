package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"stockade/cmd/stockade/attacker"
	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/daemon"
	"stockade/jails"
	"stockade/jails/filter"
)

// attackerInput reads a configuration, as far as it decides whom an attacker could get banned.
func attackerInput(file string) (*attacker.Input, error) {
	l, err := config.Load(config.ProcessOptions(file))
	if err != nil {
		return nil, err
	}
	c := l.Config
	in := &attacker.Input{
		Listeners: c.Listeners, Sources: c.Sources, ProtectLAN: c.ProtectLAN,
		Protected: map[string][]string{"never_ban": c.NeverBan, "proxies": c.Proxies},
	}
	for _, j := range c.Jails {
		in.Protected["ignoreip of jail "+j.Name] = j.IgnoreIP
		j.IgnoreIP = nil // its files and names decide nothing here
		policy, err := jails.New(c.Defaults, j, os.ReadFile)
		if err != nil {
			return nil, err
		}
		spec, _, err := daemon.Spec(j)
		if err != nil {
			return nil, err
		}
		f, err := filter.Compile(spec)
		if err != nil {
			return nil, err
		}
		in.Jails = append(in.Jails, attacker.Jail{Policy: policy, Filter: f})
	}
	return in, nil
}

// asAttacker prints whom attackers at a source could get banned, from the files alone.
func (a *app) asAttacker(source string) error {
	in, err := attackerInput(a.config)
	if err != nil {
		return &codedError{err, exitUsage}
	}
	r, err := in.Of(source)
	if err != nil {
		return &codedError{err, exitUsage}
	}
	if a.json {
		return a.printJSON(r)
	}
	if err := a.printf("source %s, known by %s, %s; protected addresses are never banned\n\n", r.Source, r.Trust, r.Quota.String()); err != nil {
		return err
	}
	t := table{{"WHO", "JAIL", "VICTIMS", "WHY"}}
	for _, at := range r.Attackers {
		for _, j := range at.Jails {
			t = append(t, []string{string(at.Who), j.Jail, string(j.Victims), j.Why})
		}
	}
	if err := t.print(a.stdout); err != nil {
		return err
	}
	return a.printf("\nuser: without privileges on the host that sends; root: its root; path: sees and changes what it sends;\n" +
		"stranger: sends its services packets with forged addresses.\n")
}

// against compares a configuration with an older one. What the change gives attackers is an error,
// or a warning once it is accepted.
func (a *app) against(old string, accept bool) []config.Problem {
	was, err := attackerInput(old)
	if err != nil {
		var faults *config.Errors
		if errors.As(err, &faults) {
			return faults.Problems
		}
		return []config.Problem{{File: old, Severity: config.SeverityError, Message: err.Error()}}
	}
	now, err := attackerInput(a.config)
	if err != nil {
		return nil // the files changed since they were checked
	}
	severity, hint := config.SeverityError, "; --accept says that this is meant"
	if accept {
		severity, hint = config.SeverityWarning, ""
	}
	var list []config.Problem
	for _, w := range attacker.Compare(was, now) {
		list = append(list, config.Problem{
			File: checkedFile(a.config), Severity: severity,
			Message: fmt.Sprintf("compared with %s, attackers can do more: %s%s", old, strings.TrimSuffix(w.String(), "."), hint),
		})
	}
	return list
}

// checkedFile names the configuration that is checked.
func checkedFile(file string) string {
	if file == "" {
		return config.DefaultFile
	}
	return file
}
