package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/pki"
)

// pkiOptions are the flags of `pki` and its verbs.
type pkiOptions struct {
	dir     string
	days    int
	force   bool
	sans    []string
	address string
	jails   []string
	driver  string
	print   string
	write   string
}

func (a *app) pki() *cobra.Command {
	o := &pkiOptions{}
	c := &cobra.Command{
		Use:   "pki",
		Short: "Make a local CA, and certificates for this host and for those that send",
		Long: `Make a local CA, and certificates for this host and for those that send.

Begin with init on the host that receives, then issue one certificate for each host that sends, and
bring it there with bundle. Only files are read and written; no daemon is asked.`,
		Args: cobra.NoArgs,
	}
	c.PersistentFlags().StringVar(&o.dir, "dir", pki.DefaultDir, "`folder` of the CA and its certificates")
	c.AddCommand(a.pkiInit(o), a.pkiIssue(o), a.pkiBundle(o), a.pkiFingerprint(), a.pkiList(o))
	return a.verb(c, func(context.Context, []string) error {
		_ = c.Help()
		return usagef("pki: name what to do: init, issue, bundle, fingerprint or list")
	})
}

// issuing adds the flags of the verbs that issue.
func (o *pkiOptions) issuing(c *cobra.Command, names string) {
	f := c.Flags()
	f.StringArrayVar(&o.sans, "san", nil, names)
	f.IntVar(&o.days, "days", pki.DefaultDays, "how long the certificate is good, in `days`")
	f.BoolVar(&o.force, "force", false, "replace what exists")
	f.StringVar(&o.write, "write", "", "also write the configuration's entry to `file`, such as /etc/stockade/conf.d/60-tls.yaml")
}

// receiving adds the flag that says where the listener is.
func (o *pkiOptions) receiving(c *cobra.Command) {
	c.Flags().StringVar(&o.address, "address", pki.DefaultAddress, "`HOST:PORT` that the listener listens on")
}

func (a *app) pkiInit(o *pkiOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "init [--san NAME]...",
		Short: "Make the CA and this host's certificate; print the listeners: entry",
		Args:  cobra.NoArgs,
	}
	o.issuing(c, "a `name` or address by which senders reach this host (default: its host name)")
	o.receiving(c)
	return a.reading(c, func(context.Context, []string) error {
		if len(o.sans) == 0 {
			host, err := os.Hostname()
			if err != nil {
				return err
			}
			o.sans = []string{host}
		}
		cert, err := pki.Init(o.dir, pki.Options{SANs: o.sans, Days: o.days, Force: o.force})
		if err != nil {
			return pkiFault(err, "every certificate must then be issued anew")
		}
		entry := pki.Listener(o.dir, o.address)
		if err := o.save(entry); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(struct {
				pki.Certificate
				Listener string `json:"listener"`
			}{cert, entry})
		}
		return a.printf("# CA and certificate of %s in %s, good until %s\n"+o.place()+"%s",
			strings.Join(cert.SANs, ", "), o.dir, shortTime(cert.NotAfter), verbatim(entry))
	})
}

func (a *app) pkiIssue(o *pkiOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "issue NAME [--san NAME]...",
		Short: "Issue the certificate of a host that sends; print its sources: entry and its snippets",
		Long: `Issue the certificate of a host that sends, and print its sources: entry and the snippets for its
rsyslog or syslog-ng. The name server issues this host's own certificate again.`,
		Args: cobra.ExactArgs(1),
	}
	o.issuing(c, "a `name` in the certificate (default NAME); the first is what the source is known by")
	o.receiving(c)
	c.Flags().StringArrayVar(&o.jails, "jail", []string{"sshd"}, "a `jail` that the host may feed")
	c.Flags().StringVar(&o.print, "print", "", "print only the `part`: source, "+strings.Join(pki.Drivers, ", "))
	return a.reading(c, func(_ context.Context, args []string) error { return a.issueCertificate(o, args[0]) })
}

