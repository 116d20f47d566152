package state

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// loader puts saved rows into memdb. Chunks are decoded by several goroutines and stored, in their
// order, by one.
type loader struct {
	s     *Store
	v     view
	rec   *Recovery
	jails []*jailRow
	names []uint32
}

// chunk is a part of a snapshot on its way.
type chunk struct {
	data []byte
	rows []*row
	bans int    // that had ended
	gone []*Ban // the first of them
	err  error
	done chan struct{} // closed when it is decoded
}

// loadAll loads the chunks that are left.
func (l *loader) loadAll(cr *chunkReader) error {
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *chunk)
	ordered := make(chan *chunk, 2*workers) // decoded chunks wait here; when full, reading waits
	failed := make(chan struct{})
	var wg sync.WaitGroup
	var readErr error
	wg.Go(func() {
		defer close(ordered)
		defer close(work)
		readErr = readChunks(cr, work, ordered, failed)
	})
	for range workers {
		wg.Go(func() {
			d := rowDecoder{l: l, words: map[string]string{}}
			for c := range work {
				c.err = d.decode(c)
				close(c.done)
			}
		})
	}
	var err error
	for c := range ordered {
		<-c.done
		switch {
		case err != nil: // the rest is thrown away
		case c.err != nil:
			err = c.err
			close(failed)
		default:
			l.store(c)
		}
	}
	wg.Wait()
	if err != nil {
		return err
	}
	return readErr
}

// readChunks hands out all chunks, or as many as there are before another step failed.
func readChunks(cr *chunkReader, work, ordered chan<- *chunk, failed <-chan struct{}) error {
	for {
		data, err := cr.next()
		if err != nil || data == nil {
			return err
		}
		c := &chunk{data: bytes.Clone(data), done: make(chan struct{})}
		select {
		case <-failed:
			return nil
		case work <- c: // a worker is at it: it will close done
		}
		ordered <- c
	}
}

// store puts the rows of a chunk into memdb.
func (l *loader) store(c *chunk) {
	s := l.s
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	txn := s.db.Txn(true)
	defer txn.Abort()
	for _, r := range c.rows {
		s.evidence.Add(s.keep.track(r))
		s.store(txn, r, nil)
	}
	l.rec.Expired += c.bans
	l.rec.Ended = append(l.rec.Ended, c.gone[:min(len(c.gone), maxEnded-len(l.rec.Ended))]...)
	txn.Commit()
}

// rowDecoder makes rows of their saved form. It belongs to one goroutine.
type rowDecoder struct {
	l     *loader
	saved savedRow          // its memory is used again for each row
	words map[string]string // names and scopes, of which there are few, each once
	ended int
	gone  []*Ban // the first maxEnded of them
	quick quick
}

// maxWords bounds the texts that a decoder keeps to share them.
const maxWords = 4096

func (d *rowDecoder) decode(c *chunk) error {
	d.ended, d.gone = 0, nil
	c.rows = make([]*row, 0, fullChunk/256)
	for data := c.data; len(data) > 0; {
		d.quick.b = data
		if r, ok := d.quick.row(d.l.v, d.l.jails); ok && d.count(r) {
			c.rows, data = append(c.rows, r), d.quick.b
			continue
		}
		rest, err := decoding.UnmarshalFirst(data, &d.saved)
		if err != nil {
			return fmt.Errorf("%w: row: %w", errSnapshot, err)
		}
		data = rest
		r, err := d.row(&d.saved)
		if err != nil {
			return err
		}
		c.rows = append(c.rows, r)
	}
	c.data, c.bans, c.gone = nil, d.ended, d.gone
	return nil
}

// share replaces a text by an equal one that others use too.
func (d *rowDecoder) share(texts ...*string) {
	for _, t := range texts {
		if known, ok := d.words[*t]; ok {
			*t = known
		} else if len(d.words) < maxWords {
			d.words[*t] = *t
		}
	}
}

func (d *rowDecoder) shareEvidence(ev []Evidence) {
	for i := range ev {
		d.share(&ev[i].Source, &ev[i].Trust, &ev[i].Origin)
	}
}

func (d *rowDecoder) row(saved *savedRow) (*row, error) {
	if len(saved.Key) != len(pkey{}) {
		return nil, fmt.Errorf("%w: a key of %d bytes", errSnapshot, len(saved.Key))
	}
	l := d.l
	k := pkey(saved.Key)
	if p := k.prefix(); !p.IsValid() || p != p.Masked() {
		return nil, fmt.Errorf("%w: a key that is no prefix", errSnapshot)
	}
	r := newRow(saved.Key, len(saved.Items))
	for i := range saved.Items {
		si := &saved.Items[i]
		if si.Jail < 0 || si.Jail >= len(l.jails) {
			return nil, fmt.Errorf("%w: jail number %d of %d", errSnapshot, si.Jail, len(l.jails))
		}
		it := item{jail: l.jails[si.Jail]}
		d.item(&it, si, &k)
		r.items = append(r.items, it)
	}
	l.s.lengths.seen(&k)
	return r, nil
}

// count counts what a row that quick read has; false when its key is not right.
func (d *rowDecoder) count(r *row) bool {
	k := r.pkey()
	if p := k.prefix(); !p.IsValid() || p != p.Masked() {
		return false
	}
	for i := range r.items {
		if it := &r.items[i]; it.ban != nil {
			it.jail.bannedNow.Add(1)
			d.l.s.lengths.ban(&k, 1)
		}
	}
	d.l.s.lengths.seen(&k)
	return true
}

func (d *rowDecoder) item(it *item, si *savedItem, k *pkey) {
	l, v := d.l, d.l.v
	if si.Win != nil {
		if it.win = v.loadWindow(si.Win, l.source); it.win != nil {
			it.win.shared = true
			d.shareEvidence(it.win.ev)
			it.jail.failedNow.Add(1)
		}
	}
	if si.Ban != nil {
		if it.ban = v.loadBan(si.Ban); it.ban != nil {
			it.until = v.until(it.ban.end)
			it.jail.bannedNow.Add(1)
			l.s.lengths.ban(k, 1)
		} else {
			d.ended++
			if len(d.gone) < maxEnded {
				d.gone = append(d.gone, si.Ban.over(it.jail.name, k.prefix()))
			}
		}
	}
	if si.Past != nil {
		if at := v.at(si.Past.Last); at+l.s.keep.retention > v.mono || it.ban != nil {
			it.past = &past{count: si.Past.Count, last: at, ev: loaded(si.Past.Evidence)}
		}
	}
}

func (l *loader) source(id uint32) uint32 {
	if n := id &^ spoofableBit; int(n) < len(l.names) {
		return l.names[n] | id&spoofableBit
	}
	return l.s.sources.id("") | id&spoofableBit
}

// until is when a ban with that end is over on the store's clock.
func (v view) until(end time.Time) int64 {
	if end.IsZero() {
		return forever
	}
	return v.mono + int64(end.Sub(v.now))
}
