package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/hashicorp/go-memdb"
)

// A snapshot file is a magic, chunks, an empty chunk, and the SHA-256 of all that. A chunk is its
// length in 4 bytes, little-endian, and that much CBOR: first the header, then rows, one after the
// other.
const (
	snapshotMagic = "stksnap1"
	fullChunk     = 1 << 20  // bytes from which a chunk is written
	maxChunk      = 64 << 20 // bytes of the largest one
)

var errSnapshot = errors.New("snapshot is damaged")

// writeSnapshot writes what txn sees.
func (s *Store) writeSnapshot(w io.Writer, txn *memdb.Txn, v view) error {
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<18)
	if _, err := buffered.WriteString(snapshotMagic); err != nil {
		return err
	}
	header, number := s.snapshotHeader(v)
	chunk, err := encoding.Marshal(header)
	if err != nil {
		return err
	}
	if err := writeChunk(buffered, chunk); err != nil {
		return err
	}
	var full []byte
	for r := range s.rows(txn) {
		full = v.appendRow(full, r, number)
		if len(full) >= fullChunk {
			if err := writeChunk(buffered, full); err != nil {
				return err
			}
			full = full[:0]
		}
	}
	if err := writeChunk(buffered, full); err != nil {
		return err
	}
	if _, err := buffered.Write(make([]byte, 4)); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	_, err = w.Write(sum.Sum(nil))
	return err
}

// snapshotHeader also numbers the jails. It is made after the transaction began, so it has every
// jail and source that the rows can name.
func (s *Store) snapshotHeader(v view) (savedHeader, map[*jailRow]int) {
	h := savedHeader{Schema: schema, Saved: v.now.UnixNano(), Names: s.sources.all()}
	number := map[*jailRow]int{}
	for _, name := range s.Jails() {
		j := s.jail(name)
		number[j] = len(h.Jails)
		h.Jails = append(h.Jails, savedJail{Name: name, Failed: j.failed.Load(), Banned: j.banned.Load()})
	}
	return h, number
}

// writeChunk writes nothing for an empty chunk, which would end the file.
func writeChunk(w io.Writer, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) > maxChunk {
		return fmt.Errorf("a chunk of %d bytes, at most %d can be read", len(data), maxChunk)
	}
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(data)))
	if _, err := w.Write(size[:]); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// checkSnapshot reads a snapshot to its end and reports whether its sum is right.
func checkSnapshot(r io.Reader) error {
	cr := newChunkReader(r)
	for {
		data, err := cr.next()
		if err != nil {
			return err
		}
		if data == nil {
			return cr.end()
		}
	}
}

// chunkReader trusts no length before the bytes are there.
type chunkReader struct {
	r     *bufio.Reader
	sum   hash.Hash // nil: it is not asked for
	buf   bytes.Buffer
	begun bool
}

func newChunkReader(r io.Reader) *chunkReader {
	return &chunkReader{r: bufio.NewReaderSize(r, 1<<18), sum: sha256.New()}
}

// next returns the next chunk, valid until the following call, and nil at the last one.
func (c *chunkReader) next() ([]byte, error) {
	if !c.begun {
		c.begun = true
		head, err := c.read(len(snapshotMagic))
		if err != nil {
			return nil, err
		}
		if string(head) != snapshotMagic {
			return nil, fmt.Errorf("%w: it begins with %q", errSnapshot, head)
		}
	}
	size, err := c.read(4)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(size)
	if n == 0 {
		return nil, nil
	}
	if n > maxChunk {
		return nil, fmt.Errorf("%w: a chunk of %d bytes, at most %d are written", errSnapshot, n, maxChunk)
	}
	return c.read(int(n))
}

func (c *chunkReader) read(n int) ([]byte, error) {
	c.buf.Reset()
	if got, err := io.CopyN(&c.buf, c.r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it ends %d bytes early", errSnapshot, int64(n)-got)
		}
		return nil, err
	}
	if c.sum != nil {
		c.sum.Write(c.buf.Bytes())
	}
	return c.buf.Bytes(), nil
}

// end checks the sum, and that nothing follows.
func (c *chunkReader) end() error {
	want := c.sum.Sum(nil)
	got, err := io.ReadAll(io.LimitReader(c.r, int64(len(want))+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: its checksum is wrong", errSnapshot)
	}
	return nil
}

// readSnapshot loads a snapshot whose sum was checked. Nothing else may use the store.
func (s *Store) readSnapshot(r io.Reader, v view, rec *Recovery) error {
	cr := newChunkReader(r)
	cr.sum = nil
	data, err := cr.next()
	if err != nil {
		return err
	}
	var h savedHeader
	if err := decoding.Unmarshal(data, &h); err != nil {
		return fmt.Errorf("%w: header: %w", errSnapshot, err)
	}
	if h.Schema != schema {
		return fmt.Errorf("snapshot has schema %d, this program reads %d", h.Schema, schema)
	}
	l := loader{s: s, v: v, rec: rec, names: make([]uint32, len(h.Names))}
	for i, name := range h.Names {
		l.names[i] = s.sources.id(name)
	}
	for _, sj := range h.Jails {
		j := s.jail(sj.Name)
		j.failed.Store(sj.Failed)
		j.banned.Store(sj.Banned)
		l.jails = append(l.jails, j)
	}
	return l.loadAll(cr)
}
