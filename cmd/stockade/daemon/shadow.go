package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"stockade/cmd/stockade/control"
	"stockade/jails/state"
)

// Shadow tells what shadow jails would have banned.
func (d *daemon) Shadow(_ context.Context, jail string) ([]control.Shadow, error) {
	if jail != "" {
		if err := d.knownJail(jail); err != nil {
			return nil, err
		}
	}
	var list []control.Shadow
	for _, j := range d.current.get().all {
		if j.Enforce || !j.Enabled || jail != "" && j.Name != jail {
			continue
		}
		list = append(list, d.shadow(j.Name))
	}
	if jail != "" && len(list) == 0 {
		return nil, &control.Error{Code: control.CodeRefused, Message: fmt.Sprintf("jail %s is no shadow jail: it enforces, or is disabled", jail)}
	}
	return list, nil
}

func (d *daemon) shadow(jail string) control.Shadow {
	out := control.Shadow{Jail: jail, Total: d.store.Counts(jail).BannedTotal, Config: control.Text(d.mainFile())}
	by := make(map[string]int64)
	for _, b := range d.store.Bans(jail) {
		if !b.Shadow {
			continue
		}
		x := control.ShadowBan{
			Address: b.Prefix, Source: control.Text(b.Source), Trust: control.Text(b.Trust), Start: b.Start,
			End: control.Moment(b.End), Failures: int64(b.Failures), Reason: control.Text(b.Reason), Proxy: control.Text(proxyLike(b.Prefix)),
		}
		if at, ok := d.admission.Successes.Last(b.Prefix); ok {
			x.LoggedIn = &at
			out.LoggedIn++
		}
		if x.Proxy != "" {
			out.Proxies++
		}
		out.Bans = append(out.Bans, x)
		by[b.Source]++
	}
	for source, n := range by {
		out.Sources = append(out.Sources, control.ShadowFrom{Source: source, Bans: n})
	}
	slices.SortFunc(out.Sources, func(a, b control.ShadowFrom) int {
		return cmp.Or(cmp.Compare(b.Bans, a.Bans), strings.Compare(a.Source, b.Source))
	})
	for _, s := range d.registry.Load().All() {
		if !slices.Contains(s.Jails, "*") && !slices.Contains(s.Jails, jail) {
			continue
		}
		for _, r := range s.Refused.All() {
			if r.Reason == "names_proxy" {
				out.Named += r.Count
			}
		}
	}
	return out
}

// mainFile is the absolute path of the main configuration file; "" for the built-in default.
func (d *daemon) mainFile() string {
	files := d.current.get().loaded.Files
	if len(files) == 0 {
		return ""
	}
	main, err := filepath.Abs(files[0])
	if err != nil {
		return files[0]
	}
	return main
}

// promote makes the bans hold that jails recorded before they enforced, except those of addresses that
// logged in lately or look like proxies, which are lifted. before is the configuration of before; nil
// is an unknown one.
func (d *daemon) promote(ctx context.Context, before *built) ([]control.Promotion, error) {
	var list []control.Promotion
	var errs error
	for _, j := range d.current.get().all {
		if !j.Enabled || !j.Enforce || before != nil && enforces(before.all, j.Name) || !slices.ContainsFunc(d.store.Bans(j.Name), func(b *state.Ban) bool { return b.Shadow }) {
			continue
		}
		if len(list) == 0 { // lines that were read under the old plan are judged by now
			if err := d.pipeline.Ping(ctx); err != nil {
				return nil, err
			}
		}
		began, spared, err := d.pipeline.Promote(ctx, j.Name, func(b *state.Ban) bool {
			_, loggedIn := d.admission.Successes.Last(b.Prefix)
			return loggedIn || proxyLike(b.Prefix) != ""
		})
		errs = errors.Join(errs, err)
		list = append(list, control.Promotion{Jail: j.Name, Began: int64(began), Spared: int64(spared)})
		d.log.Info("the jail enforces now", "jail", j.Name, "bans", began, "spared", spared)
	}
	return list, errs
}

// shared are prefixes from which many people come at once: a ban there hits whoever else does.
var shared = []struct {
	why      string
	prefixes []netip.Prefix
}{
	{"a private address: a proxy, a NAT or a container of yours", prefixes("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7")},
	{"a provider's shared address (RFC 6598)", prefixes("100.64.0.0/10")},
	// https://www.cloudflare.com/ips/
	{"an edge of Cloudflare: log the real client", prefixes("173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18 " +
		"108.162.192.0/18 190.93.240.0/20 188.114.96.0/20 197.234.240.0/22 198.41.128.0/17 162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 " +
		"172.64.0.0/13 131.0.72.0/22 2400:cb00::/32 2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32 2a06:98c0::/29 2c0f:f248::/32")},
	// https://api.fastly.com/public-ip-list
	{"an edge of Fastly: log the real client", prefixes("23.235.32.0/20 43.249.72.0/22 103.244.50.0/24 103.245.222.0/23 103.245.224.0/24 " +
		"104.156.80.0/20 140.248.64.0/18 140.248.128.0/17 146.75.0.0/17 151.101.0.0/16 157.52.64.0/18 167.82.0.0/17 167.82.128.0/20 " +
		"167.82.160.0/20 167.82.224.0/20 172.111.64.0/18 185.31.16.0/22 199.27.72.0/21 199.232.0.0/16 2a04:4e40::/32 2a04:4e42::/32")},
}

func prefixes(list string) []netip.Prefix {
	var out []netip.Prefix
	for text := range strings.FieldsSeq(list) {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// proxyLike says why many people may share the address, or "". It is a hint: the lists of providers
// change.
func proxyLike(p netip.Prefix) string {
	for _, s := range shared {
		for _, x := range s.prefixes {
			if x.Overlaps(p) {
				return s.why
			}
		}
	}
	return ""
}
