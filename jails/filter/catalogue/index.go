package catalogue

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// listing says which filters there are. To read all their patterns and samples takes a daemon's
// start several times as long as all else it does, and most of it is for filters of others.
type listing struct {
	names   []string                 // sorted
	entries []func() (*Entry, error) // by names; each reads its file once
	at      map[string]int           // by name and alias
}

// index lists the embedded files once.
var index = sync.OnceValues(func() (*listing, error) {
	found, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	l := &listing{at: map[string]int{}}
	for i, f := range found {
		data, err := files.ReadFile(f.Name())
		if err != nil {
			return nil, fmt.Errorf("list filters: %w", err)
		}
		name := strings.TrimSuffix(f.Name(), ".yaml")
		l.names = append(l.names, name)
		l.entries = append(l.entries, sync.OnceValues(func() (*Entry, error) {
			e, err := parse(f.Name(), data)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name(), err)
			}
			return e, nil
		}))
		l.at[name] = i
	}
	for i, f := range found {
		data, err := files.ReadFile(f.Name())
		if err != nil {
			return nil, fmt.Errorf("list filters: %w", err)
		}
		for _, alias := range aliases(data) {
			if _, taken := l.at[alias]; !taken {
				l.at[alias] = i
			}
		}
	}
	return l, nil
})

// aliases reads the line "aliases: [A, B]" of a file; a test compares it with what YAML says.
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
