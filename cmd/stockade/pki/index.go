package pki

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// indexFile remembers what was issued.
const indexFile = "index.json"

// maxIndex is the size in bytes of the largest index that is read.
const maxIndex = 16 << 20

// Kind says what a certificate is for.
type Kind string

// The kinds.
const (
	KindCA     Kind = "ca"
	KindServer Kind = "server"
	KindClient Kind = "client"
)

// Certificate is one certificate that was issued here.
type Certificate struct {
	Name      string    `json:"name"`
	Kind      Kind      `json:"kind"`
	Serial    string    `json:"serial"` // hex
	SANs      []string  `json:"sans"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`     // of the certificate, hex
	KeySHA256 string    `json:"key_sha256"` // of the public key, hex
	File      string    `json:"file"`       // the certificate's path; its key is beside it
	Replaced  bool      `json:"replaced"`   // a later one has taken its file
}

// index is the content of indexFile.
type index struct {
	Version int           `json:"version"`
	Issued  []Certificate `json:"issued"`
}

// readIndex returns the index of a folder, an empty one when there is none.
func readIndex(path string) (index, error) {
	x := index{Version: 1}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return x, nil
	case err != nil:
		return x, err
	case info.Size() > maxIndex:
		return x, fmt.Errorf("read %q: %d bytes, at most %d are read", path, info.Size(), maxIndex)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return x, err
	}
	if err := json.Unmarshal(data, &x); err != nil {
		return x, fmt.Errorf("read %q: %w", path, err)
	}
	if x.Version != 1 {
		return x, fmt.Errorf("read %q: version %d, this program knows version 1", path, x.Version)
	}
	return x, nil
}

// add enters a certificate and writes the index. Earlier ones of the same file are replaced; a
// new CA replaces all that the old one issued.
func (f *folder) add(c Certificate) error {
	x, err := readIndex(f.path(indexFile))
	if err != nil {
		return err
	}
	for i := range x.Issued {
		if x.Issued[i].File == c.File || c.Kind == KindCA {
			x.Issued[i].Replaced = true
		}
	}
	x.Issued = append(x.Issued, c)
	data, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(f.path(indexFile), append(data, '\n'), 0o600, true)
}

// List returns every certificate that was issued in a folder, oldest first. It is empty when
// there is no CA yet.
func List(dir string) ([]Certificate, error) {
	f := folder{dir: dir}
	x, err := readIndex(f.path(indexFile))
	return x.Issued, err
}

// current returns the certificate of that name that is in use.
func current(list []Certificate, name string) (Certificate, bool) {
	for _, c := range list {
		if c.Name == name && !c.Replaced {
			return c, true
		}
	}
	return Certificate{}, false
}
