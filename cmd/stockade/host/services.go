package host

import (
	"bytes"
	"net/netip"
	"strings"
)

// Where resolvers stand: the resolver that programs use may be a local one, whose own are in the
// others.
var resolverFiles = []string{
	"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/resolv.conf",
	"/run/resolvconf/resolv.conf", "/run/dnsmasq/resolv.conf", "/etc/resolv.dnsmasq.conf",
}

// Where time servers stand. Names are not looked up: their addresses show in the sockets.
var ntpFiles = []string{
	"/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/chrony/conf.d/*.conf", "/etc/chrony/sources.d/*.sources",
	"/run/chrony-dhcp/*.sources", "/etc/ntp.conf", "/etc/ntpsec/ntp.conf", "/run/ntp.conf.dhcp", "/etc/ntpsec/ntp.d/*.conf",
	"/etc/systemd/timesyncd.conf", "/etc/systemd/timesyncd.conf.d/*.conf", "/run/systemd/timesyncd.conf.d/*.conf", "/etc/openntpd/ntpd.conf",
}

// Where VPN endpoints stand.
var vpnFiles = []string{
	"/etc/wireguard/*.conf", "/etc/systemd/network/*.netdev", "/run/systemd/network/*.netdev",
	"/etc/openvpn/*.conf", "/etc/openvpn/client/*.conf", "/etc/NetworkManager/system-connections/*.nmconnection",
	"/run/NetworkManager/system-connections/*.nmconnection",
}

// words calls f with the words of each line; comments from # or ; on are left out.
func words(data []byte, f func(line []string)) {
	for line := range bytes.Lines(data) {
		if i := bytes.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		if w := strings.Fields(string(line)); len(w) > 0 {
			f(w)
		}
	}
}

func readResolvers(_ string, data []byte) (list []Protected) {
	words(data, func(w []string) {
		if w[0] == "nameserver" && len(w) > 1 {
			list = appendText(list, w[1], "resolver")
		}
	})
	return list
}

// readNTP reads the servers of chrony, ntpd and openntpd (server ADDRESS …) and of timesyncd
// (NTP=ADDRESS …).
func readNTP(_ string, data []byte) (list []Protected) {
	words(data, func(w []string) {
		switch key, value, isPair := strings.Cut(w[0], "="); {
		case isPair && (key == "NTP" || key == "FallbackNTP"):
			for _, text := range append([]string{value}, w[1:]...) {
				list = appendText(list, text, "time server")
			}
		case w[0] == "server" || w[0] == "peer" || w[0] == "pool" || w[0] == "servers":
			for _, text := range w[1:] {
				list = appendText(list, text, "time server")
			}
		}
	})
	return list
}

// readVPN reads the endpoints of WireGuard (Endpoint = ADDRESS:PORT, endpoint=…) and the remotes
// of OpenVPN (remote ADDRESS [PORT]).
func readVPN(_ string, data []byte) (list []Protected) {
	words(data, func(w []string) {
		if w[0] == "remote" && len(w) > 1 {
			list = appendText(list, w[1], "VPN endpoint")
			return
		}
		key, value, isPair := strings.Cut(strings.Join(w, ""), "=")
		if !isPair || !strings.EqualFold(key, "endpoint") {
			return
		}
		if ap, err := netip.ParseAddrPort(value); err == nil {
			list = appendText(list, ap.Addr().String(), "VPN endpoint")
		}
	})
	return list
}

// sessionFiles are logind's, one a session.
var sessionFiles = []string{"/run/systemd/sessions/*"}

// readSession reads one of logind's sessions: it is live unless it is closing.
func readSession(_ string, data []byte) (list []Protected) {
	state, host := "", ""
	for line := range bytes.Lines(data) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		switch key {
		case "STATE":
			state = value
		case "REMOTE_HOST":
			host = strings.Trim(value, `"`)
		}
	}
	if state == "closing" {
		return nil
	}
	return appendText(nil, host, "login session")
}
