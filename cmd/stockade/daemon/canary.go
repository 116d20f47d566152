package daemon

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stockade/cmd/stockade/control"
	"stockade/pipeline"
)

const (
	canaryFile = "canary.key" // in the state folder
	canaryAge  = time.Hour    // an older nonce proves nothing about now
	canarySkew = 5 * time.Minute
	canaryMAC  = 32 // hexadecimal digits

	// canaryMissed is how many canaries may be missing before the way counts as broken.
	canaryMissed = 3
)

// The reasons for which a canary proves nothing.
const (
	refusedCanary      = "canary_invalid" // not made with the source's key, or for another source or jail
	refusedCanaryStale = "canary_stale"   // seen before, too old, or from the future
)

// canaries remembers the last canary of each source and jail. Its methods may be called concurrently.
//
// A canary is the word "stockade-canary.SOURCE.JAIL.SECONDS.TIME.MAC": TIME is the sender's, in Unix
// milliseconds, and MAC the beginning of sha256("KEY WORD KEY") in hexadecimal, where WORD is all
// before it. A shell can make that with printf and sha256sum, without showing the key to ps.
type canaries struct {
	file   string
	mu     sync.Mutex
	master []byte // from which the keys of the sources are derived; nil: none was handed out yet
	last   map[canaryWay]canary
}

type canaryWay struct{ source, jail string }

type canary struct {
	sent    int64 // the sender's clock, in Unix milliseconds
	judged  time.Time
	latency time.Duration
	every   time.Duration
	trust   string
	count   int64
}

// openCanaries reads the key of an earlier run, where there is one.
func openCanaries(stateDir string) (*canaries, error) {
	c := &canaries{file: filepath.Join(stateDir, canaryFile), last: make(map[canaryWay]canary)}
	key, err := os.ReadFile(c.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return nil, fmt.Errorf("read the key of the canaries: %w", err)
	case len(key) != sha256.Size:
		return nil, fmt.Errorf("read the key of the canaries: %s has %d bytes, want %d; remove it, and give every sender its new key", c.file, len(key), sha256.Size)
	}
	c.master = key
	return c, nil
}

// key is the key of a source, made when it is the first.
func (c *canaries) key(source string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.master == nil {
		master := make([]byte, sha256.Size)
		_, _ = rand.Read(master) // it never fails
		f, err := os.OpenFile(c.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return "", fmt.Errorf("keep the key of the canaries: %w", err)
		}
		_, err = f.Write(master)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return "", errors.Join(fmt.Errorf("keep the key of the canaries: %w", err), os.Remove(c.file))
		}
		c.master = master
	}
	return c.keyLocked(source), nil
}

func (c *canaries) keyLocked(source string) string {
	h := hmac.New(sha256.New, c.master)
	h.Write([]byte("canary " + source))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// hear takes a line that may be a canary.
func (c *canaries) hear(line pipeline.Canary) {
	now := time.Now()
	if reason := c.judge(line, now); reason != "" {
		line.Source.Refused.Add(reason, line.Received, line.Raw)
	}
}

func (c *canaries) judge(line pipeline.Canary, now time.Time) (reason string) {
	word := string(line.Raw[max(0, bytes.Index(line.Raw, []byte(pipeline.CanaryMark))):])
	if end := strings.IndexFunc(word, notCanary); end >= 0 {
		word = word[:end]
	}
	i := max(0, strings.LastIndexByte(word, '.'))
	body, mac := word[:i], strings.TrimPrefix(word[i:], ".")
	parts := strings.Split(body, ".")
	if len(parts) != 5 {
		return refusedCanary
	}
	way := canaryWay{parts[1], parts[2]}
	every, err1 := strconv.ParseInt(parts[3], 10, 32)
	sent, err2 := strconv.ParseInt(parts[4], 10, 64)
	if err1 != nil || err2 != nil || every < 1 || way.source != line.Source.Name {
		return refusedCanary
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.master == nil {
		return refusedCanary
	}
	key := c.keyLocked(way.source)
	sum := sha256.Sum256([]byte(key + " " + body + " " + key))
	if !hmac.Equal([]byte(hex.EncodeToString(sum[:])[:canaryMAC]), []byte(mac)) {
		return refusedCanary
	}
	if way.jail != line.Jail {
		return "" // another jail knows the line too: it proves nothing about that one
	}
	old := c.last[way]
	latency := now.Sub(time.UnixMilli(sent))
	if sent <= old.sent || latency > canaryAge || latency < -canarySkew {
		return refusedCanaryStale
	}
	c.last[way] = canary{sent, now, latency, time.Duration(every) * time.Second, line.Level, old.count + 1}
	return ""
}

// notCanary reports whether r ends the word.
func notCanary(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '.' && r != '-'
}

func (c *canaries) forget(way canaryWay) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.last[way]
	delete(c.last, way)
	return known
}

// list is every way that a canary took, by source and jail.
func (c *canaries) list(now time.Time) []control.Canary {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]control.Canary, 0, len(c.last))
	for way, x := range c.last {
		state := control.CanaryOK
		if now.Sub(x.judged) > canaryMissed*x.every {
			state = control.CanaryOverdue
		}
		list = append(list, control.Canary{
			Source: way.source, Jail: way.jail, State: state, Trust: x.trust, Count: x.count, Last: x.judged,
			Every: control.SecondsOf(x.every), Latency: x.latency.Seconds(),
		})
	}
	slices.SortFunc(list, func(a, b control.Canary) int { return strings.Compare(a.Source+" "+a.Jail, b.Source+" "+b.Jail) })
	return list
}

// Canaries lists the canaries that arrived, of sources and jails that still exist.
func (d *daemon) Canaries(context.Context) ([]control.Canary, error) {
	return slices.DeleteFunc(d.canaries.list(time.Now()), func(c control.Canary) bool {
		return d.jail(c.Jail) == nil || d.knownSource(c.Source) != nil
	}), nil
}

// lookAtCanaries reports ways that no canary takes any more.
func (h *health) lookAtCanaries(add adder) {
	list, _ := h.d.Canaries(context.Background()) // it never fails
	for _, c := range list {
		if c.State == control.CanaryOverdue {
			add("canary", c.Source+" "+c.Jail, "no canary of source %s for jail %s came since %s, and one every %s is expected: lines may be lost on the way; `stockade canary %s --forget` when it stopped on purpose",
				c.Source, c.Jail, c.Last.Format(time.RFC3339), c.Every.Duration(), c.Source)
		}
	}
}
