package nft

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Cause is why packets of a banned address may pass us by.
type Cause struct {
	Kind string // "bridge" or "flowtable"
	Text string // one sentence for an operator
}

// Diagnose looks for what makes packets bypass the hooks of our chains: bridges whose packets are
// not passed to them, and flowtables, which take over connections that are established. It
// reads only.
func Diagnose(o Options) ([]Cause, error) {
	var out []Cause
	h, err := routingHandle(o.NetNS)
	if err != nil {
		return nil, fmt.Errorf("look for bridges: %w", err)
	}
	defer h.Close()
	links, err := interrupted(h.LinkList())
	if err != nil {
		return nil, fmt.Errorf("look for bridges: %w", err)
	}
	ports := make(map[int]int)
	for _, l := range links {
		ports[l.Attrs().MasterIndex]++
	}
	for _, l := range links {
		if l.Type() == "bridge" && ports[l.Attrs().Index] > 1 && !bridgeCallsUs() {
			out = append(out, Cause{"bridge", fmt.Sprintf(
				"bridge %s: what its %d ports send to each other is not filtered (hint: load br_netfilter and set net.bridge.bridge-nf-call-iptables=1, or run Stockade in the guests)",
				l.Attrs().Name, ports[l.Attrs().Index])})
		}
	}
	l, err := dial(o.NetNS)
	if err != nil {
		return out, permission(err)
	}
	defer func() { _ = l.close() }()
	tables, err := flowtables(l)
	for _, t := range tables {
		out = append(out, Cause{"flowtable", fmt.Sprintf(
			"flowtable %s: connections it has taken over are not filtered until they end; those of a banned address are ended by us", t)})
	}
	return out, err
}

// bridgeCallsUs says whether bridged packets go through the hooks of IP. The switch belongs to
// the namespace of the reader on kernels that have it per namespace.
func bridgeCallsUs() bool {
	b, err := os.ReadFile("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

const (
	nftMsgNewFlowtable = 0x16
	nftMsgGetFlowtable = 0x17
	nftaFlowtableTable = 1
	nftaFlowtableName  = 2
)

// findFlowtables notes whether connections may be taken over.
func (e *Enforcer) findFlowtables() error {
	names, err := flowtables(e.reader)
	e.flowtable = len(names) > 0
	return err
}

// flowtables are the names of all flowtables, as "family table name".
func flowtables(l *link) ([]string, error) {
	var out []string
	for family, name := range map[uint8]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6"} {
		l.enc.b = l.enc.b[:0]
		l.enc.end(l.enc.header(unix.NFNL_SUBSYS_NFTABLES<<8|nftMsgGetFlowtable, unix.NLM_F_DUMP, family, 0))
		err := l.ask(nftMsgNewFlowtable, func(b []byte) bool {
			out = append(out, fmt.Sprintf("%s %s %s", name, text(attr(b, nftaFlowtableTable)), text(attr(b, nftaFlowtableName))))
			return true
		})
		if err = ignore(err, unix.EINTR, unix.EOPNOTSUPP, unix.ENOENT); err != nil {
			return out, fmt.Errorf("list flowtables: %w", err)
		}
	}
	return out, nil
}
