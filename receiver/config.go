package receiver

import "time"

// ListenerConfig is one entry of `listeners`.
type ListenerConfig struct {
	Name           string   `yaml:"name"`
	Transport      string   `yaml:"transport"` // udp, tcp, tls, unix, unixgram, journal-upload
	Address        string   `yaml:"address"`   // host:port of a network transport
	Path           string   `yaml:"path"`      // of a unix socket
	Mode           string   `yaml:"mode"`      // of a unix socket, octal: "0666"
	Framing        string   `yaml:"framing"`   // auto, octet, lf
	Format         string   `yaml:"format"`    // auto, rfc3164, rfc5424
	Cert           string   `yaml:"cert"`
	Key            string   `yaml:"key"`
	ClientCA       string   `yaml:"client_ca"`
	ProxiesFrom    []string `yaml:"proxies_from"` // prefixes whose PROXY header is believed
	MaxConnections int      `yaml:"max_connections"`
}

// SourceConfig is one entry of `sources`. Exactly one of Listener, Tail and Journal is set.
type SourceConfig struct {
	Name            string            `yaml:"name"`
	Listener        string            `yaml:"listener"`
	Tail            string            `yaml:"tail"`
	Journal         string            `yaml:"journal"`
	UID             []uint32          `yaml:"uid"`
	Certificate     CertificateConfig `yaml:"certificate"`
	Addresses       []string          `yaml:"addresses"` // addresses and prefixes
	Interface       string            `yaml:"interface"`
	Relay           bool              `yaml:"relay"`
	Vouches         bool              `yaml:"vouches"`
	Hostnames       []string          `yaml:"hostnames"` // absent: any
	Apps            []string          `yaml:"apps"`      // absent: any
	Jails           []string          `yaml:"jails"`
	Quota           QuotaConfig       `yaml:"quota"`
	AcceptSpoofable bool              `yaml:"accept_spoofable"`
	ExpectEvery     time.Duration     `yaml:"expect_every"`
	Timezone        string            `yaml:"timezone"`
}

// CertificateConfig names a client certificate: exactly one of its fields is set.
type CertificateConfig struct {
	SAN    string `yaml:"san"`    // exact dNSName, iPAddress or URI
	SHA256 string `yaml:"sha256"` // of the certificate or of its public key, hex
}

// QuotaConfig limits the new bans of a source. Its scalar form is the word none.
type QuotaConfig struct {
	Word          string `yaml:",scalar"` // "none", or "" for the mapping form
	BansPerMinute int    `yaml:"bans_per_minute"`
	Burst         int    `yaml:"burst"`
	Over          string `yaml:"over"` // throttle, quarantine
}
