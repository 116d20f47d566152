package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const small = "testdata/small.sqlite3"

// rows are all rows of a table as text.
func rows(t testing.TB, db *DB, name string) []string {
	t.Helper()
	table, ok := db.Table(name)
	if !ok {
		t.Fatalf("no table %s", name)
	}
	var out []string
	if err := table.Rows(func(row []Value) bool {
		var b strings.Builder
		for _, v := range row {
			switch v.Kind {
			case Null:
				b.WriteString("null ")
			case Integer, Real:
				fmt.Fprintf(&b, "%d ", v.Int)
			case Text, Blob:
				fmt.Fprintf(&b, "%q ", v.Bytes)
			case Missing:
				b.WriteString("… ")
			}
		}
		out = append(out, strings.TrimSpace(b.String()))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSmallDatabase(t *testing.T) {
	db, err := Open(small, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	bips := rows(t, db, "bips")
	if len(bips) != 40 {
		t.Fatalf("%d rows, want 40", len(bips))
	}
	for i, got := range bips {
		bantime := -1
		if i%2 == 1 {
			bantime = 600
		}
		data := fmt.Sprintf(`{"matches": ["%s"]}`, strings.Repeat("x", i*37)) // up to four overflow pages of 512 bytes
		if want := fmt.Sprintf("%q %q %d %d %d %q", fmt.Sprintf("192.0.2.%d", i), "sshd", 1700000000+i, bantime, i+1, data); got != want {
			t.Errorf("row %d:\n%s\nwant\n%s", i, got, want)
		}
	}
	numbers := rows(t, db, "numbers")
	want := []string{"0", "1", "-1", "127", "128", "-129", "32767", "32768", "8388607", "8388608", "2147483647", "2147483648",
		"140737488355327", "140737488355328", "9223372036854775807", "-9223372036854775808"}
	for i, got := range numbers {
		if number, _, _ := strings.Cut(got, " "); number != want[i] || !strings.HasSuffix(got, `"\x00\xff"`) {
			t.Errorf("row %d: %s, want %s", i, got, want[i])
		}
	}
	if table, _ := db.Table("numbers"); !slices.Equal(table.Columns, []string{"a", "b", "c", "late"}) && !slices.Equal(table.Columns, []string{"a", "b", "c d", "late"}) {
		t.Errorf("columns %q", table.Columns)
	}
	if _, ok := db.Table("keyed"); ok {
		t.Error("a table without rowids is none of ours")
	}
	table, _ := db.Table("bips")
	if i := table.Column("bancount"); i != 4 {
		t.Errorf("bancount is column %d, want 4", i)
	}
	seen := 0
	if err := table.Rows(func([]Value) bool { seen++; return seen < 3 }); err != nil || seen != 3 {
		t.Errorf("stopped after %d rows: %v", seen, err)
	}
}

func TestRefused(t *testing.T) {
	whole, err := os.ReadFile(small)
	if err != nil {
		t.Fatal(err)
	}
	utf16 := slices.Clone(whole)
	utf16[59] = 2
	odd := slices.Clone(whole)
	odd[16], odd[17] = 3, 3
	for _, tc := range []struct {
		name   string
		text   []byte
		beside string
		want   string
	}{
		{"empty", nil, "", "too short"},
		{"text", []byte(strings.Repeat("not a database ", 20)), "", "no SQLite 3 database"},
		{"UTF-16", utf16, "", "UTF-16"},
		{"odd pages", odd, "", "damaged"},
		{"cut in a page", whole[:700], "", "damaged"},
		{"a journal", whole, "-journal", "killed"},
		{"a log", whole, "-wal", "stop the program"},
	} {
		path := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(path, tc.text, 0o600); err != nil {
			t.Fatal(err)
		}
		if tc.beside != "" {
			if err := os.WriteFile(path+tc.beside, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		db, err := Open(path, 0)
		if err == nil {
			table, _ := db.Table("bips")
			if table != nil {
				err = table.Rows(func([]Value) bool { return true })
			}
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
		if tc.beside != "" && !errors.Is(err, ErrUnfinished) {
			t.Errorf("%s: %v is no ErrUnfinished", tc.name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), time.Second); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// FuzzOpen reads damaged files: whatever a file holds, reading it ends, in an error or in rows.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(small)
	if err != nil {
		f.Fatal(err)
	}
	for _, at := range []uint{0, 16, 20, 100, 103, 108, 512, 515, 520, 1024, 2048, 5000} {
		f.Add(at, byte(0xff), uint(0))
		f.Add(at, byte(0x05), uint(3000))
	}
	path := filepath.Join(f.TempDir(), "db")
	f.Fuzz(func(t *testing.T, at uint, b byte, cut uint) {
		text := slices.Clone(whole)
		text[at%uint(len(text))] = b
		text = text[:uint(len(text))-cut%uint(len(text))]
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, 0)
		if err != nil {
			return
		}
		defer db.Close()
		for _, table := range db.tables {
			n := 0
			_ = table.Rows(func([]Value) bool { n++; return n < 10_000 })
			if n == 10_000 {
				t.Fatal("a file of 80 pages has 10,000 rows")
			}
		}
	})
}
