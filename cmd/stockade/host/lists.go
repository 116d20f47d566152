package host

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"stockade/jails"
)

// filePrefix marks an entry that names a file of further entries.
const filePrefix = "file:"

// maxListFile is how much of one file of a list is read, in bytes.
const maxListFile = 64 << 20

// SplitNames tells the DNS names of a list from all else. What looks like neither a name nor an
// address is among the rest, whose reader says what is wrong with it. Names are in lower case,
// without a final dot.
func SplitNames(entries []string) (names, rest []string) {
	for _, e := range entries {
		if name := strings.ToLower(strings.TrimSuffix(e, ".")); jails.IsName(name) {
			names = append(names, name)
		} else {
			rest = append(rest, e)
		}
	}
	return names, rest
}

// listFile is a file of a list as it was read last.
type listFile struct {
	stamp    stamp
	read     bool
	prefixes []netip.Prefix
	used     bool // in this look
}

// listed returns what the operator's lists protect now, and whether that may differ from the last
// time. Of a file that is away or at fault the last good entries stay.
func (w *Watcher) listed(now time.Time) (all []Protected, changed bool) {
	w.mu.Lock()
	lists, v := w.lists, versions{lists: w.replaced}
	w.mu.Unlock()
	v.names = w.names.answered()
	for _, f := range w.files {
		f.used = false
	}
	for _, l := range lists {
		for _, e := range l.Entries {
			if path, isFile := strings.CutPrefix(e, filePrefix); isFile {
				w.file(path, now)
			}
		}
	}
	v.files = w.filed
	if w.reported && v == w.versions {
		return w.inLists, false
	}
	w.versions = v
	for _, l := range lists {
		names, rest := SplitNames(l.Entries)
		for _, p := range w.prefixes(l.Key, rest) {
			all = append(all, Protected{Prefix: p, Why: l.Key, List: l.Key})
		}
		for _, name := range names {
			for _, a := range w.names.answer(name) {
				if p, ok := single(a, l.Key+": "+name); ok {
					p.List = l.Key
					all = append(all, p)
				}
			}
		}
	}
	for path, f := range w.files {
		if !f.used {
			delete(w.files, path)
		}
	}
	w.inLists = all
	return all, true
}

// versions count the changes of what lists are made of.
type versions struct{ lists, names, files uint64 }

// prefixes reads the entries of a list that are no names.
func (w *Watcher) prefixes(key string, entries []string) (all []netip.Prefix) {
	for _, e := range entries {
		if path, isFile := strings.CutPrefix(e, filePrefix); isFile {
			if f := w.files[path]; f != nil {
				all = append(all, f.prefixes...)
			}
			continue
		}
		p, err := jails.ParsePrefix(e)
		if err != nil {
			w.warn(key, err.Error())
			continue
		}
		all = append(all, p)
	}
	return all
}

// file reads the entries of a file when it has changed.
func (w *Watcher) file(path string, now time.Time) {
	f := w.files[path]
	if f == nil {
		f = &listFile{}
		w.files[path] = f
	}
	f.used = true
	s, ok := stampOf(path)
	if !ok {
		w.warn(filePrefix+path, "it cannot be read; its last entries stay")
		f.read = false
		return
	}
	if f.read && s == f.stamp {
		return
	}
	f.stamp, f.read = s, s.settled(now)
	fault := ""
	list := jails.ParseAddrList([]string{filePrefix + path}, readList, func(_ int, message string) {
		if fault == "" {
			fault = message
		}
	})
	w.warn(filePrefix+path, fault)
	if fault != "" && len(list) == 0 {
		return // half written, or no list any more
	}
	f.prefixes = slices.Clip(list)
	w.filed++
}

// readList reads a file of a list, within its limit.
func readList(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%q is no regular file", path)
	case info.Size() > maxListFile:
		return nil, fmt.Errorf("%d bytes, at most %d are read", info.Size(), maxListFile)
	}
	return os.ReadFile(path)
}
