package pki

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// Where a sending host keeps its files.
const (
	rsyslogTLS   = "/etc/rsyslog-tls"
	rsyslogConf  = "/etc/rsyslog.d/60-stockade.conf"
	syslogNGTLS  = "/etc/syslog-ng/tls"
	syslogNGConf = "/etc/syslog-ng/conf.d/stockade.conf"
)

// DefaultAddress is what the listener of Listener listens on.
const DefaultAddress = ":6514"

// Drivers are the programs that Sender knows: rsyslog with either of its TLS drivers, syslog-ng.
var Drivers = []string{"ossl", "gtls", "syslog-ng"}

// Listener returns the `listeners:` entry, named secure, that uses the certificates of dir.
func Listener(dir, address string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return fmt.Sprintf(`listeners:
  - name: secure
    transport: tls
    address: %q
    cert: %q
    key: %q
    client_ca: %q
`, address, filepath.Join(dir, nameServer+".pem"), filepath.Join(dir, nameServer+".key"), filepath.Join(dir, nameCA+".pem"))
}

// Source returns the `sources:` entry of a client: known by the first name of its certificate,
// it may claim its own host name alone and feed the jails.
func Source(c Certificate, jails []string) string {
	var b strings.Builder
	short, _, _ := strings.Cut(c.Name, ".")
	hosts := []string{short}
	if short != c.Name {
		hosts = append(hosts, c.Name)
	}
	fmt.Fprintf(&b, "sources:\n  - name: %s\n    listener: secure\n    certificate: {san: %q}\n", SourceName(c.Name), c.SANs[0])
	fmt.Fprintf(&b, "    hostnames: [%s]\n    jails: [%s]\n", quoted(hosts), quoted(jails))
	return b.String()
}

// SourceName returns the name of the source of a client: sources have no dots in their names.
func SourceName(name string) string { return strings.ReplaceAll(name, ".", "-") }

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

// Gateway is the listener as a sending host reaches it.
type Gateway struct {
	Name string // a name of the listener's certificate
	Port string
}

// GatewayOf returns the first name of the listener's certificate in dir, with the port of address.
func GatewayOf(dir, address string) (Gateway, error) {
	list, err := List(dir)
	if err != nil {
		return Gateway{}, err
	}
	server, ok := current(list, nameServer)
	if !ok {
		return Gateway{}, fmt.Errorf("no certificate of this host in %q: begin with pki init", dir)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return Gateway{}, fmt.Errorf("address %q must be HOST:PORT", address)
	}
	return Gateway{server.SANs[0], port}, nil
}

// Sender returns what the named driver of a sending host needs to forward logins to the gateway,
// and the path of the file to put it in.
func Sender(driver string, g Gateway) (path, text string, err error) {
	switch driver {
	case "ossl", "gtls":
		pkg := map[string]string{"ossl": "rsyslog-openssl", "gtls": "rsyslog-gnutls"}[driver]
		return rsyslogConf, fmt.Sprintf(`# rsyslog: forward logins to Stockade. Needs the package %[1]s.
auth,authpriv.* action(type="omfwd" name="stockade"
  target="%[2]s" port="%[3]s" protocol="tcp"
  TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
  StreamDriver="%[4]s" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="%[2]s"
  StreamDriver.CAFile="%[5]s/ca.pem" StreamDriver.CertFile="%[5]s/host.pem" StreamDriver.KeyFile="%[5]s/host.key"
  queue.type="LinkedList" queue.filename="stockade" queue.maxDiskSpace="64m" queue.saveOnShutdown="on"
  action.resumeRetryCount="-1" action.resumeInterval="5")
`, pkg, g.Name, g.Port, driver, rsyslogTLS), nil
	case "syslog-ng":
		return syslogNGConf, fmt.Sprintf(`# syslog-ng: forward logins to Stockade. s_src is the source of local messages.
filter f_stockade { facility(auth, authpriv); };
destination d_stockade {
  syslog("%[1]s" port(%[2]s) transport("tls")
    tls(ca-file("%[3]s/ca.pem") cert-file("%[3]s/host.pem") key-file("%[3]s/host.key") peer-verify(required-trusted))
    disk-buffer(reliable(no) disk-buf-size(67108864) mem-buf-length(10000)));
};
log { source(s_src); filter(f_stockade); destination(d_stockade); };
`, g.Name, g.Port, syslogNGTLS), nil
	}
	return "", "", fmt.Errorf("driver %q must be one of %s", driver, strings.Join(Drivers, ", "))
}
