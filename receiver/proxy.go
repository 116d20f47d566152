package receiver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// The PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt sections 2.1 and 2.2).
const (
	proxyV1    = "PROXY "
	proxyV2    = "\r\n\r\n\x00\r\nQUIT\n"
	mostV1     = 107 // bytes, with CRLF
	mostV2     = 536 // bytes of addresses and extensions that we take
	headV2     = 16
	proxyBytes = headV2 + mostV2
)

var errProxyHeader = errors.New("not a PROXY header")

// isProxyHeader reports whether a stream that begins with head begins with a PROXY header.
func isProxyHeader(head []byte) bool {
	return bytes.HasPrefix(head, []byte(proxyV1)) || bytes.HasPrefix(head, []byte(proxyV2))
}

// readProxyHeader takes the header that a listed proxy must send first, and makes the client
// it names the peer. A LOCAL or UNKNOWN connection stays the proxy's own.
func (c *conn) readProxyHeader() error {
	buf := make([]byte, 0, proxyBytes)
	for {
		n, err := c.wire.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		client, used, perr := parseProxy(buf)
		switch {
		case perr != nil:
			c.head = append([]byte(nil), buf[:min(len(buf), headSize)]...)
			return &refusedError{ReasonProxyHeader, perr.Error()}
		case used > 0:
			if client.IsValid() {
				c.peer.Addr = client
			}
			c.wire.pushed = buf[used:]
			return nil
		case err != nil:
			return &refusedError{ReasonProxyHeader, "the proxy sent no complete header: " + err.Error()}
		}
	}
}

// parseProxy reads a header at the start of b: the client it names (not valid for a connection
// of the proxy's own) and its size in bytes. Size 0 without an error: more bytes are needed.
func parseProxy(b []byte) (client netip.AddrPort, size int, err error) {
	switch {
	case hasOrMayGetPrefix(b, proxyV1):
		return parseProxyV1(b)
	case hasOrMayGetPrefix(b, proxyV2):
		return parseProxyV2(b)
	}
	return netip.AddrPort{}, 0, errProxyHeader
}

func hasOrMayGetPrefix(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

func parseProxyV1(b []byte) (netip.AddrPort, int, error) {
	var none netip.AddrPort
	end := bytes.Index(b[:min(len(b), mostV1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= mostV1 {
			return none, 0, fmt.Errorf("%w: no end of line in %d bytes", errProxyHeader, mostV1)
		}
		return none, 0, nil
	}
	f := strings.Split(string(b[:end]), " ")
	if f[0] != "PROXY" || len(f) < 2 {
		return none, 0, errProxyHeader
	}
	if f[1] == "UNKNOWN" {
		return none, end + 2, nil
	}
	if (f[1] != "TCP4" && f[1] != "TCP6") || len(f) != 6 {
		return none, 0, fmt.Errorf("%w: %d fields", errProxyHeader, len(f))
	}
	a, err := netip.ParseAddr(f[2])
	if err != nil || a.Is4() != (f[1] == "TCP4") || a.Zone() != "" {
		return none, 0, fmt.Errorf("%w: bad source address", errProxyHeader)
	}
	p, err := netip.ParseAddrPort("0.0.0.0:" + f[4])
	if err != nil {
		return none, 0, fmt.Errorf("%w: bad source port", errProxyHeader)
	}
	return unmapped(netip.AddrPortFrom(a, p.Port())), end + 2, nil
}

func parseProxyV2(b []byte) (netip.AddrPort, int, error) {
	var none netip.AddrPort
	if len(b) < headV2 {
		return none, 0, nil
	}
	const versionMask, version2 = 0xf0, 0x20
	length := int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case b[12]&versionMask != version2:
		return none, 0, fmt.Errorf("%w: version %d", errProxyHeader, b[12]>>4)
	case length > mostV2:
		return none, 0, fmt.Errorf("%w: %d bytes are more than %d", errProxyHeader, length, mostV2)
	case len(b) < headV2+length:
		return none, 0, nil
	}
	const local, proxied, tcp4, tcp6 = 0, 1, 0x11, 0x21
	size, body := headV2+length, b[headV2:headV2+length]
	switch command, family := b[12]&^versionMask, b[13]; {
	case command == local:
		return none, size, nil
	case command != proxied:
		return none, 0, fmt.Errorf("%w: command %d", errProxyHeader, command)
	case family == 0:
		return none, size, nil
	case family == tcp4 && length >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:])), size, nil
	case family == tcp6 && length >= 36:
		return unmapped(netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)), binary.BigEndian.Uint16(body[32:]))), size, nil
	default:
		return none, 0, fmt.Errorf("%w: family 0x%02x with %d bytes", errProxyHeader, family, length)
	}
}
