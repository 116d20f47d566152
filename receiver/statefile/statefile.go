// Package statefile keeps what a reader must remember across a restart: small values, one a
// file, each with a checksum. A file is replaced as a whole or not at all; Replace does the same
// for texts that other programs read.
package statefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
)

// MaxSize is the largest file in bytes that Load reads and Save writes.
const MaxSize = 16 << 20

var magic = []byte("stockade state 1\n")

// ErrCorrupt says that a file exists and is not what Save wrote for that kind.
var ErrCorrupt = errors.New("the file is damaged or of another kind")

// Save writes v to path through a temporary file in the same folder, synced before it takes the
// name. kind says what v is. On an error the old file stays.
func Save(path, kind string, v any) error {
	body, err := cbor.Marshal(v)
	if err != nil {
		return fmt.Errorf("save %q: %w", path, err)
	}
	data := Encode(kind, body)
	if len(data) > MaxSize {
		return fmt.Errorf("save %q: %d bytes are more than %d", path, len(data), MaxSize)
	}
	if err := Replace(path, data, 0o600); err != nil {
		return fmt.Errorf("save %q: %w", path, err)
	}
	return nil
}

// Replace puts a whole new file with that mode in place of an old one, or leaves the old one as it
// is: the new one is synced under a hidden name in the same folder before it takes the name.
func Replace(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Encode frames a body as Save writes it.
func Encode(kind string, body []byte) []byte {
	data := append([]byte(nil), magic...)
	data = binary.BigEndian.AppendUint32(data, uint32(len(kind))) //nolint:gosec // a short word
	data = append(data, kind...)
	data = append(data, body...)
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

// Load reads into v what Save wrote for kind. ok is false when there is no file. An error that
// wraps ErrCorrupt leaves v in an unknown state.
func Load(path, kind string, v any) (ok bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("load %q: %w", path, err)
	case info.Size() > MaxSize:
		return false, fmt.Errorf("load %q: %w", path, ErrCorrupt)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("load %q: %w", path, err)
	}
	if err := Decode(data, kind, v); err != nil {
		return false, fmt.Errorf("load %q: %w", path, err)
	}
	return true, nil
}

// Decode reads into v the bytes of a file.
func Decode(data []byte, kind string, v any) error {
	n := len(data) - sha256.Size
	if n < len(magic)+4 || !bytes.HasPrefix(data, magic) {
		return ErrCorrupt
	}
	if sha256.Sum256(data[:n]) != [sha256.Size]byte(data[n:]) {
		return ErrCorrupt
	}
	body := data[len(magic)+4 : n]
	size := int(binary.BigEndian.Uint32(data[len(magic):]))
	if size != len(kind) || len(body) < size || string(body[:size]) != kind {
		return ErrCorrupt
	}
	if err := cbor.Unmarshal(body[size:], v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
