package receiver

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

const (
	defaultMode        = "0660"
	maxUnixPath        = 107 // bytes: sun_path less its NUL
	defaultConnections = 4096
	maxConnections     = 1_000_000
)

var (
	nameShape  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
	transports = []string{"udp", "tcp", "tls", "unix", "unixgram", "journal-upload"}
	framings   = []string{"auto", "octet", "lf"}
	formats    = []string{"auto", "rfc3164", "rfc5424"}
)

func (c *ListenerConfig) isUnix() bool { return c.Transport == "unix" || c.Transport == "unixgram" }
func (c *ListenerConfig) isTLS() bool {
	return c.Transport == "tls" || c.Transport == "journal-upload"
}
func (c *ListenerConfig) isDatagram() bool {
	return c.Transport == "udp" || c.Transport == "unixgram"
}

// reporter collects faults below one path.
type reporter struct {
	path   string
	report func(path, message string)
}

func (r reporter) at(key, format string, args ...any) {
	path := r.path
	if key != "" {
		path += "." + key
	}
	r.report(path, fmt.Sprintf(format, args...))
}

// choice checks that value is one of words.
func (r reporter) choice(key, value string, words []string) {
	for _, w := range words {
		if value == w {
			return
		}
	}
	r.at(key, "%s %q must be one of %s%s", key, value, strings.Join(words, ", "), didYouMean(value, words))
}

func (r reporter) name(name string, seen map[string]int, i int) {
	switch first, twice := seen[name]; {
	case name == "":
		r.at("", "name is missing")
	case !nameShape.MatchString(name):
		r.at("name", "name %q must match [a-z0-9][a-z0-9-]*", name)
	case twice:
		r.at("name", "name %q is already used by entry %d", name, first)
	default:
		seen[name] = i
	}
}

// ValidateListeners reports every fault of a merged list of listeners, with the path of the
// key it is at, such as "listeners[0].transport". It opens no file and no socket.
func ValidateListeners(cfgs []ListenerConfig, report func(path, message string)) {
	names := make(map[string]int)
	for i := range cfgs {
		c := &cfgs[i]
		r := reporter{fmt.Sprintf("listeners[%d]", i), report}
		r.name(c.Name, names, i)
		if c.Transport == "" {
			r.at("", "transport is missing: it must be one of %s", strings.Join(transports, ", "))
			continue
		}
		r.choice("transport", c.Transport, transports)
		r.place(c)
		r.stream(c)
		r.certificates(c)
		for j := range i {
			if clash(&cfgs[j], c) {
				key := "address"
				if c.isUnix() {
					key = "path"
				}
				r.at(key, "%s %q is already used by listener %q", key, c.Address+c.Path, cfgs[j].Name)
			}
		}
	}
}

// place checks where the listener listens.
func (r reporter) place(c *ListenerConfig) {
	if c.isUnix() {
		if c.Address != "" {
			r.at("address", "address %q does not fit transport %s: use path", c.Address, c.Transport)
		}
		switch {
		case c.Path == "":
			r.at("", "path is missing: transport %s listens on a socket file", c.Transport)
		case !filepath.IsAbs(c.Path):
			r.at("path", "path %q must be absolute", c.Path)
		case len(c.Path) > maxUnixPath:
			r.at("path", "path %q must be at most %d bytes", c.Path, maxUnixPath)
		}
		if _, err := parseMode(c.Mode); err != nil {
			r.at("mode", "%v", err)
		}
		return
	}
	if c.Path != "" {
		r.at("path", "path %q does not fit transport %s: use address", c.Path, c.Transport)
	}
	if c.Mode != "" {
		r.at("mode", "mode %q fits unix sockets only", c.Mode)
	}
	if c.Address == "" {
		r.at("", "address is missing: transport %s listens on an address such as 192.0.2.1:514", c.Transport)
	} else if _, err := parseListen(c.Address); err != nil {
		r.at("address", "%v", err)
	}
}

// stream checks what only streams have.
func (r reporter) stream(c *ListenerConfig) {
	if c.Framing != "" {
		r.choice("framing", c.Framing, framings)
		if c.isDatagram() && c.Framing != "auto" {
			r.at("framing", "framing %q does not fit transport %s: a datagram is one message", c.Framing, c.Transport)
		}
	}
	if c.Format != "" {
		r.choice("format", c.Format, formats)
	}
	if c.MaxConnections != 0 {
		switch {
		case c.isDatagram():
			r.at("max_connections", "max_connections %d does not fit transport %s: it has no connections", c.MaxConnections, c.Transport)
		case c.MaxConnections < 1 || c.MaxConnections > maxConnections:
			r.at("max_connections", "max_connections %d must be between 1 and %d", c.MaxConnections, maxConnections)
		}
	}
	if len(c.ProxiesFrom) > 0 && c.Transport != "tcp" && c.Transport != "tls" {
		r.at("proxies_from", "proxies_from does not fit transport %s: the PROXY header is for tcp and tls", c.Transport)
	}
	for j, text := range c.ProxiesFrom {
		if _, err := parsePrefix(text); err != nil {
			r.at(fmt.Sprintf("proxies_from[%d]", j), "%v", err)
		}
	}
}

func (r reporter) certificates(c *ListenerConfig) {
	for _, f := range []struct{ key, value string }{{"cert", c.Cert}, {"key", c.Key}, {"client_ca", c.ClientCA}} {
		switch {
		case c.isTLS() && f.value == "":
			r.at("", "%s is missing: transport %s needs cert, key and client_ca", f.key, c.Transport)
		case !c.isTLS() && f.value != "":
			r.at(f.key, "%s %q does not fit transport %s", f.key, f.value, c.Transport)
		}
	}
}

// clash reports whether two listeners cannot both listen.
func clash(a, b *ListenerConfig) bool {
	if a.isUnix() || b.isUnix() {
		return a.isUnix() && b.isUnix() && a.Path != "" && a.Path == b.Path
	}
	if (a.Transport == "udp") != (b.Transport == "udp") {
		return false
	}
	x, errX := parseListen(a.Address)
	y, errY := parseListen(b.Address)
	if errX != nil || errY != nil || x.Port() != y.Port() || x.Port() == 0 {
		return false
	}
	both := x.Addr() == netip.IPv6Unspecified() || y.Addr() == netip.IPv6Unspecified()
	wild := (x.Addr().IsUnspecified() || y.Addr().IsUnspecified()) && x.Addr().Is4() == y.Addr().Is4()
	return both || wild || x.Addr() == y.Addr()
}

// parseListen reads host:port. An empty host is every address of both families.
func parseListen(text string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q must be host:port, such as 192.0.2.1:514 or [2001:db8::1]:514", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: port %q must be between 0 and 65535", text, port)
	}
	addr := netip.IPv6Unspecified()
	switch host {
	case "":
	case "localhost":
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if addr, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("address %q: host %q must be an IP address: names are not looked up", text, host)
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// parseMode reads the permission bits of a socket file.
func parseMode(text string) (uint32, error) {
	if text == "" {
		text = defaultMode
	}
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("mode %q must be octal, between 0000 and 0777", text)
	}
	return uint32(mode), nil
}
