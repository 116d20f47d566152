package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

func (a *app) configs() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration that holds, and its schema for editors",
		Args:  cobra.NoArgs,
	}
	a.verb(c, func(context.Context, []string) error {
		return usagef("config: say what: show or schema")
	})
	c.AddCommand(a.configShow(), a.configSchema())
	return c
}

func (a *app) configShow() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "show",
		Short: "Show the merged configuration: every value with the place it was written at",
		Long: `Show the merged configuration: every value with the place it was written at.

The text form is itself a configuration file; the places are its comments. --json has the files,
the configuration as one object, and the places of its values by path.`,
		Args: cobra.NoArgs,
	}, func(context.Context, []string) error {
		opts := config.ProcessOptions(a.config)
		opts.StrictEnv = true
		l, err := config.Load(opts)
		if err != nil {
			return &codedError{err, exitUsage}
		}
		if a.json {
			return a.printJSON(shownConfig(l))
		}
		return l.Show(a.stdout)
	})
}

func (a *app) configSchema() *cobra.Command {
	return a.verb(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the configuration, for editors",
		Args:  cobra.NoArgs,
	}, func(context.Context, []string) error {
		doc, err := config.Schema()
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(doc)
		return err
	})
}

// shown is the answer to `config show --json`.
type shown struct {
	Files   control.List[string]      `json:"files"` // that were read, in the order of the merge
	Config  any                       `json:"config"`
	Origins control.List[shownOrigin] `json:"origins"`
}

// shownOrigin is where a value was written. File is a path, "$NAME" of a variable, or "built-in
// default"; line and column are 0 where there is none.
type shownOrigin struct {
	Path   string `json:"path"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func shownConfig(l *config.Loaded) shown {
	tree, values := l.Values()
	out := shown{Files: l.Files, Config: tree}
	for _, v := range values {
		out.Origins = append(out.Origins, shownOrigin{v.Path, v.File, v.Line, v.Column})
	}
	return out
}
