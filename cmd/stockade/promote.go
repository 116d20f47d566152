package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/receiver/statefile"
)

// promoted is the answer to `promote`.
type promoted struct {
	Shadow control.Shadow        `json:"shadow"` // what the jail would have banned
	File   control.Text          `json:"file"`   // that was written, null with --dry-run
	Reload *control.ReloadResult `json:"reload"` // null with --dry-run
}

func (a *app) promote() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "promote JAIL",
		Short: "Make a jail with enforce: false enforce, for good",
		Long: `Make a jail with enforce: false enforce, for good.

It shows what the jail would have banned, writes conf.d/zz-promote-JAIL.yaml beside the daemon's
configuration and reloads. The bans that were only recorded hold from then on, except those of
addresses that logged in lately or that many people share, which are let go.`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what the jail would have banned")
	return a.reading(c, func(ctx context.Context, args []string) error {
		d, err := a.dial(ctx)
		if err != nil {
			return err
		}
		defer d.Close()
		list, err := d.Shadow(ctx, args[0])
		if err != nil {
			return err
		}
		out := promoted{Shadow: list[0]}
		if !a.json {
			if err := a.printShadow(out.Shadow); err != nil {
				return err
			}
		}
		if !dry {
			file, res, err := writePromotion(ctx, d, out.Shadow)
			if err != nil {
				return err
			}
			out.File, out.Reload = control.Text(file), &res
		}
		if a.json {
			return a.printJSON(out)
		}
		return a.printPromotion(out)
	})
}

func (a *app) printPromotion(out promoted) error {
	if out.Reload == nil {
		return nil
	}
	if err := a.printf("\nwritten %s\n", out.File); err != nil {
		return err
	}
	return a.printReload(control.ReloadRequest{}, *out.Reload)
}

// writePromotion writes the file that makes the jail enforce and reloads. When that does not work the
// file is gone again.
func writePromotion(ctx context.Context, d *control.Client, s control.Shadow) (file string, res control.ReloadResult, err error) {
	if s.Config == "" {
		return "", res, fmt.Errorf("promote: the daemon serves the built-in default, which is in no file")
	}
	main := string(s.Config)
	file = filepath.Join(filepath.Dir(main), "conf.d", "zz-promote-"+s.Jail+".yaml")
	text := fmt.Sprintf("# Written by `stockade promote %s`. Remove the file, or say enforce: false in it, to go back.\njails:\n  - {name: %s, enforce: true}\n", s.Jail, s.Jail)
	undo, err := replaceFile(file, text)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return "", res, &codedError{fmt.Errorf("promote: %w", err), exitPermission}
		}
		return "", res, fmt.Errorf("promote: %w", err)
	}
	if err = overridden(main, s.Jail); err == nil {
		if res, err = d.Reload(ctx, control.ReloadRequest{}); err == nil {
			return file, res, nil
		}
	}
	return "", res, errors.Join(err, undo())
}

// overridden tells which other file keeps the jail from enforcing.
func overridden(main, jail string) error {
	l, err := config.Load(config.ProcessOptions(main))
	if err != nil {
		return &codedError{err, exitUsage}
	}
	for i, j := range l.Config.Jails {
		if j.Name == jail && j.Enforce != nil && !*j.Enforce {
			file, line, column := l.Origins.At(fmt.Sprintf("jails[%d].enforce", i))
			return &codedError{fmt.Errorf("promote: %s:%d:%d is read later and says enforce: false: change it there", file, line, column), exitUsage}
		}
	}
	return nil
}

// replaceFile puts a file in place as a whole, and returns what puts things as they were.
func replaceFile(file, text string) (undo func() error, err error) {
	dir := filepath.Dir(file)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	undo = func() error { return os.Remove(file) }
	if old, err := os.ReadFile(file); err == nil {
		undo = func() error { return statefile.Replace(file, old, 0o644) }
	}
	return undo, statefile.Replace(file, []byte(text), 0o644)
}
