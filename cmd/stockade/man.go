package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const (
	manSection = "8" // system administration
	manMode    = 0o644
	manAlso    = ".SH SEE ALSO"
	// manTail is the end of every page before manAlso, as roff.
	manTail = `.SH EXIT STATUS
0 done, 1 a negative answer, 2 usage or configuration, 3 the daemon cannot be reached, 4 not permitted.
.SH FILES
.TP
.I /etc/stockade/stockade.yaml
the configuration, see
.BR stockade.yaml (5)
.TP
.I /etc/stockade/conf.d/*.yaml
read after it in the order of their names
.TP
.I /var/lib/stockade
bans, windows and evidence
.TP
.I /run/stockade/control.sock
where the commands reach the daemon
`
)

// man writes the manual pages of all commands; packages are made with it, so nobody is told of it.
func (a *app) man() *cobra.Command {
	var date, reference string
	c := &cobra.Command{
		Use:    "man FOLDER",
		Short:  "Write the manual pages, one a command",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
	}
	c.Flags().StringVar(&date, "date", "", "`day` of the pages, such as 2026-11-24, so that the same sources give the same pages")
	c.Flags().StringVar(&reference, "reference", "", "the commented configuration `file` that becomes stockade.yaml(5); absent: that page is not written")
	return a.verb(c, func(_ context.Context, args []string) error {
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return usagef("man: --date %q is not a day such as 2026-11-24", date)
		}
		if err := writePages(c.Root(), args[0], day); err != nil || reference == "" {
			return err
		}
		text, err := os.ReadFile(reference)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(args[0], "stockade.yaml.5"), referencePage(string(text), day), manMode)
	})
}

// writePages writes the page of a command and those of the commands below it.
func writePages(c *cobra.Command, dir string, day time.Time) error {
	c.DisableAutoGenTag = true
	var page bytes.Buffer
	if err := doc.GenMan(c, &doc.GenManHeader{Section: manSection, Date: &day, Source: "Stockade", Manual: "Stockade"}, &page); err != nil {
		return fmt.Errorf("manual page of %s: %w", c.CommandPath(), err)
	}
	text := strings.Replace(page.String(), manAlso, manTail+manAlso, 1)
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + "." + manSection
	if err := os.WriteFile(filepath.Join(dir, name), []byte(portable(text)), manMode); err != nil {
		return err
	}
	for _, below := range c.Commands() {
		if !below.IsAvailableCommand() || below.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writePages(below, dir, day); err != nil {
			return err
		}
	}
	return nil
}

// referencePage is the manual page of the configuration: the commented file as it stands.
func referencePage(text string, day time.Time) []byte {
	var page strings.Builder
	fmt.Fprintf(&page, `.TH "STOCKADE.YAML" "5" "%s" "Stockade" "Stockade"
.SH NAME
stockade.yaml \- configuration of stockade
.SH DESCRIPTION
Every key, with its default or an example.
.B stockade check
tells all faults of a configuration at once,
.B stockade config schema
prints a JSON schema for editors.
.PP
.nf
`, day.Format("Jan 2006"))
	for line := range strings.Lines(text) {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `\`, `\e`)
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		page.WriteString(strings.ReplaceAll(line, "-", `\-`) + "\n")
	}
	page.WriteString(".fi\n" + manAlso + "\n.BR stockade (8)\n")
	return []byte(portable(page.String()))
}

// portable writes what is not ASCII as escapes of groff: it reads another character set.
func portable(page string) string {
	var b strings.Builder
	for _, r := range page {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\[u%04X]`, r)
	}
	return b.String()
}
