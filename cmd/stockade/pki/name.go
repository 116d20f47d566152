package pki

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?$`)
	hostPattern = regexp.MustCompile(`^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$`)
)

// maxSAN is the longest name in a certificate, in bytes.
const maxSAN = 253

// check refuses options that make no certificate, and fills in the defaults.
func (o *Options) check(kind Kind) error {
	if o.Days == 0 {
		o.Days = DefaultDays
	}
	if o.Days < 1 || o.Days > MaxDays {
		return fmt.Errorf("%d days must be between 1 and %d", o.Days, MaxDays)
	}
	switch {
	case kind == KindServer:
	case !namePattern.MatchString(o.Name) || strings.Contains(o.Name, ".."):
		return fmt.Errorf("name %q must be 1 to 64 lower-case letters, digits, dots and dashes, with a letter or digit at both ends", o.Name)
	case o.Name == nameCA || o.Name == nameServer:
		return fmt.Errorf("name %q is taken by the certificate of this host", o.Name)
	}
	if len(o.SANs) == 0 || len(o.SANs) > maxServerNames {
		return fmt.Errorf("%d names: a certificate has between 1 and %d", len(o.SANs), maxServerNames)
	}
	for i, san := range o.SANs {
		o.SANs[i] = canonical(san)
		if err := addSAN(&x509.Certificate{}, o.SANs[i]); err != nil {
			return err
		}
	}
	return nil
}

// canonical is the form in which the receiver compares names.
func canonical(san string) string {
	if strings.Contains(san, "://") {
		return san
	}
	if a, err := netip.ParseAddr(san); err == nil {
		return a.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(san), ".")
}

// addSAN puts a name into a certificate: an address, a URI or a host name.
func addSAN(t *x509.Certificate, san string) error {
	if a, err := netip.ParseAddr(san); err == nil {
		if a.Zone() != "" {
			return fmt.Errorf("address %q: a zone means nothing to other hosts", san)
		}
		t.IPAddresses = append(t.IPAddresses, net.IP(a.AsSlice()))
		return nil
	}
	if strings.Contains(san, "://") {
		u, err := url.Parse(san)
		if err != nil || u.Host == "" || len(san) > maxSAN {
			return fmt.Errorf("name %q is not a URI such as spiffe://lan/web1", san)
		}
		t.URIs = append(t.URIs, u)
		return nil
	}
	if len(san) > maxSAN || !hostPattern.MatchString(san) {
		return fmt.Errorf("name %q is not a host name, an address or a URI; wildcards are never accepted as an identity", san)
	}
	t.DNSNames = append(t.DNSNames, san)
	return nil
}

// sansOf returns the names of a certificate, never nil.
func sansOf(cert *x509.Certificate) []string {
	list := append([]string{}, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	for _, u := range cert.URIs {
		list = append(list, u.String())
	}
	return list
}

// cut bounds a common name: RFC 5280 allows 64 characters. Nothing is decided by it.
func cut(name string) string {
	if len(name) > 64 {
		return name[:64]
	}
	return name
}

// maxPEM is the size in bytes of the largest certificate file that is read.
const maxPEM = 1 << 20

// readCertificate reads the first certificate of a PEM file.
func readCertificate(path string) (*x509.Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPEM {
		return nil, fmt.Errorf("read %q: %d bytes, at most %d are read", path, info.Size(), maxPEM)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, fmt.Errorf("read %q: it holds no PEM certificate", path)
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", path, err)
		}
		return cert, nil
	}
}

// Fingerprint describes the first certificate of a PEM file, whoever issued it: what a source's
// `certificate: {sha256: …}` takes. Name and Kind are empty.
func Fingerprint(path string) (Certificate, error) {
	cert, err := readCertificate(path)
	if err != nil {
		return Certificate{}, err
	}
	c := describe(cert)
	c.File = path
	return c, nil
}
