package pki

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func initialised(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tls")
	if _, err := Init(dir, Options{SANs: []string{"Gateway.LAN.", "192.0.2.1"}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestChainsAndModes(t *testing.T) {
	dir := initialised(t)
	if _, err := Issue(dir, Options{Name: "web1.lan", SANs: []string{"web1.lan", "2001:db8::1", "spiffe://lan/web1"}}); err != nil {
		t.Fatal(err)
	}
	ca, err := readCertificate(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for name, use := range map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "web1.lan": x509.ExtKeyUsageClientAuth} {
		cert, err := readCertificate(filepath.Join(dir, name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(cert.ExtKeyUsage) != 1 || cert.IsCA {
			t.Errorf("%s: usages %v, CA %v: want one use alone", name, cert.ExtKeyUsage, cert.IsCA)
		}
		if _, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	web, _ := current(list, "web1.lan")
	if got := fmt.Sprint(web.SANs); len(list) != 3 || got != "[web1.lan 2001:db8::1 spiffe://lan/web1]" {
		t.Errorf("%d certificates, names %s", len(list), got)
	}
	if server, _ := current(list, "server"); fmt.Sprint(server.SANs) != "[gateway.lan 192.0.2.1]" {
		t.Errorf("names of the server are %v", server.SANs)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		want := os.FileMode(0o600)
		if strings.HasSuffix(f.Name(), ".pem") {
			want = 0o644
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", f.Name(), info.Mode().Perm(), want)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v, want 0700", info.Mode(), err)
	}
}

func TestNothingIsReplacedUnasked(t *testing.T) {
	dir := initialised(t)
	first, err := Issue(dir, Options{Name: "web1"})
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(first.File)
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"issue again": func() error { _, err := Issue(dir, Options{Name: "web1"}); return err },
		"init again":  func() error { _, err := Init(dir, Options{SANs: []string{"gateway.lan"}}); return err },
		"the server":  func() error { _, err := Issue(dir, Options{Name: "server", SANs: []string{"gateway.lan"}}); return err },
		"a file":      func() error { return WriteFile(first.File, []byte("x"), 0o600, false) },
	} {
		if err := try(); !errors.Is(err, ErrExists) {
			t.Errorf("%s: %v, want ErrExists", what, err)
		}
	}
	if after, _ := os.ReadFile(first.File); !bytes.Equal(before, after) {
		t.Error("the certificate changed")
	}
	second, err := Issue(dir, Options{Name: "web1", Force: true})
	if err != nil || second.Serial == first.Serial || second.KeySHA256 == first.KeySHA256 {
		t.Fatalf("issue with force: %v, serial %s then %s", err, first.Serial, second.Serial)
	}
	list, err := List(dir)
	if err != nil || len(list) != 4 || !list[2].Replaced || list[3].Replaced {
		t.Errorf("list: %v %+v", err, list)
	}
	if got, err := Fingerprint(second.File); err != nil || got.SHA256 != second.SHA256 || got.KeySHA256 != second.KeySHA256 {
		t.Errorf("fingerprint %+v, %v, want that of %+v", got, err, second)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

func TestTimes(t *testing.T) {
	dir := initialised(t)
	now := time.Now()
	c, err := Issue(dir, Options{Name: "a", Days: 1})
	if err != nil || c.NotBefore.After(now.Add(-59*time.Minute)) || c.NotAfter.Before(now.Add(23*time.Hour)) || c.NotAfter.After(now.Add(26*time.Hour)) {
		t.Errorf("one day: %v to %v, %v", c.NotBefore, c.NotAfter, err)
	}
	late := func() time.Time { return now.AddDate(0, 0, caDays-10) }
	ca, err := readCertificate(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = Issue(dir, Options{Name: "b", now: late}); err != nil || !c.NotAfter.Equal(ca.NotAfter) {
		t.Errorf("a certificate outlives its CA: %v, %v", c.NotAfter, err)
	}
	after := func() time.Time { return now.AddDate(0, 0, caDays+1) }
	if _, err = Issue(dir, Options{Name: "c", now: after}); err == nil || !strings.Contains(err.Error(), "init --force") {
		t.Errorf("an ended CA issues: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	dir := initialised(t)
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"a path", Options{Name: "../x"}, "lower-case letters"},
		{"dots", Options{Name: "a..b"}, "lower-case letters"},
		{"capitals", Options{Name: "Web1"}, "lower-case letters"},
		{"the CA's name", Options{Name: "ca"}, "is taken"},
		{"a wildcard", Options{Name: "a", SANs: []string{"*.lan"}}, "wildcards"},
		{"a newline", Options{Name: "a", SANs: []string{"x\nsources: []"}}, "is not a host name"},
		{"a quote", Options{Name: "a", SANs: []string{`x"`}}, "is not a host name"},
		{"a zone", Options{Name: "a", SANs: []string{"fe80::1%eth0"}}, "zone"},
		{"a bad URI", Options{Name: "a", SANs: []string{"spiffe://"}}, "not a URI"},
		{"too long a life", Options{Name: "a", Days: 3651}, "between 1 and 3650"},
		{"a negative life", Options{Name: "a", Days: -1}, "between 1 and 3650"},
	} {
		if _, err := Issue(dir, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Issue(dir, Options{Name: "a.b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Issue(dir, Options{Name: "a-b"}); err == nil || !strings.Contains(err.Error(), "same source") {
		t.Errorf("two clients of one source: %v", err)
	}
	if _, err := Issue(t.TempDir(), Options{Name: "a"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a CA: %v", err)
	}
	if _, err := Fingerprint(filepath.Join(dir, "ca.key")); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("fingerprint of a key: %v", err)
	}
	if list, err := List(dir); err != nil || len(list) != 3 {
		t.Errorf("refused ones are in the index: %+v %v", list, err)
	}
}

func TestTwoAtOnce(t *testing.T) {
	dir := initialised(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := Issue(dir, Options{Name: fmt.Sprintf("h%d", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := List(dir)
	if err != nil || len(list) != 22 {
		t.Fatalf("%d in the index, want 22: %v", len(list), err)
	}
	serials := map[string]bool{}
	for _, c := range list {
		serials[c.Serial] = true
	}
	if len(serials) != 22 {
		t.Errorf("%d serials, want 22", len(serials))
	}
}

func TestBundle(t *testing.T) {
	dir := initialised(t)
	if _, err := Issue(dir, Options{Name: "web1"}); err != nil {
		t.Fatal(err)
	}
	g, err := GatewayOf(dir, DefaultAddress)
	if err != nil || g != (Gateway{"gateway.lan", "6514"}) {
		t.Fatalf("gateway %+v, %v", g, err)
	}
	for _, driver := range Drivers {
		var b bytes.Buffer
		if err := Bundle(&b, dir, "web1", driver, g); err != nil {
			t.Fatal(err)
		}
		r, names := tar.NewReader(&b), ""
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			names += h.Name + " "
			data, _ := io.ReadAll(r)
			if strings.HasSuffix(h.Name, ".key") && h.Mode != 0o600 {
				t.Errorf("%s has mode %o", h.Name, h.Mode)
			}
			if secret, _ := os.ReadFile(filepath.Join(dir, "ca.key")); bytes.Contains(data, secret) {
				t.Errorf("%s holds the CA's key", h.Name)
			}
		}
		if strings.Count(names, " ") != 5 || strings.HasPrefix(names, "/") {
			t.Errorf("%s: %s", driver, names)
		}
	}
	if err := Bundle(io.Discard, dir, "../ca", "ossl", g); err == nil {
		t.Error("a path was taken for a name")
	}
	if err := Bundle(io.Discard, dir, "web1", "nsd", g); err == nil || !strings.Contains(err.Error(), "must be one of") {
		t.Errorf("an unknown driver: %v", err)
	}
}

func TestEntries(t *testing.T) {
	got := Source(Certificate{Name: "web1.lan", SANs: []string{"web1.lan"}}, []string{"sshd"})
	want := "sources:\n  - name: web1-lan\n    listener: secure\n    certificate: {san: \"web1.lan\"}\n    hostnames: [\"web1\", \"web1.lan\"]\n    jails: [\"sshd\"]\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := Listener("/etc/stockade/tls", ":6514"); !strings.Contains(got, `client_ca: "/etc/stockade/tls/ca.pem"`) {
		t.Error(got)
	}
}
