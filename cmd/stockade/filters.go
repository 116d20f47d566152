package main

import (
	"context"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/control"
	"stockade/jails/filter/catalogue"
)

// nativeFilter is one entry of `filters`.
type nativeFilter struct {
	Name  string               `json:"name"`
	Title string               `json:"title"`
	Apps  control.List[string] `json:"apps"`
	Modes control.List[string] `json:"modes"`
}

func (a *app) filters() *cobra.Command {
	return a.reading(&cobra.Command{
		Use:   "filters",
		Short: "List the native filters, which a jail or `regex` can name",
		Args:  cobra.NoArgs,
	}, func(context.Context, []string) error {
		var list control.List[nativeFilter]
		t := table{{"NAME", "APPS", "MODES", "RECOGNISES"}}
		for _, name := range catalogue.Names() {
			e, err := catalogue.Find(name)
			if err != nil {
				return err
			}
			list = append(list, nativeFilter{e.Name, e.Title, e.Apps, e.Modes()})
			t = append(t, []string{e.Name, orAll(e.Apps), orAll(e.Modes()), e.Title})
		}
		if a.json {
			return a.printJSON(list)
		}
		return t.print(a.stdout)
	})
}
