package receiver

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	maxQuota       = 1_000_000
	minExpectEvery = time.Second
	maxExpectEvery = 366 * 24 * time.Hour
)

// Feeds are what a source can be fed by.
type Feeds struct {
	Listeners []ListenerConfig
	Tails     []string // names
	Journals  []string // names
}

func (f *Feeds) listener(name string) *ListenerConfig {
	for i := range f.Listeners {
		if f.Listeners[i].Name == name {
			return &f.Listeners[i]
		}
	}
	return nil
}

func (f *Feeds) listenerNames() []string {
	names := make([]string, 0, len(f.Listeners))
	for i := range f.Listeners {
		names = append(names, f.Listeners[i].Name)
	}
	return names
}

// ValidateSources reports every fault of a merged list of sources, with the path of the key it
// is at, such as "sources[2].jails[0]". jailNames are the jails that sources may name.
func ValidateSources(cfgs []SourceConfig, feeds Feeds, jailNames []string, report func(path, message string)) {
	names, claimed := make(map[string]int), make(map[string]string)
	for i := range cfgs {
		c := &cfgs[i]
		r := reporter{fmt.Sprintf("sources[%d]", i), report}
		r.name(c.Name, names, i)
		r.feed(c, &feeds, claimed)
		r.grants(c, jailNames)
		r.quota(&c.Quota)
		if c.ExpectEvery != 0 && (c.ExpectEvery < minExpectEvery || c.ExpectEvery > maxExpectEvery) {
			r.at("expect_every", "expect_every %s must be between 1s and 366d", c.ExpectEvery)
		}
		if _, err := time.LoadLocation(c.Timezone); err != nil {
			r.at("timezone", "timezone %q must be a name such as Europe/Berlin or UTC", c.Timezone)
		}
	}
}

// feed checks what feeds the source and that its transport can prove the identity.
// claimed maps each identity to the source that claims it.
func (r reporter) feed(c *SourceConfig, feeds *Feeds, claimed map[string]string) {
	set := 0
	for _, f := range []struct {
		key, name string
		known     []string
	}{{"listener", c.Listener, feeds.listenerNames()}, {"tail", c.Tail, feeds.Tails}, {"journal", c.Journal, feeds.Journals}} {
		if f.name == "" {
			continue
		}
		set++
		if !slices.Contains(f.known, f.name) {
			r.at(f.key, "unknown %s %q%s", f.key, f.name, didYouMean(f.name, f.known))
		}
	}
	if set != 1 {
		r.at("", "exactly one of listener, tail and journal must be set, not %d of them", set)
		return
	}
	transport := "tail"
	switch l := feeds.listener(c.Listener); {
	case c.Journal != "":
		transport = "journal"
	case l != nil:
		transport = l.Transport
	case c.Tail == "":
		return
	}
	r.provable(c, transport)
	r.identity(c, transport, claimed)
}

// provable reports identities that the transport cannot prove.
func (r reporter) provable(c *SourceConfig, transport string) {
	unix := transport == "unix" || transport == "unixgram"
	tls := transport == "tls" || transport == "journal-upload"
	network := tls || transport == "udp" || transport == "tcp"
	cert := c.Certificate != (CertificateConfig{})
	if len(c.UID) > 0 && !unix {
		r.at("uid", "uid %d cannot be proven by transport %s: only unix sockets carry kernel credentials", c.UID[0], transport)
	}
	if cert && !tls {
		r.at("certificate", "certificate %q cannot be proven by transport %s: only tls and journal-upload have certificates",
			c.Certificate.SAN+c.Certificate.SHA256, transport)
	}
	if len(c.Addresses) > 0 && !network {
		r.at("addresses", "address %q cannot be proven by transport %s", c.Addresses[0], transport)
	}
	if c.Interface != "" && transport != "udp" {
		r.at("interface", "interface %q cannot be proven by transport %s: only udp datagrams name theirs", c.Interface, transport)
	}
	switch {
	case tls && !cert:
		r.at("", "certificate is missing: a %s source is known by certificate: {san: NAME} or {sha256: HEX}", transport)
	case network && !tls && len(c.Addresses) == 0 && (transport != "udp" || c.Interface == ""):
		r.at("", "addresses is missing: say who may send, such as addresses: [192.0.2.0/24], or [\"0.0.0.0/0\", \"::/0\"] for everybody")
	}
}

