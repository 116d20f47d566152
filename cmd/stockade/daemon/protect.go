package daemon

import (
	"context"
	"net/netip"
	"strings"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/host"
	"stockade/firewall/nft"
	"stockade/pipeline"
)

// newHostWatcher watches what this host needs and what the operator's lists hold: resolvers, time
// servers, VPN endpoints, logins, files and names.
func (d *daemon) newHostWatcher(ctx context.Context, c *config.Config) *host.Watcher {
	w := host.New(host.Options{Log: d.log, Changed: func(all []host.Protected) {
		var operator, needed []pipeline.Protected
		ignored := make(map[string][]netip.Prefix)
		for _, p := range all {
			if jail, ok := strings.CutPrefix(p.List, ignoreKey); ok {
				ignored[jail] = append(ignored[jail], p.Prefix)
			} else if p.List != "" {
				operator = append(operator, pipeline.Protected{Prefix: p.Prefix, Why: p.List})
			} else {
				needed = append(needed, pipeline.Protected{Prefix: p.Prefix, Why: p.Why})
			}
		}
		d.protect(ctx, pipeline.LayerOperator, operator)
		d.protect(ctx, pipeline.LayerHost, needed)
		if err := d.pipeline.Ignore(ctx, ignored); err != nil && ctx.Err() == nil {
			d.log.Warn("bans of addresses that a jail now ignores could not be lifted", "err", err)
		}
	}})
	w.SetLists(operatorLists(c))
	return w
}

// ignoreKey begins the key of a jail's list of ignored addresses; the jail's name follows.
const ignoreKey = "ignoreip of jail "

// operatorLists are the lists of a configuration that are watched while serving.
func operatorLists(c *config.Config) []host.List {
	lists := []host.List{{Key: "never_ban", Entries: c.NeverBan}, {Key: pipeline.WhyProxy, Entries: c.Proxies}}
	for _, j := range c.Jails {
		if len(j.IgnoreIP) > 0 {
			lists = append(lists, host.List{Key: ignoreKey + j.Name, Entries: j.IgnoreIP})
		}
	}
	return lists
}

// protect puts a layer in force, and logs when the kernel does not take it: the decision still
// protects it.
func (d *daemon) protect(ctx context.Context, l pipeline.Layer, list []pipeline.Protected) {
	if err := d.pipeline.Protect(ctx, l, list); err != nil && ctx.Err() == nil {
		d.log.Warn("the never-ban list could not be put into the kernel; no ban of it is begun", "err", err)
	}
}

// live turns what the kernel knows of this host's addresses into protected prefixes. With
// protectLAN the networks of interfaces without a default route are among them.
func live(s nft.Snapshot, protectLAN bool) []pipeline.Protected {
	var list []pipeline.Protected
	for _, l := range s.OnLink {
		if protectLAN && !l.HasDefaultRoute {
			list = append(list, pipeline.Protected{Prefix: l.Prefix.Masked(), Why: "local network (protect_lan)"})
		}
	}
	for _, p := range s.Own {
		list = append(list, pipeline.Protected{Prefix: single(p.Addr()), Why: "own address"})
	}
	for _, g := range s.Gateways {
		list = append(list, pipeline.Protected{Prefix: single(g), Why: "default gateway"})
	}
	return list
}

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}