func (a *app) issueCertificate(o *pkiOptions, name string) error {
	parts, err := o.snippets()
	if err != nil {
		return err
	}
	if _, known := parts[o.print]; o.print != "" && o.print != "source" && !known {
		return usagef("pki issue: %q is not a part: source, %s", o.print, strings.Join(pki.Drivers, ", "))
	}
	cert, err := pki.Issue(o.dir, pki.Options{Name: name, SANs: o.sans, Days: o.days, Force: o.force})
	if err != nil {
		return pkiFault(err, "the old certificate stays good until it ends: remove its source, or name it by another --san")
	}
	entry := ""
	if cert.Kind == pki.KindClient {
		entry = pki.Source(cert, o.jails)
		if err := o.save(entry); err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return a.printJSON(struct {
			pki.Certificate
			Source   string            `json:"source"`
			Snippets map[string]string `json:"snippets"`
		}{cert, entry, parts})
	case o.print == "source":
		return a.printf("%s", verbatim(entry))
	case o.print != "":
		return a.printf("%s", verbatim(parts[o.print]))
	}
	if err := a.printf("# certificate of %s in %s, good until %s\n", strings.Join(cert.SANs, ", "), cert.File, shortTime(cert.NotAfter)); err != nil || entry == "" {
		return err
	}
	if err := a.printf("\n"+o.place()+"%s", verbatim(entry)); err != nil {
		return err
	}
	for _, driver := range pki.Drivers {
		if err := a.printf("\n## on %s, in its own configuration:\n%s", name, verbatim(parts[driver])); err != nil {
			return err
		}
	}
	return a.printf("\n## or bring all of it there:\nstockade pki bundle %s --driver ossl | ssh root@%s tar -xC /\n", name, name)
}

// snippets returns what each driver of a sending host needs.
func (o *pkiOptions) snippets() (map[string]string, error) {
	g, err := pki.GatewayOf(o.dir, o.address)
	if err != nil {
		return nil, pkiFault(err, "")
	}
	parts := map[string]string{}
	for _, driver := range pki.Drivers {
		if _, parts[driver], err = pki.Sender(driver, g); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

func (a *app) pkiBundle(o *pkiOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle NAME",
		Short: "Write a tar archive with all that the sending host needs, its key included",
		Args:  cobra.ExactArgs(1),
	}
	o.receiving(c)
	c.Flags().StringVar(&o.driver, "driver", "ossl", "what forwards there: "+strings.Join(pki.Drivers, ", "))
	return a.verb(c, func(_ context.Context, args []string) error {
		if f, ok := a.stdout.(*os.File); ok && isTerminal(f) {
			return usagef("pki bundle: it holds a key and is no text: send it on, | ssh root@%s tar -xC /", args[0])
		}
		g, err := pki.GatewayOf(o.dir, o.address)
		if err != nil {
			return pkiFault(err, "")
		}
		var archive bytes.Buffer
		if err := pki.Bundle(&archive, o.dir, args[0], o.driver, g); err != nil {
			return pkiFault(err, "")
		}
		_, err = a.stdout.Write(archive.Bytes())
		return err
	})
}

// isTerminal reports whether f is a character device, as terminals are.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// save writes a configuration's entry to the file of --write, if there is one.
func (o *pkiOptions) save(entry string) error {
	if o.write == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(o.write), 0o755); err != nil {
		return pkiFault(err, "")
	}
	return pkiFault(pki.WriteFile(o.write, []byte(entry), 0o644, o.force), "the certificate was issued")
}

// place says what to do with the entry that follows.
func (o *pkiOptions) place() string {
	if o.write != "" {
		return "## written to " + strings.ReplaceAll(o.write, "%", "%%") + ":\n"
	}
	return "## put this into a file in /etc/stockade/conf.d:\n"
}

// pkiFault gives an error of package pki the exit code it deserves, and says what --force means.
func pkiFault(err error, force string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pki.ErrExists):
		return &codedError{fmt.Errorf("%w; --force replaces it: %s", err, force), exitNegative}
	case errors.Is(err, fs.ErrPermission):
		return &codedError{fmt.Errorf("%w; run it as root, or choose another folder with --dir", err), exitPermission}
	}
	return &codedError{err, exitUsage}
}
