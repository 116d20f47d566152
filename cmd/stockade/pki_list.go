package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade/cmd/stockade/pki"
)

// verbatim is text of our own making, whose lines printf must not escape.
type verbatim string

func (a *app) pkiFingerprint() *cobra.Command {
	c := &cobra.Command{
		Use:   "fingerprint FILE",
		Short: "Print the fingerprint of a PEM certificate, as a source takes it",
		Args:  cobra.ExactArgs(1),
	}
	return a.reading(c, func(_ context.Context, args []string) error {
		cert, err := pki.Fingerprint(args[0])
		if err != nil {
			return pkiFault(err, "")
		}
		if a.json {
			return a.printJSON(cert)
		}
		return a.printf("# %s, good until %s\ncertificate: {sha256: %s}\n# of its key, the same after a renewal:\ncertificate: {sha256: %s}\n",
			strings.Join(cert.SANs, ", "), shortTime(cert.NotAfter), cert.SHA256, cert.KeySHA256)
	})
}

// listedCertificate is one row of `pki list`.
type listedCertificate struct {
	pki.Certificate
	State    string `json:"state"` // ok, ends soon, ended, replaced
	DaysLeft int    `json:"days_left"`
}

// soon is how many days before its end a certificate is shown as ending.
const soon = 30

func (a *app) pkiList(o *pkiOptions) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the certificates that were issued, and when they end",
		Args:  cobra.NoArgs,
	}
	c.Flags().BoolVar(&all, "all", false, "list those that were replaced, too")
	return a.reading(c, func(context.Context, []string) error {
		issued, err := pki.List(o.dir)
		if err != nil {
			return pkiFault(err, "")
		}
		list := []listedCertificate{}
		for _, cert := range issued {
			if cert.Replaced && !all && !a.json {
				continue
			}
			list = append(list, newListedCertificate(cert, time.Now()))
		}
		if a.json {
			return a.printJSON(list)
		}
		if len(list) == 0 {
			return a.printf("no certificates in %s\n", o.dir)
		}
		t := table{{"NAME", "KIND", "NAMES", "ENDS", "DAYS LEFT", "STATE", "SERIAL", "SHA256"}}
		for _, l := range list {
			t = append(t, []string{
				l.Name, string(l.Kind), strings.Join(l.SANs, " "), shortTime(l.NotAfter), fmt.Sprint(l.DaysLeft), l.State, l.Serial, l.SHA256,
			})
		}
		return t.print(a.stdout)
	})
}

func newListedCertificate(cert pki.Certificate, now time.Time) listedCertificate {
	l := listedCertificate{Certificate: cert, State: "ok", DaysLeft: int(cert.NotAfter.Sub(now) / (24 * time.Hour))}
	switch {
	case cert.Replaced:
		l.State = "replaced"
	case !now.Before(cert.NotAfter):
		l.State, l.DaysLeft = "ended", 0
	case l.DaysLeft < soon:
		l.State = "ends soon"
	}
	return l
}
