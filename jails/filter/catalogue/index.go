package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// listing says which filters there are. To read all their patterns and samples takes a daemon's
// start several times as long as all else it does, and most of it is for filters of others.
type listing struct {
	names []string       // sorted
	files []file         // by names
	at    map[string]int // by name and alias
}

// file is one of the embedded files, which is read when it is asked for, once.
type file struct {
	head  func() (*Entry, error) // without its samples
	whole func() (*Entry, error)
}

func newFile(name string) file {
	once := func(parse func(string, []byte) (*Entry, error)) func() (*Entry, error) {
		return sync.OnceValues(func() (*Entry, error) {
			data, err := files.ReadFile(name)
			if err != nil {
				return nil, err
			}
			e, err := parse(name, data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return e, nil
		})
	}
	return file{head: once(parseHead), whole: once(parse)}
}

// index lists the embedded files once.
var index = sync.OnceValues(func() (*listing, error) {
	found, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	l := &listing{at: make(map[string]int, 2*len(found))}
	for i, f := range found {
		name := strings.TrimSuffix(f.Name(), ".yaml")
		l.names = append(l.names, name)
		l.files = append(l.files, newFile(f.Name()))
		l.at[name] = i
	}
	buf := make([]byte, aliasesWithin)
	for i, f := range found {
		n, err := readBeginning(f.Name(), buf)
		if err != nil {
			return nil, fmt.Errorf("list filters: %w", err)
		}
		for _, alias := range aliases(buf[:n]) {
			if _, taken := l.at[alias]; !taken {
				l.at[alias] = i
			}
		}
	}
	return l, nil
})

// find returns the file of that name or alias. The error names the nearest one when there is none.
func find(name string) (file, error) {
	list, err := index()
	if err != nil {
		return file{}, err
	}
	if at, known := list.at[name]; known {
		return list.files[at], nil
	}
	if near := nearest(name, list.names); near != "" {
		return file{}, fmt.Errorf("unknown filter %q: did you mean %q?", name, near)
	}
	return file{}, fmt.Errorf("unknown filter %q: see `stockade filters` for the names", name)
}

// aliasesWithin is how much of a file's beginning has its line of aliases, in bytes.
const aliasesWithin = 512

func readBeginning(name string, buf []byte) (int, error) {
	f, err := files.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // of memory
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // it is shorter
	}
	return n, err
}

// aliases reads the line "aliases: [A, B]" of the beginning of a file; a test compares it with
// what YAML says.
func aliases(data []byte) (list []string) {
	const key = "\naliases: ["
	i := bytes.Index(data, []byte(key))
	if i < 0 {
		return nil
	}
	line, _, _ := bytes.Cut(data[i+len(key):], []byte("]"))
	for alias := range strings.SplitSeq(string(line), ",") {
		list = append(list, strings.Trim(strings.TrimSpace(alias), `"'`))
	}
	return list
}
