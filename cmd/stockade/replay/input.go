package replay

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// input is one log before its lines are taken apart.
type input struct {
	name    string // as it was given
	source  string // its name without what a rotation added
	app     string // of lines without a syslog header
	file    *os.File
	text    *bufio.Reader // unpacked
	journal bool          // it is a journal export
	clock   time.Time     // chooses the year of dates without one
	size    int64         // in bytes on disk, 0 when unknown
	read    *atomic.Int64 // bytes on disk, of all inputs
	first   int64         // time of the first dated line; 0 when its beginning has none
}

// open opens a log: a file, or in for "-". The bytes that are read are added to read.
func open(name string, in io.Reader, read *atomic.Int64) (*input, error) {
	i := &input{name: name, source: sourceOf(name), read: read, clock: time.Now()}
	raw := in
	if name == "-" {
		i.source = "stdin"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("log %q: is a folder", name)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if info.Mode().IsRegular() {
			i.size = info.Size()
			if t := info.ModTime(); t.Year() >= 2000 && t.Before(i.clock) {
				i.clock = t
			}
		}
		i.file, raw = f, f
	}
	if err := i.unpack(&meter{raw, read}); err != nil {
		i.close()
		return nil, fmt.Errorf("log %q: %w", name, err)
	}
	head, _ := i.text.Peek(len(exportHead)) // a short log is no export
	i.journal = bytes.HasPrefix(head, []byte("__CURSOR=")) || bytes.Equal(head, []byte(exportHead))
	return i, nil
}

const exportHead = "__REALTIME_TIMESTAMP="

func (i *input) close() {
	if i.file != nil {
		_ = i.file.Close() // it was only read
	}
}

// unpack looks at the first bytes: the name of a compressed file may say anything.
func (i *input) unpack(r io.Reader) error {
	packed := bufio.NewReaderSize(r, blockBytes)
	i.text = packed
	head, err := packed.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(packed)
		if err != nil {
			return err
		}
		if t := z.ModTime; t.Year() >= 2000 && t.Before(i.clock) {
			i.clock = t
		}
		i.text = bufio.NewReaderSize(z, blockBytes)
	case bytes.HasPrefix(head, []byte("BZh")):
		i.text = bufio.NewReaderSize(bzip2.NewReader(packed), blockBytes)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ")):
		return errors.New("is compressed by xz: unpack it first, xz -dc FILE | stockade replay -")
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return errors.New("is compressed by zstd: unpack it first, zstd -dc FILE | stockade replay -")
	}
	return nil
}

// rotation is what logrotate and its like add to a name.
var rotation = regexp.MustCompile(`([.-][0-9]+)*(\.(gz|bz2))?$`)

// sourceOf is a log's name without folders and without what a rotation added, so that the parts of
// one log are one source.
func sourceOf(name string) string {
	base := filepath.Base(name)
	if s := rotation.ReplaceAllString(base, ""); s != "" {
		return strings.TrimSuffix(s, ".old")
	}
	return base
}

// meter counts what is read.
type meter struct {
	r io.Reader
	n *atomic.Int64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.n.Add(int64(n))
	return n, err
}

// cutter reads whole lines, a block at a time.
type cutter struct {
	r        io.Reader
	rest     []byte // the beginning of a line
	skipping bool   // the rest of a line that is too long
	end      error
}

// fill reads into an empty buffer of bufferBytes at least and returns it with whole
// lines. The error comes with the last lines.
func (c *cutter) fill(buf []byte) ([]byte, error) {
	for {
		buf = append(buf[:0], c.rest...)
		c.rest = c.rest[:0]
		from := len(buf)
		for len(buf)-from < blockBytes && c.end == nil {
			var n int
			n, c.end = c.r.Read(buf[len(buf) : from+blockBytes])
			buf = buf[:len(buf)+n]
		}
		if c.skipping {
			nl := bytes.IndexByte(buf, '\n')
			if nl < 0 {
				nl = len(buf) - 1
			} else {
				c.skipping = false
			}
			buf = buf[:copy(buf, buf[nl+1:])]
		}
		if c.end != nil {
			return buf, c.end
		}
		last := bytes.LastIndexByte(buf, '\n') + 1
		c.rest = append(c.rest, buf[last:]...)
		buf = buf[:last]
		if len(c.rest) > maxLine {
			buf = append(append(buf, c.rest[:maxLine+1]...), '\n') // one byte too long: it is known to be cut
			c.rest, c.skipping = c.rest[:0], true
		}
		if len(buf) > 0 {
			return buf, nil
		}
	}
}
