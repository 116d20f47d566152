package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stockade/cmd/stockade/host"
	"stockade/jails"
	"stockade/pipeline/action"
	"stockade/pipeline/notify"
	"stockade/receiver"
	"stockade/receiver/journald"
	"stockade/receiver/tail"
)

// maxSocketPath is the size of sun_path less its NUL, in bytes.
const maxSocketPath = 107

// Check reports what the types alone do not show: ranges, references, duplicates, addresses. It
// reads the files that address lists name, and nothing else. Filters are for the caller, who
// compiles them, to check and Report. After a file that is not YAML nothing is checked, as
// half a configuration would be full of faults that the whole one has not.
func (l *Loaded) Check() {
	if l.partial {
		return
	}
	c := l.Config
	report := func(path, message string) { l.Report(path, SeverityError, message) }
	feeds := receiver.Feeds{Listeners: c.Listeners}
	for _, t := range c.Tails {
		feeds.Tails = append(feeds.Tails, t.Name)
	}
	for _, j := range c.Journals {
		feeds.Journals = append(feeds.Journals, j.Name)
	}
	names := make([]string, 0, len(c.Jails))
	for _, j := range c.Jails {
		names = append(names, j.Name)
	}
	receiver.ValidateListeners(c.Listeners, report)
	receiver.ValidateSources(c.Sources, feeds, names, report)
	jails.Validate(c.Defaults, c.Jails, report)
	c.Firewall.Validate(report)
	c.Memory.Validate(report)
	notify.Validate(c.Notify, report)
	for i, j := range c.Jails {
		notify.ValidateNames(c.Notify, j.Notify, fmt.Sprintf("jails[%d].notify", i), report)
	}
	action.Validate(c.Actions, names, report)
	checker{report}.all(c)
	if len(c.Listeners)+len(c.Tails)+len(c.Journals) == 0 {
		l.Report("listeners", SeverityWarning, "nothing to read: no listeners, tails or journals are configured")
	}
	if len(c.Jails) == 0 {
		l.Report("jails", SeverityWarning, "nothing to do: no jails are configured")
	}
}

// checker checks the parts that belong to no other package.
type checker struct {
	report func(path, message string)
}

func (c checker) all(cfg *Config) {
	c.absolute("state_dir", cfg.StateDir)
	c.choice("log.level", cfg.Log.Level, "debug", "info", "warn", "error")
	c.choice("log.format", cfg.Log.Format, "auto", "text", "json")
	if cfg.Log.Target != LogStderr {
		c.absolute("log.target", cfg.Log.Target)
	}
	c.control(cfg.Control)
	tail.Validate(cfg.Tails, c.report)
	journald.Validate(cfg.Journals, c.report)
	for path, list := range map[string][]string{"never_ban": cfg.NeverBan, "proxies": cfg.Proxies} {
		for i, entry := range list {
			if names, _ := host.SplitNames([]string{entry}); path == "never_ban" && len(names) > 0 {
				continue // names are looked up while serving
			}
			jails.ParseAddrList([]string{entry}, os.ReadFile, func(_ int, message string) { c.report(joinIndex(path, i), message) })
		}
	}
}

func (c checker) fault(path, format string, args ...any) {
	c.report(path, fmt.Sprintf(format, args...))
}

func (c checker) choice(path, value string, legal ...string) {
	if !slices.Contains(legal, value) {
		c.fault(path, "%s is not one of %s%s", clip(value), strings.Join(legal, ", "), didYouMean(value, legal))
	}
}

// didYouMean returns a hint when a legal word is near.
func didYouMean(word string, legal []string) string {
	if near := nearest(word, legal); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func (c checker) absolute(path, value string) {
	if !filepath.IsAbs(value) {
		c.fault(path, "%s is not an absolute path", clip(value))
	}
}

func (c checker) control(k ControlConfig) {
	c.absolute("control.socket", k.Socket)
	if len(k.Socket) > maxSocketPath {
		c.fault("control.socket", "%s has %d bytes; a socket's path has at most %d", clip(k.Socket), len(k.Socket), maxSocketPath)
	}
	if k.Listen == "" {
		for _, unused := range []struct{ key, value string }{
			{"cert", k.Cert}, {"key", k.Key}, {"client_ca", k.ClientCA}, {"token_file", k.TokenFile},
		} {
			if unused.value != "" {
				c.fault("control."+unused.key, "%s is for control.listen, which is not set", clip(unused.value))
			}
		}
		return
	}
	host, _, err := net.SplitHostPort(k.Listen)
	if err != nil {
		c.fault("control.listen", "%s is not host:port, such as 127.0.0.1:9273", clip(k.Listen))
		return
	}
	loopback := host == "localhost" || net.ParseIP(host).IsLoopback()
	switch {
	case (k.Cert == "") != (k.Key == ""):
		c.fault("control.listen", "cert and key come together; one of them is missing")
	case k.ClientCA == "" && k.TokenFile == "":
		c.fault("control.listen", "%s needs client_ca or token_file: anyone could unban there", clip(k.Listen))
	case k.Cert == "" && k.ClientCA != "":
		c.fault("control.client_ca", "%s needs cert and key beside it", clip(k.ClientCA))
	case k.Cert == "" && !loopback:
		c.fault("control.listen", "%s needs cert and key: a token in clear text belongs on loopback only", clip(k.Listen))
	}
}

// name checks a name of a list and that it stands there once.
