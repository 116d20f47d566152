package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	headerSize = 100
	magic      = "SQLite format 3\x00"
	maxPages   = 1 << 22 // of 64 KiB: 256 GiB
	maxTables  = 1000
	maxDepth   = 20 // of a b-tree; SQLite's own limit
)

// ErrUnfinished means that a journal or log beside the file belongs to it.
var ErrUnfinished = errors.New("the database file is not complete by itself")

// DB is an open database. It is used by one goroutine at a time.
type DB struct {
	file   *os.File
	page   int64 // size in bytes
	usable int   // of a page
	pages  uint32
	tables map[string]*Table
}

// Open opens a database file and waits up to wait for programs that are writing. While it is open they
// cannot write: Close it soon. The error wraps ErrUnfinished where a journal or a write-ahead log holds
// a part of what the file should.
func Open(path string, wait time.Duration) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	db := &DB{file: f}
	if err = lock(f, wait); err == nil {
		if err = db.begin(path); err == nil {
			return db, nil
		}
	}
	_ = f.Close()
	return nil, fmt.Errorf("read %s: %w", path, err)
}

// Close lets go of the file and its lock.
func (db *DB) Close() error { return db.file.Close() }

func (db *DB) begin(path string) error {
	for _, beside := range []struct{ ending, hint string }{
		{"-journal", "the program that wrote it was killed; start it once, so that it finishes"},
		{"-wal", "it has a write-ahead log; stop the program that writes it, then try again"},
	} {
		if info, err := os.Stat(path + beside.ending); err == nil && info.Size() > 0 {
			return fmt.Errorf("%w: %s", ErrUnfinished, beside.hint)
		}
	}
	info, err := db.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	var head [headerSize]byte
	if _, err := db.file.ReadAt(head[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is no SQLite database: too short")
		}
		return err
	}
	if string(head[:len(magic)]) != magic {
		return errors.New("it is no SQLite 3 database")
	}
	db.page = int64(binary.BigEndian.Uint16(head[16:]))
	if db.page == 1 {
		db.page = 65536
	}
	db.usable = int(db.page) - int(head[20])
	switch encoding := binary.BigEndian.Uint32(head[56:]); {
	case db.page < 512 || db.page&(db.page-1) != 0 || db.usable < 480:
		return fmt.Errorf("damaged: pages of %d bytes, %d reserved", db.page, head[20])
	case encoding > 1: // 0: nothing was ever written
		return errors.New("its texts are UTF-16, which is not read")
	}
	if n := info.Size() / db.page; n > maxPages {
		return fmt.Errorf("%d pages: more than %d are not read", n, maxPages)
	} else if n > 0 {
		db.pages = uint32(n)
	}
	return db.schema()
}

// schema reads the list of tables, which is a table itself.
func (db *DB) schema() error {
	db.tables = map[string]*Table{}
	list := &Table{db: db, root: 1}
	var fault error
	err := list.Rows(func(row []Value) bool {
		if len(row) < 5 || row[0].Text() != "table" {
			return true
		}
		if len(db.tables) == maxTables {
			fault = fmt.Errorf("more than %d tables", maxTables)
			return false
		}
		columns, err := columnNames(row[4].Text())
		if err != nil {
			return true // a virtual table, or one without rowid: nobody asks for it here
		}
		db.tables[row[1].Text()] = &Table{db: db, root: uint32(row[3].Int), Columns: columns}
		return true
	})
	return errors.Join(err, fault)
}

// Table finds a table by its name.
func (db *DB) Table(name string) (*Table, bool) {
	t, ok := db.tables[name]
	return t, ok
}

// read returns a page. The first page begins with the header of the file.
func (db *DB) read(number uint32, buf []byte) ([]byte, error) {
	if number == 0 || number > db.pages {
		return nil, fmt.Errorf("damaged: page %d of %d", number, db.pages)
	}
	if int64(cap(buf)) < db.page {
		buf = make([]byte, db.page)
	}
	buf = buf[:db.page]
	_, err := db.file.ReadAt(buf, int64(number-1)*db.page)
	return buf, err
}
