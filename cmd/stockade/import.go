package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/daemon"
	"stockade/cmd/stockade/migrate"
)

// importOptions are the flags of `import fail2ban`.
type importOptions struct {
	dir, output             string
	native, dryRun, replace bool
	bans                    bool
	database                string
}

func (a *app) imports() *cobra.Command {
	c := &cobra.Command{
		Use:   "import",
		Short: "Take over what another program of this kind does",
		Args:  cobra.NoArgs,
	}
	a.verb(c, func(context.Context, []string) error {
		return usagef("import: say from what: fail2ban")
	})
	c.AddCommand(a.importFail2ban())
	return c
}

func (a *app) importFail2ban() *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:   "fail2ban [DIR]",
		Short: "Translate a fail2ban folder, and take over its bans",
		Long: `Translate a fail2ban folder into conf.d/` + migrate.FileName + `, and say of each jail what moved, what was
replaced, what is different and what could not move. DIR is ` + migrate.DefaultDir + ` unless it is named. The
folder is only read, and nothing in it is run.

    stockade import fail2ban --dry-run        # the report, and the file on standard output
    stockade import fail2ban                  # writes the file
    stockade check && systemctl start stockade
    stockade import fail2ban --bans           # the running stockade takes over fail2ban's bans
    systemctl disable --now fail2ban

Run again it changes nothing by itself: a file that would become another one is only replaced with
--replace. Exit code 1 says that something could not move, or that the file was left as it is.`,
		Args: cobra.MaximumNArgs(1),
	}
	f := c.Flags()
	f.StringVar(&o.output, "output", "", "the `folder` to write to (default conf.d beside the configuration file)")
	f.BoolVar(&o.native, "native", false, "use Stockade's own filters where it has one for the daemon")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing: print the report and the file")
	f.BoolVar(&o.replace, "replace", false, "replace a file that holds something else")
	f.BoolVar(&o.bans, "bans", false, "hand fail2ban's bans and the history of offenders to the running stockade")
	f.StringVar(&o.database, "database", "", "with --bans: fail2ban's database `file` (default the one its configuration names)")
	return a.reading(c, func(ctx context.Context, args []string) error {
		o.dir = migrate.DefaultDir
		if len(args) > 0 {
			o.dir = args[0]
		}
		switch {
		case o.database != "" && !o.bans:
			return usagef("import: --database belongs to --bans")
		case o.bans && (o.native || o.replace || o.output != ""):
			return usagef("import: --bans moves bans alone: --native, --replace and --output are for the configuration")
		case o.bans:
			return a.importBans(ctx, &o)
		}
		return a.importConfig(&o)
	})
}

// importConfig translates the folder and writes the file.
func (a *app) importConfig(o *importOptions) error {
	setup, err := migrate.Read(o.dir)
	if err != nil {
		return importError(err)
	}
	host, _ := os.Hostname() // "" is completed
	stateDir, folder := a.places()
	if o.output != "" {
		folder = o.output
	}
	r, err := migrate.Translate(setup, migrate.Options{Native: o.native, Hostname: host, StateDir: stateDir})
	if err != nil {
		return importError(err)
	}
	if err := checkAlone(r.Text); err != nil {
		return err
	}
	if o.dryRun {
		r.Report.File, r.Report.State = filepath.Join(folder, migrate.FileName), migrate.StateDryRun
	} else if err := r.Write(folder, o.replace); err != nil {
		return importError(err)
	}
	if err := a.printImport(r, o); err != nil {
		return err
	}
	if r.Report.State == migrate.StateDiffers || !r.Report.Complete() {
		return errNegative
	}
	return nil
}

// places are the state folder of the configuration, and where its conf.d is.
func (a *app) places() (stateDir, confd string) {
	main := a.config
	if main == "" {
		main = config.DefaultFile
	}
	l, _ := config.Load(config.ProcessOptions(a.config)) // its faults are for check to tell
	return l.Config.StateDir, filepath.Join(filepath.Dir(main), "conf.d")
}

// checkAlone gives the file the verdict that check would give it, before it is written.
func checkAlone(text []byte) error {
	dir, err := os.MkdirTemp("", "stockade-import-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, migrate.FileName)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	var faults []error
	for _, p := range daemon.Check(daemon.CheckOptions{Config: file}) {
		if p.Severity == config.SeverityError {
			p.File = migrate.FileName
			faults = append(faults, errors.New(p.String()))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return &codedError{fmt.Errorf("the file would not pass check; nothing was written\n%w", errors.Join(faults...)), exitUsage}
}

func (a *app) printImport(r *migrate.Result, o *importOptions) error {
	if a.json {
		return a.printJSON(&r.Report)
	}
	if o.dryRun {
		if _, err := a.stdout.Write(r.Text); err != nil {
			return err
		}
		if err := a.printf("\n"); err != nil {
			return err
		}
	}
	for line := range strings.Lines(r.Report.Text()) {
		if err := a.printf("%s\n", strings.TrimSuffix(line, "\n")); err != nil {
			return err
		}
	}
	switch r.Report.State {
	case migrate.StateWritten:
		return a.printf("wrote %s\nnext: stockade check, start or reload stockade, then stockade import fail2ban --bans\n", r.Report.File)
	case migrate.StateUnchanged:
		return a.printf("%s holds this already; nothing was changed\n", r.Report.File)
	case migrate.StateDiffers:
		return a.printf("%s holds something else and was left alone; --replace replaces it, --dry-run shows the new one\n", r.Report.File)
	}
	return a.printf("nothing was written (--dry-run); it would be %s\n", r.Report.File)
}

// importError gives the faults of fail2ban's files their exit code.
func importError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &codedError{err, exitPermission}
	}
	return &codedError{err, exitUsage}
}
