package migrate

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// kind is what an action of fail2ban's is for.
type kind int

const (
	kindFirewall kind = iota // drops or rejects packets on this host
	kindHosts                // a list for TCP wrappers
	kindMap                  // a list for nginx
	kindMail
	kindOther // tells another service, or does something else
)

// firewalls are the actions that block on this host. Those in everything know no ports.
var (
	firewalls = regexp.MustCompile(`^(iptables|nftables|firewallcmd|ufw|shorewall|pf|npf|ipfw|bsd-ipfw|osx-ipfw|osx-afctl|ipfilter|apf|route|` +
		`symbiosis-blacklist)(-|$)`)
	everything = regexp.MustCompile(`^(ufw|shorewall|route|apf|ipfilter|osx-afctl|npf|symbiosis-blacklist)(-|$)|allports`)
	mails      = regexp.MustCompile(`^(mail|sendmail)(-|$)|^smtp$`)
)

// kindOf says what an action is for, by its name: fail2ban's actions have no other mark.
func kindOf(a *Action) kind {
	switch name := strings.ToLower(filepath.Base(a.Name)); {
	case firewalls.MatchString(name):
		return kindFirewall
	case name == "hostsdeny":
		return kindHosts
	case name == "nginx-block-map":
		return kindMap
	case mails.MatchString(name):
		return kindMail
	}
	return kindOther
}

// replaced reports whether an action is done by Stockade itself, so that its file need not exist.
func replaced(a *Action) bool { return kindOf(a) != kindOther }

// opens reports whether an action lets addresses in instead of keeping them out.
func opens(a *Action) bool {
	target := strings.ToUpper(a.parameter("blocktype"))
	return strings.HasPrefix(target, "RETURN") || strings.HasPrefix(target, "ACCEPT") || strings.HasPrefix(target, "ALLOW")
}

// verdict is how an action stops packets: drop, reject, or "" when it does not say.
func (a *Action) verdict() string {
	switch target := strings.ToLower(a.parameter("blocktype")); {
	case strings.Contains(target, "reject"):
		return "reject"
	case strings.Contains(target, "drop"), strings.Contains(target, "deny"), strings.Contains(target, "blackhole"):
		return "drop"
	}
	return ""
}

// parameter is the value of a parameter: the one given in the jail, else that of the file.
func (a *Action) parameter(name string) string {
	if v, ok := a.Options[name]; ok {
		return v
	}
	return a.Given[name]
}

// blocking works out the ports and the verdict of the jail from its actions that block.
func blocking(r *JailReport, actions []Action) (ports []string, verdict string) {
	every := false
	for i := range actions {
		a := &actions[i]
		if v := a.verdict(); verdict == "" || v == "reject" {
			verdict = v
		}
		protocol := a.parameter("protocol")
		if protocol == "" {
			protocol = "tcp"
		}
		list, all, err := portList(a.parameter("port"), protocol)
		switch {
		case everything.MatchString(a.Name) || strings.Contains(a.parameter("type"), "allports"):
			all, err = true, nil
		case err != nil:
			r.left("port = "+oneLine(a.parameter("port")), "every port is closed to an offender; write ports: by hand, as numbers", err.Error())
			all = true
		}
		what := "action " + a.Name
		if all {
			every = true
			r.replaced(what, "the nftables sets of Stockade, every port", "one set instead of a rule a ban; the kernel ends each ban itself")
			continue
		}
		ports = append(ports, list...)
		r.replaced(what, "the nftables sets of Stockade, ports "+strings.Join(list, ", "), "one set instead of a rule a ban; the kernel ends each ban itself")
		if strings.HasSuffix(a.Name, "-log") {
			r.different("a log line for each packet dropped", "counters of packets and bytes: stockade explain ADDR", "")
		}
	}
	chain := ""
	if len(actions) > 0 {
		chain = actions[0].parameter("chain")
	}
	switch chain {
	case "", "INPUT", "<known/chain>", "INPUT_direct", "f2b-chain":
	default:
		r.replaced("chain = "+oneLine(chain), "prerouting", "there an offender is stopped before routing: for this host, for containers and for hosts behind it alike")
	}
	if every {
		ports = nil
	}
	slices.Sort(ports)
	return slices.Compact(ports), verdict
}

// oneLine shortens a value of several lines.
func oneLine(s string) string { return clip(strings.Join(strings.Fields(s), " ")) }
