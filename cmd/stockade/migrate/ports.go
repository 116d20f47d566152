package migrate

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// services are the names of ports in fail2ban's own jails, for hosts without /etc/services.
var services = map[string]int{
	"ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "imap2": 143, "imap": 143, "ldap": 389,
	"https": 443, "ssmtp": 465, "smtps": 465, "submissions": 465, "submission": 587, "ldaps": 636, "ftp-data": 20, "ftp": 21,
	"ftps-data": 989, "ftps": 990, "imaps": 993, "pop3s": 995, "socks": 1080, "sieve": 4190,
}

// portList turns port and protocol of an action into ports of a jail. all means every port of the
// protocols. A name that is in no table is an error.
func portList(ports, protocols string) (list []string, all bool, err error) {
	endings, every := protocolEndings(protocols)
	if every {
		return nil, true, nil
	}
	for _, term := range splitWords(ports) {
		low, high, ranged := cutRange(term)
		from, err := portNumber(low)
		if err != nil {
			return nil, false, err
		}
		to := from
		if ranged {
			if to, err = portNumber(high); err != nil {
				return nil, false, err
			}
		}
		if from <= 1 && to == 65535 {
			return nil, true, nil
		}
		if from < 1 || to < from {
			return nil, false, fmt.Errorf("%q is no port between 1 and 65535", clip(term))
		}
		text := strconv.Itoa(from)
		if to > from {
			text += "-" + strconv.Itoa(to)
		}
		for _, e := range endings {
			list = append(list, text+e)
		}
	}
	return list, len(list) == 0, nil
}

// cutRange splits 6000:6010 or 6000-6010. Names have dashes in them.
func cutRange(term string) (low, high string, ranged bool) {
	if low, high, ok := strings.Cut(term, ":"); ok {
		return low, high, true
	}
	if low, high, ok := strings.Cut(term, "-"); ok && digits(low) && digits(high) {
		return low, high, true
	}
	return term, "", false
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func portNumber(text string) (int, error) {
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		return int(n), nil
	}
	name := strings.ToLower(text)
	for _, network := range []string{"tcp", "udp"} {
		if n, err := net.LookupPort(network, name); err == nil {
			return n, nil
		}
	}
	if n, ok := services[name]; ok {
		return n, nil
	}
	return 0, fmt.Errorf("no port is called %q", clip(text))
}

// protocolEndings are what stands behind a port: /tcp, /udp, both. every means protocols without
// ports too.
func protocolEndings(text string) (endings []string, every bool) {
	for _, w := range splitWords(strings.ToLower(text)) {
		switch w {
		case "all", "0", "icmp", "ip":
			return nil, true
		case "tcp", "udp":
			endings = append(endings, "/"+w)
		}
	}
	switch len(endings) {
	case 0:
		return []string{"/tcp"}, false // fail2ban's own default
	case 2:
		if endings[0] != endings[1] {
			return []string{""}, false
		}
	}
	return endings[:1], false
}
