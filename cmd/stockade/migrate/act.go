package migrate

import (
	"net/mail"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stockade/pipeline/action"
)

// effects are what the actions of a jail become.
type effects struct {
	ports   []string // none: every port
	verdict string
	enforce bool     // one of the actions blocked
	notify  []string // channels
}

// act translates the actions of a jail.
func (t *translator) act(j *Jail, r *JailReport) effects {
	var e effects
	var block []Action
	for i := range j.Actions {
		a := &j.Actions[i]
		switch k := kindOf(a); {
		case k == kindFirewall && opens(a):
			r.left("action "+a.Name+" with blocktype "+a.parameter("blocktype"), "keep such addresses in never_ban, or open the port by a rule of your own",
				"the jail lets addresses in; Stockade only keeps them out, so it only reports here")
		case k == kindFirewall:
			block = append(block, *a)
		case k == kindHosts:
			name := t.channel("file hosts", "f2b-hosts", func(m *mapping, name string) {
				m.key("type", "file")
				m.str("path", filepath.Join(t.options.StateDir, name+".list"))
				m.key("format", "list")
			})
			e.notify = append(e.notify, name)
			r.replaced("action hostsdeny", "the nftables sets of Stockade, every port, and a list of all bans for TCP wrappers: put ALL: "+
				filepath.Join(t.options.StateDir, name+".list")+" into /etc/hosts.deny once", "the list is replaced as a whole, never edited")
			e.enforce = true
			block = append(block, Action{Name: "hostsdeny-allports", Given: map[string]string{}})
		case k == kindMap:
			name := t.channel("file nginx", "f2b-nginx", func(m *mapping, name string) {
				m.key("type", "file")
				m.str("path", filepath.Join(t.options.StateDir, name+".conf"))
				m.key("format", "nginx")
			})
			e.notify = append(e.notify, name)
			r.replaced("action nginx-block-map", "a file of all bans for geo: include "+filepath.Join(t.options.StateDir, name+".conf")+"; in nginx, and a timer that runs nginx -s reload",
				"addresses, not sessions")
		case k == kindMail:
			if name := t.mail(a, r); name != "" && !slices.Contains(e.notify, name) {
				e.notify = append(e.notify, name)
			}
		default:
			t.compat(a, j, r)
		}
	}
	if len(block) > 0 {
		e.enforce = true
		real := slices.DeleteFunc(slices.Clone(block), func(a Action) bool { return a.Name == "hostsdeny-allports" })
		e.ports, e.verdict = blocking(r, real)
		if len(real) < len(block) {
			e.ports = nil
		}
	}
	if !e.enforce {
		r.different("no action that blocks", "enforce: false: the jail reports and blocks nothing", "remove the line to block at the firewall")
	}
	return e
}

// channel finds or makes a channel of notify.
func (t *translator) channel(key, name string, write func(m *mapping, name string)) string {
	if known, ok := t.channels[key]; ok {
		return known
	}
	taken := func(name string) bool {
		for _, n := range t.channels {
			if n == name {
				return true
			}
		}
		return false
	}
	base := name
	for i := 2; taken(name); i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	t.channels[key] = name
	m := &mapping{}
	m.key("name", name)
	write(m, name)
	t.doc.add("notify", m.String())
	return name
}

// mail makes a channel of a mail action; "" when its addresses cannot be read.
func (t *translator) mail(a *Action, r *JailReport) string {
	from := t.address(a.parameter("sender"), "fail2ban")
	var to []string
	for _, w := range splitWords(a.parameter("dest")) {
		to = append(to, t.address(w, "root"))
	}
	if len(to) == 0 {
		to = []string{t.address("", "root")}
	}
	for _, addr := range append(slices.Clone(to), from) {
		if _, err := mail.ParseAddress(addr); err != nil {
			r.left("action "+a.Name, "add a channel: notify: [{name: mail, type: mail, server: …, from: …, to: […]}]", clip(addr)+" is no mail address")
			return ""
		}
	}
	server := "127.0.0.1:25"
	if host := a.parameter("host"); host != "" && a.Python() {
		server = host
		if !strings.Contains(host, ":") {
			server += ":25"
		}
	}
	slices.Sort(to)
	key := "mail " + server + " " + from + " " + strings.Join(to, " ")
	name := t.channel(key, "f2b-mail", func(m *mapping, _ string) {
		m.key("type", "mail")
		m.key("events", "[ban, start, stop]")
		m.str("server", server)
		m.key("tls", "none")
		m.str("from", from)
		m.list("to", to)
	})
	r.replaced("action "+a.Name, "notify: "+name+", by SMTP to "+server, "many bans become one digest; the mail has the lines that led to the ban")
	if strings.Contains(a.Name, "whois") || strings.Contains(a.Name, "geoip") {
		r.different("whois in mails", "not looked up", "it tells a stranger's server whom you ban: whois: {enabled: true} of the channel turns it on")
	}
	return name
}

