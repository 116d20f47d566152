package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxPayload bounds what is read of one row, in bytes. Values beyond it are missing.
const maxPayload = 256 << 10

// Table is one table of a database.
type Table struct {
	Columns []string // in lower case; a row may have fewer values: those of columns that were added later
	db      *DB
	root    uint32
}

// Column returns the place of a column's value in a row, -1 when the table has none of that name.
func (t *Table) Column(name string) int {
	for i, c := range t.Columns {
		if c == name {
			return i
		}
	}
	return -1
}

// Rows calls yield with each row in the order of rowids, until it returns false. The row and its bytes
// are valid until yield returns.
func (t *Table) Rows(yield func(row []Value) bool) error {
	w := &walk{db: t.db, yield: yield, left: t.db.pages}
	err := w.page(t.root, 1)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

var errStop = errors.New("stop")

// walk goes through the pages of a b-tree.
type walk struct {
	db    *DB
	yield func([]Value) bool
	left  uint32 // pages that may still be visited: in a circle they run out
	over  []byte // an overflow page
	pay   []byte // a row's bytes
	row   []Value
}

const (
	interiorTable = 0x05
	leafTable     = 0x0d
)

func (w *walk) page(number uint32, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("damaged: page %d lies deeper than %d", number, maxDepth)
	}
	if w.left == 0 {
		return fmt.Errorf("damaged: page %d is reached on two ways", number)
	}
	w.left--
	p, err := w.db.read(number, nil)
	if err != nil {
		return err
	}
	head := 0
	if number == 1 {
		head = headerSize
	}
	cells := int(binary.BigEndian.Uint16(p[head+3:]))
	pointers := head + 8
	kind := p[head]
	switch kind {
	case leafTable:
	case interiorTable:
		pointers += 4
	default:
		return fmt.Errorf("damaged: page %d is none of a table", number)
	}
	if pointers+2*cells > w.db.usable {
		return fmt.Errorf("damaged: page %d has %d cells", number, cells)
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(p[pointers+2*i:]))
		if at < pointers || at+4 > w.db.usable {
			return fmt.Errorf("damaged: a cell of page %d", number)
		}
		if kind == interiorTable {
			err = w.page(binary.BigEndian.Uint32(p[at:]), depth+1)
		} else {
			err = w.cell(p[:w.db.usable], at, number)
		}
		if err != nil {
			return err
		}
	}
	if kind == interiorTable {
		return w.page(binary.BigEndian.Uint32(p[head+8:]), depth+1)
	}
	return nil
}

// cell hands out the row of a leaf's cell.
func (w *walk) cell(p []byte, at int, number uint32) error {
	damaged := fmt.Errorf("damaged: a row of page %d", number)
	size, n := varint(p[at:])
	if n == 0 || size > 1<<31 {
		return damaged
	}
	at += n
	if _, n = varint(p[at:]); n == 0 { // the rowid
		return damaged
	}
	at += n
	local, whole := w.split(int(size))
	if at+local > len(p) {
		return damaged
	}
	w.pay = append(w.pay[:0], p[at:at+local]...)
	if !whole {
		if at+local+4 > len(p) {
			return damaged
		}
		if err := w.overflow(binary.BigEndian.Uint32(p[at+local:]), min(int(size), maxPayload)); err != nil {
			return err
		}
	}
	row, ok := record(w.pay, w.row[:0])
	w.row = row
	if !ok {
		return damaged
	}
	if !w.yield(row) {
		return errStop
	}
	return nil
}

// split is how many bytes of a payload are in the cell itself, and whether that is all (section 1.6).
func (w *walk) split(size int) (local int, whole bool) {
	usable := w.db.usable
	most, least := usable-35, (usable-12)*32/255-23
	if size <= most {
		return size, true
	}
	if local = least + (size-least)%(usable-4); local > most {
		local = least
	}
	return local, false
}

// overflow appends overflow pages to the payload until it has size bytes.
func (w *walk) overflow(number uint32, size int) error {
	for len(w.pay) < size {
		if w.left == 0 {
			return fmt.Errorf("damaged: overflow page %d is reached on two ways", number)
		}
		w.left--
		p, err := w.db.read(number, w.over)
		if err != nil {
			return err
		}
		w.over = p
		w.pay = append(w.pay, p[4:4+min(w.db.usable-4, size-len(w.pay))]...)
		number = binary.BigEndian.Uint32(p)
	}
	return nil
}
