package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// authority is a CA of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials atomic.Int64

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// client is the template of a good client certificate, after change.
func client(name string, change ...func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

// newAuthority makes a CA below another, or a root.
func newAuthority(t testing.TB, name string, above *authority) *authority {
	t.Helper()
	a := &authority{t: t, key: key(t)}
	c := client(name, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage, c.DNSNames = true, true, x509.KeyUsageCertSign, nil, nil
	})
	if above == nil {
		above = &authority{t: t, cert: c, key: a.key}
	}
	var err error
	if a.cert, err = x509.ParseCertificate(above.sign(c, a.key.Public())); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) sign(c *x509.Certificate, public crypto.PublicKey) []byte {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// issue makes a certificate and its key, with the chain below the root.
func (a *authority) issue(c *x509.Certificate, chain ...*authority) *tls.Certificate {
	k := key(a.t)
	out := &tls.Certificate{Certificate: [][]byte{a.sign(c, k.Public())}, PrivateKey: k}
	for _, link := range chain {
		out.Certificate = append(out.Certificate, link.cert.Raw)
	}
	return out
}

// withKey signs a certificate whose public key is the bytes of a SubjectPublicKeyInfo.
func (a *authority) withKey(c *x509.Certificate, public []byte) *tls.Certificate {
	a.t.Helper()
	k := key(a.t)
	base, err := x509.ParseCertificate(a.sign(c, k.Public()))
	if err != nil {
		a.t.Fatal(err)
	}
	var body asn1.RawValue
	if _, err := asn1.Unmarshal(base.RawTBSCertificate, &body); err != nil {
		a.t.Fatal(err)
	}
	at := slices.Index(indexes(body.Bytes, base.RawSubjectPublicKeyInfo), true)
	bytes := slices.Concat(body.Bytes[:at], public, body.Bytes[at+len(base.RawSubjectPublicKeyInfo):])
	tbs := marshal(a.t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: bytes})
	sum := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		a.t.Fatal(err)
	}
	der := marshal(a.t, struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, asn1.BitString{Bytes: signature, BitLength: len(signature) * 8}})
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

// indexes says where part begins in whole.
func indexes(whole, part []byte) []bool {
	at := make([]bool, len(whole))
	for i := range len(whole) - len(part) + 1 {
		at[i] = slices.Equal(whole[i:i+len(part)], part)
	}
	return at
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// subjectKey is a SubjectPublicKeyInfo of an algorithm.
func subjectKey(t testing.TB, oid asn1.ObjectIdentifier, params, public any) []byte {
	t.Helper()
	bits := marshal(t, public)
	algorithm := pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: marshal(t, params)}}
	return marshal(t, struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{algorithm, asn1.BitString{Bytes: bits, BitLength: len(bits) * 8}})
}

// write puts the files of a server on 127.0.0.1, cert, key and ca, into a folder.
func (a *authority) write(dir string) {
	a.t.Helper()
	c := a.issue(client("server.lan", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}))
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: der}, "ca": {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// dial connects with a client certificate, nil for none. The server may refuse it later.
func (a *authority) dial(address string, cert *tls.Certificate) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", address, a.config(cert))
}

// config is that of a client that shows a certificate, nil for none.
func (a *authority) config(cert *tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return cfg
}