// address completes a mail address with this host's name.
func (t *translator) address(text, fallback string) string {
	text = strings.TrimSpace(text)
	for _, tag := range []string{"<fq-hostname>", "<sh-hostname>"} {
		text = strings.ReplaceAll(text, tag, t.options.Hostname)
	}
	if text == "" {
		text = fallback
	}
	if !strings.Contains(text, "@") {
		text += "@" + t.options.Hostname
	}
	return text
}

// compat writes an action that runs as fail2ban would run it.
func (t *translator) compat(a *Action, j *Jail, r *JailReport) {
	if a.Python() {
		r.left("action "+a.Name+".py", "write a program for it and name it in a channel: notify: [{name: "+Name(a.Name)+", type: exec, command: [/usr/local/bin/…]}]",
			"it is a program in Python for fail2ban's own server")
		return
	}
	given := &Filter{Path: a.Path, Options: map[string]string{}}
	for k, v := range a.Given {
		given.Options[k] = v
	}
	if given.Options["name"] == "" {
		given.Options["name"] = j.Name
	}
	ref := reference(given, &Jail{})
	if ref == "" {
		r.left("action "+a.Name, "put its options into "+strings.TrimSuffix(a.Path, ".conf")+".local and import again", "a value holds both kinds of quotes")
		return
	}
	if err := standsAlone(a, j); err != nil {
		r.left("action "+a.Name, "give it in brackets what it takes from the jail, and import again", err.Error())
		return
	}
	if _, err := action.Read(ref, r.Name); err != nil {
		r.left("action "+a.Name, "change the file, or write a program and name it in a channel: notify: [{type: exec, …}]", err.Error())
		return
	}
	m := &mapping{}
	m.key("name", quote(Name(a.Name+"-"+r.Name)))
	m.str("action", ref)
	m.list("jails", []string{r.Name})
	t.doc.add("actions", m.String())
	t.actions = append(t.actions, a.Name)
	t.result.Secret = true
	r.replaced("action "+a.Name, "actions: "+Name(a.Name+"-"+r.Name)+", which runs "+a.Path+" as fail2ban does, as nobody, beside the bans",
		"it is off until allow_shell_actions: true stands in the configuration")
}

// standsAlone reports what an action's file asks of the jail.
func standsAlone(a *Action, j *Jail) error {
	_, err := action.Resolve(a.Path, a.Given, j.Name, nil)
	return err
}

// finish puts the document together.
func (t *translator) finish() {
	for _, in := range t.order {
		if len(in.jails) == 0 {
			continue
		}
		m := &mapping{}
		m.key("name", in.name)
		kind := "tail"
		if in.journal {
			kind = "journal"
			m.list("matches", in.matches)
			t.doc.add("journals", m.String())
		} else {
			m.list("paths", in.paths)
			m.str("app", in.app)
			t.doc.add("tails", m.String())
		}
		s := &mapping{}
		s.key("name", in.name)
		s.key(kind, in.name)
		s.list("jails", in.jails)
		s.key("quota", "none")
		t.doc.add("sources", s.String())
	}
	for _, j := range t.jails {
		if len(t.channels) == 0 {
			j = strings.ReplaceAll(j, "\nnotify: []\n", "\n")
		}
		t.doc.add("jails", j)
	}
	if len(t.never) > 0 {
		t.doc.parts = append(t.doc.parts, part{key: "never_ban", value: flow(t.never)})
	}
	comment := "Written by `stockade import fail2ban` from " + t.setup.Dir + ".\n" +
		"Each jail is one that was enabled there; filters named fail2ban:PATH are read in place.\n"
	if len(t.actions) > 0 {
		comment += "\nThe list actions is off: put allow_shell_actions: true into stockade.yaml to run it.\n"
	}
	t.result.Text = t.doc.text(comment)
	rep := &t.result.Report
	rep.Notes = append(rep.Notes,
		Item{"IPv6 addresses", "an offender is counted and banned as its /64", "who has one address of a /64 has all of them"},
		Item{"open connections of an offender", "they are cut when the ban begins", ""},
	)
	if slices.ContainsFunc(t.order, func(in *input) bool { return !in.journal && len(in.jails) > 0 }) {
		rep.Notes = append(rep.Notes, Item{"log files", "recommended: let daemons send to the socket instead, then remove the tail\n" + syslogSnippet,
			"nothing is read late, and the kernel tells who wrote each line"})
	}
	rep.fill()
}

// syslogSnippet sends lines to Stockade's socket.
const syslogSnippet = `listeners: [{name: local, transport: unixgram, path: /run/stockade/syslog.sock, mode: "0666"}]
nginx:   error_log syslog:server=unix:/run/stockade/syslog.sock,tag=nginx;
rsyslog: examples/rsyslog-unix.conf, in /etc/rsyslog.d/00-stockade.conf
journal: journals: [{name: journal}]`
