package control

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often files that may be replaced are looked at, at most.
const lookEvery = time.Second

// identity is the server's certificate and whose certificates it takes.
type identity struct {
	cert, key string
	config    *tls.Config
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate // with its Leaf
	stamps [2]time.Time     // of the files it was read from
	looked time.Time
}

func newIdentity(o TCPOptions, log *slog.Logger) (*identity, error) {
	i := &identity{cert: o.Cert, key: o.Key, log: log}
	if err := i.load(); err != nil {
		return nil, err
	}
	i.config = &tls.Config{
		MinVersion:             tls.VersionTLS12,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.current(time.Now()), nil },
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true, // a resumed session would outlive the CA's change
	}
	if o.ClientCA == "" {
		return i, nil
	}
	pem, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, err
	}
	i.config.ClientCAs = x509.NewCertPool()
	if !i.config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client_ca %q holds no certificate in PEM", o.ClientCA)
	}
	i.config.ClientAuth = tls.RequireAndVerifyClientCert
	if o.TokenFile != "" {
		i.config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return i, nil
}

func (i *identity) load() error {
	pair, err := tls.LoadX509KeyPair(i.cert, i.key)
	if err != nil {
		return fmt.Errorf("load the certificate %q: %w", i.cert, err)
	}
	stamps := i.stampsNow()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.loaded, i.stamps = &pair, stamps
	return nil
}

func (i *identity) stampsNow() (stamps [2]time.Time) {
	for n, path := range [2]string{i.cert, i.key} {
		if info, err := os.Stat(path); err == nil {
			stamps[n] = info.ModTime()
		}
	}
	return stamps
}

// current is the certificate as the files have it. When they are at fault the old one stays.
func (i *identity) current(now time.Time) *tls.Certificate {
	i.mu.Lock()
	due := now.Sub(i.looked) >= lookEvery
	if due {
		i.looked = now
	}
	stamps := i.stamps
	i.mu.Unlock()
	if due && stamps != i.stampsNow() {
		if err := i.load(); err != nil {
			i.log.Warn("the control listener keeps its old certificate", "err", err)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.loaded
}

// expires is the end of the certificate.
func (i *identity) expires() time.Time { return i.current(time.Now()).Leaf.NotAfter }

// has reports whether the certificate is for a host.
func (i *identity) has(host string) bool {
	return i.current(time.Now()).Leaf.VerifyHostname(host) == nil
}
