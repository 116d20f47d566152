package pki

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Bundle writes a tar archive with all that a sending host needs, to be unpacked at its root as
// root: its certificate and key, the CA's certificate (never its key) and the driver's snippet.
func Bundle(w io.Writer, dir, name, driver string, g Gateway) error {
	if err := (&Options{Name: name, SANs: []string{"x"}}).check(KindClient); err != nil {
		return err
	}
	conf, text, err := Sender(driver, g)
	if err != nil {
		return err
	}
	home := rsyslogTLS
	if driver == "syslog-ng" {
		home = syslogNGTLS
	}
	t := tar.NewWriter(w)
	add := func(name string, mode int64, data []byte) error {
		h := &tar.Header{
			Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(data)), ModTime: time.Now(),
			Uname: "root", Gname: "root", Format: tar.FormatUSTAR, Typeflag: tar.TypeReg,
		}
		if data == nil {
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err := t.Write(data)
		return err
	}
	if err := add(home, 0o700, nil); err != nil {
		return err
	}
	for _, file := range []struct {
		from, to string
		mode     int64
	}{{nameCA + ".pem", "ca.pem", 0o644}, {name + ".pem", "host.pem", 0o644}, {name + ".key", "host.key", 0o600}} {
		data, err := os.ReadFile(filepath.Join(dir, file.from))
		if err != nil {
			return fmt.Errorf("bundle of %q: %w", name, err)
		}
		if err := add(path.Join(home, file.to), file.mode, data); err != nil {
			return err
		}
	}
	if err := add(conf, 0o644, []byte(text)); err != nil {
		return err
	}
	return t.Close()
}
