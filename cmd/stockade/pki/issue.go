package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// How long certificates are valid, in days.
const (
	caDays         = 3650
	DefaultDays    = 730
	MaxDays        = 3650
	backdated      = time.Hour // for senders whose clock is behind
	nameCA         = "ca"
	nameServer     = "server"
	maxServerNames = 100
)

// Options say what to issue.
type Options struct {
	Name  string   // of a client: lower-case letters, digits, dots and dashes
	SANs  []string // host names, addresses, URIs; of a client empty: its name
	Days  int      // 1 to MaxDays; 0: DefaultDays
	Force bool     // replace a certificate of the same name

	now func() time.Time // nil: time.Now
}

func (o *Options) time() time.Time {
	if o.now != nil {
		return o.now()
	}
	return time.Now()
}

// Init makes a CA in dir and issues the certificate of this host's listeners, for o.SANs. With
// Force an existing CA is replaced: no certificate that it issued is good any longer.
func Init(dir string, o Options) (server Certificate, err error) {
	if err := o.check(KindServer); err != nil {
		return Certificate{}, err
	}
	f, err := open(dir)
	if err != nil {
		return Certificate{}, err
	}
	defer f.close()
	if err := f.free(nameCA + ".pem"); err != nil && !o.Force {
		return Certificate{}, err
	}
	name := "Stockade CA"
	if host, err := os.Hostname(); err == nil {
		name += " of " + host
	}
	now := o.time()
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: cut(name)}, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotAfter: now.AddDate(0, 0, caDays),
	}
	if _, err := f.make(nameCA, KindCA, t, nil, nil, now); err != nil {
		return Certificate{}, err
	}
	o.Name = nameServer
	return f.issue(KindServer, o)
}

// Issue issues the certificate of a client, or with name "server" that of this host's listeners
// once more. An existing one is replaced only with Force; else the error wraps ErrExists.
func Issue(dir string, o Options) (Certificate, error) {
	kind := KindClient
	if o.Name == nameServer {
		kind = KindServer
	} else if len(o.SANs) == 0 {
		o.SANs = []string{o.Name}
	}
	if err := o.check(kind); err != nil {
		return Certificate{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, nameCA+".key")); err != nil {
		return Certificate{}, fmt.Errorf("find the CA: %w", err)
	}
	f, err := open(dir)
	if err != nil {
		return Certificate{}, err
	}
	defer f.close()
	return f.issue(kind, o)
}

func (f *folder) issue(kind Kind, o Options) (Certificate, error) {
	if err := f.free(o.Name + ".pem"); err != nil && !o.Force {
		return Certificate{}, err
	}
	x, err := readIndex(f.path(indexFile))
	if err != nil {
		return Certificate{}, err
	}
	for _, c := range x.Issued {
		if kind == KindClient && c.Name != o.Name && !c.Replaced && SourceName(c.Name) == SourceName(o.Name) {
			return Certificate{}, fmt.Errorf("name %q would make the same source %q as %q", o.Name, SourceName(o.Name), c.Name)
		}
	}
	ca, key, err := f.authority()
	if err != nil {
		return Certificate{}, err
	}
	now := o.time()
	t := &x509.Certificate{
		Subject:  pkix.Name{CommonName: cut(o.SANs[0])},
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotAfter:    now.AddDate(0, 0, o.Days),
	}
	if kind == KindServer {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if t.NotAfter.After(ca.NotAfter) {
		t.NotAfter = ca.NotAfter
	}
	if !t.NotAfter.After(now) {
		return Certificate{}, fmt.Errorf("the CA %q ended on %s: make a new one with init --force", f.path(nameCA+".pem"), ca.NotAfter.Format(time.DateOnly))
	}
	for _, san := range o.SANs {
		if err := addSAN(t, san); err != nil {
			return Certificate{}, err
		}
	}
	return f.make(o.Name, kind, t, ca, key, now)
}

// make makes a key, signs the certificate with the CA (nil: with itself) and writes both. The key
// is written first: a certificate that exists has its key.
func (f *folder) make(name string, kind Kind, t, ca *x509.Certificate, caKey *ecdsa.PrivateKey, now time.Time) (Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Certificate{}, err
	}
	t.NotBefore = now.Add(-backdated)
	if ca == nil {
		ca, caKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, &key.PublicKey, caKey)
	if err != nil {
		return Certificate{}, err
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{}, err
	}
	// Where a certificate may be replaced, its key goes first too: TLS refuses the pair between
	// the two renames, and the daemon keeps the one it has.
	if err := WriteFile(f.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}), 0o600, true); err != nil {
		return Certificate{}, err
	}
	if err := WriteFile(f.path(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644, true); err != nil {
		return Certificate{}, err
	}
	c := describe(cert)
	c.Name, c.Kind, c.File = name, kind, f.path(name+".pem")
	return c, f.add(c)
}

// describe says of a certificate what the index keeps.
func describe(cert *x509.Certificate) Certificate {
	sum, key := sha256.Sum256(cert.Raw), sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return Certificate{
		Serial: cert.SerialNumber.Text(16), SANs: sansOf(cert),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		SHA256: hex.EncodeToString(sum[:]), KeySHA256: hex.EncodeToString(key[:]),
	}
}

// authority reads the CA and its key.
func (f *folder) authority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := readCertificate(f.path(nameCA + ".pem"))
	if err != nil {
		return nil, nil, err
	}
	path := f.path(nameCA + ".key")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, nil, fmt.Errorf("read %q: it holds no PEM key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read %q: %w", path, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("read %q: it is not the ECDSA key of %q", path, f.path(nameCA+".pem"))
	}
	return cert, ec, nil
}
