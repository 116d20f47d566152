package control

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// minToken is the length of the shortest token, in bytes: nobody guesses 16 random ones.
const minToken = 16

// errToken is the error of a file that holds no token.
var errToken = errors.New("the file must hold one line of at least 16 bytes and be closed to others (chmod o=)")

// auth decides what a caller over TCP may do: the token is for everything, a certificate for looking.
type auth struct {
	token *token    // nil: none
	names *identity // nil without TLS
	host  string    // of the configured address
}

// of returns the role of a request.
func (a *auth) of(r *http.Request) role {
	if secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && a.token != nil && a.token.is(secret, time.Now()) {
		return roleChange
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return roleRead
	}
	return roleNone
}

// goodHost reports whether a Host header names this server: a web page of another name, whose DNS
// was pointed here, does not get in.
func (a *auth) goodHost(host string, local netip.AddrPort) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	addr, err := netip.ParseAddr(name)
	switch {
	case name == "":
		return false
	case err == nil && addr.Unmap() == local.Addr(), name == strings.ToLower(a.host):
		return true
	case name == "localhost" && local.Addr().IsLoopback():
		return true
	}
	return a.names != nil && a.names.has(name)
}

// peer is the TCP connection of a request.
func peerOf(c net.Conn) (*tcpConn, bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	t, ok := c.(*tcpConn)
	return t, ok
}

// peerKey is the context key of a request's *tcpConn.
type peerKey struct{}

// gate lets requests over TCP through that come from no web page of another origin.
func (a *auth) gate(h *handler, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(peerKey{}).(*tcpConn)
		site := r.Header.Get("Sec-Fetch-Site")
		origin := r.Header.Get("Origin")
		switch {
		case !ok || !a.goodHost(r.Host, c.local):
			h.refuse(w, &Error{Code: CodeNotPermitted, http: http.StatusMisdirectedRequest, Message: fmt.Sprintf(
				"host %q is not this server: use the address it listens on, or a name of its certificate", cut(r.Host))})
			return
		case origin != "" && !sameOrigin(origin, r), site != "" && site != "same-origin" && site != "none":
			h.refuse(w, &Error{Code: CodeNotPermitted, Message: "cross-origin requests are refused"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func sameOrigin(origin string, r *http.Request) bool {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	return strings.EqualFold(origin, scheme+r.Host)
}
