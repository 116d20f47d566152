package replay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/daemon"
	"stockade/cmd/stockade/host"
	"stockade/firewall/nft"
	"stockade/jails"
	"stockade/jails/filter"
	"stockade/jails/filter/catalogue"
	"stockade/pipeline"
	"stockade/receiver/tail"
)

// Policy is what a configuration says about lines: its enabled jails with their filters, and what
// is never banned. It is immutable and may be used by several runs at once.
type Policy struct {
	jails   []*jails.Jail
	filters []*filter.Filter
	set     *filter.Set
	regexes *filter.Set // the filters that are regular expressions: they see lines without their date
	guard   *pipeline.Guard
	v6bits  int
	tails   []tail.Config
	names   []string // DNS names of the lists, each with its list
}

// Load reads a configuration and builds its jails. Only what concerns lines has to be in order:
// certificates, sockets and the like of another host are not looked for. The error is a
// *config.Errors, or joins what is wrong with jails and filters.
func Load(o config.Options) (*Policy, error) {
	l, err := config.Load(o)
	if err != nil {
		return nil, err
	}
	cfg := l.Config
	p := &Policy{v6bits: cfg.Firewall.IPv6Prefix, tails: cfg.Tails, guard: pipeline.NewGuard()}
	if p.v6bits == 0 {
		p.v6bits = 64
	}
	errs := p.addJails(cfg)
	never, err := p.neverBan(cfg)
	if err = errors.Join(errs, err); err != nil {
		return nil, err
	}
	p.guard.Set(pipeline.LayerOperator, never)
	p.guard.Set(pipeline.LayerPeers, peers(cfg))
	p.guard.Set(pipeline.LayerLive, local(cfg.ProtectLAN))
	p.build()
	return p, nil
}

func (p *Policy) addJails(cfg *config.Config) error {
	var errs []error
	for _, c := range cfg.Jails {
		j, err := jails.New(cfg.Defaults, c, os.ReadFile)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !j.Enabled {
			continue
		}
		spec, _, err := daemon.Spec(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("jail %q: %w", c.Name, err))
			continue
		}
		f, err := filter.Compile(spec)
		if err != nil {
			errs = append(errs, fmt.Errorf("jail %q: %w", c.Name, err))
			continue
		}
		p.jails, p.filters = append(p.jails, j), append(p.filters, f)
		for _, entry := range c.IgnoreIP {
			p.named("ignoreip of jail "+c.Name, entry)
		}
	}
	return errors.Join(errs...)
}

// build puts the filters together.
func (p *Policy) build() {
	apps := make([][]string, len(p.jails))
	var regexes []*filter.Filter
	var theirs [][]string
	for i, j := range p.jails {
		for _, a := range j.Apps {
			apps[i] = append(append(apps[i], a), catalogue.Family(a)...)
		}
		if len(p.filters[i].Spec().Patterns) == 0 {
			regexes, theirs = append(regexes, p.filters[i]), append(theirs, apps[i])
		}
	}
	p.set = filter.NewSet(p.filters, apps)
	p.regexes = filter.NewSet(regexes, theirs)
}

// app returns the app name that the configuration gives to the lines of a file, or "".
func (p *Policy) app(path string) string {
	for _, t := range p.tails {
		for _, pattern := range t.Paths {
			if ok, err := doublestar.PathMatch(pattern, path); err == nil && ok {
				return t.App
			}
		}
	}
	return ""
}

// named reports whether an entry of a list is a DNS name, and notes it. serve looks names up now and
// then; what they stood for when the lines were written, nobody knows any more.
func (p *Policy) named(list, entry string) bool {
	names, _ := host.SplitNames([]string{entry})
	for _, name := range names {
		p.names = append(p.names, fmt.Sprintf("%s (%s)", name, list))
	}
	return len(names) > 0
}

func (p *Policy) neverBan(cfg *config.Config) ([]pipeline.Protected, error) {
	var all []pipeline.Protected
	var errs []error
	list := func(key string, entries []string) {
		for i, entry := range entries {
			if p.named(key, entry) {
				continue
			}
			for _, a := range jails.ParseAddrList([]string{entry}, os.ReadFile, func(_ int, message string) {
				errs = append(errs, fmt.Errorf("%s[%d]: %s", key, i, message))
			}) {
				all = append(all, pipeline.Protected{Prefix: a, Why: key})
			}
		}
	}
	list("proxies", cfg.Proxies)
	list("never_ban", cfg.NeverBan)
	return all, errors.Join(errs...)
}

// peers are the single addresses that sources are known by.
func peers(cfg *config.Config) []pipeline.Protected {
	var list []pipeline.Protected
	for _, s := range cfg.Sources {
		for _, text := range s.Addresses {
			if p, err := jails.ParsePrefix(text); err == nil && p.IsSingleIP() {
				list = append(list, pipeline.Protected{Prefix: p, Why: "address of source " + s.Name})
			}
		}
	}
	return list
}

// local are this host's own addresses, gateways and, with protectLAN, local networks: serve would
// not ban them here. Where the kernel does not tell, there are none.
func local(protectLAN bool) []pipeline.Protected {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var list []pipeline.Protected
	add := func(p netip.Prefix, why string) {
		list = append(list, pipeline.Protected{Prefix: p.Masked(), Why: why})
	}
	single := func(a netip.Addr, why string) {
		a = a.Unmap().WithZone("")
		add(netip.PrefixFrom(a, a.BitLen()), why)
	}
	_ = nft.WatchAddresses(ctx, 0, func(s nft.Snapshot) {
		list = nil
		for _, l := range s.OnLink {
			if protectLAN && !l.HasDefaultRoute {
				add(l.Prefix, "local network (protect_lan)")
			}
		}
		for _, p := range s.Own {
			single(p.Addr(), "own address")
		}
		for _, g := range s.Gateways {
			single(g, "default gateway")
		}
		cancel() // one look is enough
	})
	return list
}
