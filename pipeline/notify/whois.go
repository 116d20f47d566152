package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	whoisServer   = "whois.iana.org" // names the registry of an address
	whoisPort     = "43"             // RFC 3912
	defaultLookUp = 5 * time.Second
	maxLookUp     = 30 * time.Second
	maxReferrals  = 2
	maxWhois      = 32 << 10 // bytes that are read of an answer
	maxRegistry   = 6 << 10  // bytes of it that a message tells
)

// Whois is `whois` of a mail channel: what a registry says of a banned address is added to its mail.
// A look-up tells the registry, and everybody on the way to it, whom this host bans.
type Whois struct {
	Enabled bool          `yaml:"enabled"`
	Server  string        `yaml:"server"`  // host or host:port; absent: IANA's, which refers to the registry
	Timeout time.Duration `yaml:"timeout"` // of the whole look-up; 5s
}

// registry asks whois servers. It keeps nothing.
type registry struct {
	server string // host:port
	limit  time.Duration
	dial   func(ctx context.Context, address string, referred bool) (net.Conn, error)
}

// newRegistry returns nil when nobody is to be asked.
func newRegistry(c *Whois) (*registry, error) {
	if !c.Enabled {
		return nil, nil
	}
	server, err := whoisAddress(cmp.Or(c.Server, whoisServer))
	if err != nil {
		return nil, err
	}
	return &registry{server: server, limit: cmp.Or(c.Timeout, defaultLookUp), dial: dialWhois}, nil
}

// whoisAddress reads host or host:port.
func whoisAddress(text string) (string, error) {
	if _, err := netip.ParseAddr(text); err == nil || !strings.Contains(text, ":") {
		text = net.JoinHostPort(text, whoisPort)
	}
	_, _, err := splitServer(text)
	if err == nil && strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || control(r) }) {
		err = fmt.Errorf("%q is not host:port", clip(text))
	}
	return text, err
}

// dialWhois connects to a server. One that another server named may be nowhere but in the internet: an
// answer must not make this host talk to its own network.
func dialWhois(ctx context.Context, address string, referred bool) (net.Conn, error) {
	var d net.Dialer
	if referred {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err == nil && !registered(to.Addr()) {
				err = errors.New("no address of the internet")
			}
			return err
		}
	}
	return d.DialContext(ctx, "tcp", address)
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// registered reports whether a registry can know an address.
func registered(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// describe returns what a registry says of the address that a message is about, as clean lines; "" for
// a digest, for what no registry knows and when ctx is done, which ends it. It takes the limit at most.
func (r *registry) describe(ctx context.Context, m *message) string {
	e := &m.events[0]
	if m.digest() || e.Kind != KindBan || !e.Prefix.IsValid() || !registered(e.Prefix.Addr()) {
		return ""
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.limit, fmt.Errorf("no answer within %s", r.limit))
	defer cancel()
	var told string
	server := r.server
	for asked := []string{server}; server != ""; asked = append(asked, server) {
		answer, err := r.ask(limited, server, len(asked) > 1, e.Prefix.Addr())
		switch {
		case ctx.Err() != nil:
			return ""
		case err != nil && told == "":
			return fmt.Sprintf("%s says nothing: %s\n", server, clean(err.Error(), maxLine))
		case err != nil:
			return told
		}
		told = server + " says:\n" + facts(answer)
		if server = referral(answer); len(asked) > maxReferrals || slices.Contains(asked, server) {
			break
		}
	}
	return told
}

// ask sends one query and reads the answer, of which the beginning will do.
func (r *registry) ask(ctx context.Context, server string, referred bool, a netip.Addr) (string, error) {
	conn, err := r.dial(ctx, server, referred)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err = io.WriteString(conn, a.Unmap().WithZone("").String()+"\r\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(conn, maxWhois))
	switch {
	case len(text) > 0:
		return string(text), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err == nil:
		err = errors.New("an empty answer")
	}
	return "", err
}

// facts are the lines of an answer without remarks, cleaned and cut.
func facts(answer string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(answer, "\n") {
		line = strings.TrimRight(clean(line, maxLine), " ")
		if line == "" || line[0] == '%' || line[0] == '#' {
			continue
		}
		if b.Len()+len(line) > maxRegistry {
			b.WriteString("…\n")
			break
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// whoisHost is the name of a host with a dot in it. An address is none.
var whoisHost = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
})

// referral is the server, as host:port, that an answer names as the one who knows more; "" for none.
func referral(answer string) string {
	for line := range strings.SplitSeq(answer, "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "refer", "whois", "referralserver": // of IANA; of IANA for a block; of ARIN
			host := strings.ToLower(strings.TrimSpace(value))
			host = strings.TrimSuffix(strings.TrimPrefix(host, "whois://"), ":"+whoisPort)
			if len(host) <= 253 && whoisHost().MatchString(host) {
				return net.JoinHostPort(host, whoisPort)
			}
		}
	}
	return ""
}