// identity checks each identity and that no other source claims it.
func (r reporter) identity(c *SourceConfig, transport string, claimed map[string]string) {
	feed := c.Listener + "\x00" + c.Tail + "\x00" + c.Journal + "\x00"
	take := func(key, what, value string) {
		if other, taken := claimed[feed+what+value]; taken && other != c.Name {
			r.at(key, "%s %q is also claimed by source %q", what, value, other)
			return
		}
		claimed[feed+what+value] = c.Name
	}
	for _, uid := range c.UID {
		take("uid", "uid", fmt.Sprint(uid))
	}
	for j, text := range c.Addresses {
		key := fmt.Sprintf("addresses[%d]", j)
		p, err := parsePrefix(text)
		if err != nil {
			r.at(key, "%v", err)
		} else if c.Certificate == (CertificateConfig{}) {
			take(key, "prefix", p.String())
		}
	}
	switch cert := c.Certificate; {
	case cert.SAN != "" && cert.SHA256 != "":
		r.at("certificate", "exactly one of san %q and sha256 %q must be set", cert.SAN, cert.SHA256)
	case cert.SAN != "":
		if strings.ContainsAny(cert.SAN, "* \t\r\n") {
			r.at("certificate.san", "san %q must be one exact name, without wildcard or space", cert.SAN)
		}
		take("certificate.san", "san", strings.ToLower(cert.SAN))
	case cert.SHA256 != "":
		sum, err := parseSHA256(cert.SHA256)
		if err != nil {
			r.at("certificate.sha256", "%v", err)
		}
		take("certificate.sha256", "sha256", fmt.Sprintf("%x", sum))
	}
	switch {
	case transport == "tail" || transport == "journal":
		take(transport, transport, c.Tail+c.Journal)
	case c.Interface != "" && len(c.Addresses) == 0:
		take("interface", "prefix", everywhere[0].String())
		take("interface", "prefix", everywhere[1].String())
	case (transport == "unix" || transport == "unixgram") && len(c.UID) == 0:
		take("listener", "any user of listener", c.Listener)
	}
}

func (r reporter) grants(c *SourceConfig, jailNames []string) {
	if len(c.Jails) == 0 {
		r.at("", "jails is missing: say which jails the source may feed, or jails: [\"*\"]")
	}
	for j, name := range c.Jails {
		if name != "*" && !slices.Contains(jailNames, name) {
			r.at(fmt.Sprintf("jails[%d]", j), "unknown jail %q%s", name, didYouMean(name, jailNames))
		}
	}
	for j, name := range c.Hostnames {
		if name == "" || strings.ContainsAny(name, " \t\r\n") {
			r.at(fmt.Sprintf("hostnames[%d]", j), "hostname %q must be a name without spaces", name)
		}
	}
	for j, app := range c.Apps {
		if _, err := path.Match(app, ""); err != nil || app == "" {
			r.at(fmt.Sprintf("apps[%d]", j), "app %q must be a name or a pattern of *, ? and [ ]", app)
		}
	}
}

func (r reporter) quota(q *QuotaConfig) {
	switch {
	case q.Word != "" && q.Word != "none":
		r.at("quota", "quota %q must be none or {bans_per_minute, burst, over}%s", q.Word, didYouMean(q.Word, []string{"none"}))
	case q.Word == "none" && (q.BansPerMinute != 0 || q.Burst != 0 || q.Over != ""):
		r.at("quota", "quota %q has no other keys", q.Word)
	}
	if q.BansPerMinute < 0 || q.BansPerMinute > maxQuota {
		r.at("quota.bans_per_minute", "bans_per_minute %d must be between 1 and %d", q.BansPerMinute, maxQuota)
	}
	if q.Burst < 0 || q.Burst > maxQuota {
		r.at("quota.burst", "burst %d must be between 1 and %d", q.Burst, maxQuota)
	}
	if q.Over != "" {
		words := []string{"throttle", "quarantine"}
		if !slices.Contains(words, q.Over) {
			r.at("quota.over", "over %q must be one of throttle, quarantine%s", q.Over, didYouMean(q.Over, words))
		}
	}
}
