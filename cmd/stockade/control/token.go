package control

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// token is the secret of a file, of which only the sum is kept.
type token struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	sum    [sha256.Size]byte
	stamp  time.Time // of the file it was read from
	looked time.Time
}

func newToken(path string, log *slog.Logger) (*token, error) {
	t := &token{path: path, log: log}
	return t, t.load()
}

func (t *token) load() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) < minToken || bytes.ContainsAny(text, "\r\n") || info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("token_file %q: %w", t.path, errToken)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum, t.stamp = sha256.Sum256(text), info.ModTime()
	return nil
}

// is reports whether secret is the token, in a time that tells nothing of it. A replaced file is
// read again; while the new one is at fault the old token stays.
func (t *token) is(secret string, now time.Time) bool {
	t.mu.Lock()
	due := now.Sub(t.looked) >= lookEvery
	if due {
		t.looked = now
	}
	stamp := t.stamp
	t.mu.Unlock()
	if due {
		if info, err := os.Stat(t.path); err == nil && !info.ModTime().Equal(stamp) {
			if err := t.load(); err != nil {
				t.log.Warn("the control listener keeps its old token", "err", err)
			}
		}
	}
	sum := sha256.Sum256([]byte(secret))
	t.mu.Lock()
	defer t.mu.Unlock()
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}
